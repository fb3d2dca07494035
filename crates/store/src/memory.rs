//! A store in memory, for tests, simulations and demonstrations.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Copied, Cursor, Estimate, Id, KeyRange, Page, Pressure, Put, PutAll, Record, ScanOrder, Scope, Segment,
    Store, StoreError, Version,
};

/// Records in memory, in order of tenant and key. It never fails; see [`super::Faulty`] for that.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<Id, Record>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a record unconditionally, as an application without versions would.
    pub fn insert(&self, id: Id, record: Record) {
        self.records().insert(id, record);
    }

    /// Deletes a record without a tombstone, as such an application would.
    pub fn remove(&self, id: &Id) {
        self.records().remove(id);
    }

    /// All records, tombstones included.
    pub fn dump(&self) -> BTreeMap<Id, Record> {
        self.records().clone()
    }

    fn copy(&self, id: &Id, record: &Record) -> Copied {
        let mut records = self.records();
        match records.get_mut(id) {
            Some(current) if current.version >= record.version => {
                return Copied::unless_newer(record.version, current.version);
            }
            Some(current) => *current = record.clone(),
            None => _ = records.insert(id.clone(), record.clone()),
        }
        Copied::Written
    }

    fn keys(
        &self,
        tenant: &str,
        range: &KeyRange,
        segment: Segment,
        most: usize,
        limit_bytes: usize,
    ) -> Page {
        let records = self.records();
        let from = Id { tenant: tenant.to_owned(), key: range.start().0.to_owned() };
        let is_over = |id: &Id| range.end().is_some_and(|end| id.key.as_str() >= end);
        let wanted = records.range(from..).take_while(|(id, _)| id.tenant == tenant && !is_over(id));
        let mut page = Page::default();
        let mut bytes = 0;
        for (id, record) in wanted.filter(|(id, _)| range.contains(&id.key) && segment.contains(id)) {
            if page.records.len() == most || bytes >= limit_bytes && !page.records.is_empty() {
                page.next = page.records.last().map(|(last, _)| Cursor::after_record(last));
                break;
            }
            bytes += id.bytes() + record.bytes();
            page.records.push((id.clone(), record.clone()));
        }
        page
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<Id, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        Ok(self.records().get(id).cloned())
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        Ok(self.copy(id, record).into())
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let mut records = self.records();
        let current = records.get(id).map(|current| current.version);
        if current != expected {
            return Ok(Put::unless_this(record.version, current.unwrap_or_default()));
        }
        records.insert(id.clone(), record.clone());
        Ok(Put::Applied)
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let records = self.records();
        Ok(ids.iter().map(|id| records.get(id).cloned()).collect())
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        Ok(records.iter().map(|(id, record)| self.copy(id, record)).collect())
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let mut all = self.records();
        let newer = |(place, (id, record)): (usize, &(Id, Record))| {
            let current = all.get(id)?.version;
            (current >= record.version).then_some((place, current))
        };
        let put = PutAll::unless(records.iter().enumerate().filter_map(newer).collect());
        if put == PutAll::Applied {
            all.extend(records.iter().cloned());
        }
        Ok(put)
    }

    fn check_all(&self, _ids: &[Id]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        if let Scope::Keys { tenant, range, most } = scope {
            let range = Cursor::rest_of(cursor, range)?;
            return Ok(self.keys(tenant, &range, segment, *most, limit_bytes));
        }
        let from = match (cursor, scope) {
            (Some(cursor), _) => {
                let (tenant, key) = cursor.texts()?;
                Bound::Excluded(Id { tenant: tenant.to_owned(), key: key.to_owned() })
            }
            (None, Scope::Tenant(tenant)) => {
                Bound::Included(Id { tenant: tenant.clone(), key: String::new() })
            }
            (None, _) => Bound::Unbounded,
        };
        let end = match scope {
            Scope::UpTo(end) => Some(end.texts()?),
            _ => None,
        };
        let all = self.records();
        let in_scope = all.range((from, Bound::Unbounded)).take_while(|(id, _)| match scope {
            Scope::Tenant(tenant) => id.tenant == *tenant,
            _ => end.is_none_or(|end| (id.tenant.as_str(), id.key.as_str()) <= end),
        });
        let mut page = Page::default();
        let mut bytes = 0;
        for (id, record) in in_scope.filter(|(id, _)| segment.contains(id)) {
            if bytes >= limit_bytes && !page.records.is_empty() {
                page.next = page.records.last().map(|(last, _)| Cursor::after_record(last));
                break;
            }
            bytes += id.bytes() + record.bytes();
            page.records.push((id.clone(), record.clone()));
        }
        Ok(page)
    }

    fn scan_order(&self) -> ScanOrder {
        ScanOrder::Bytes
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let records = self.records();
        let bytes: usize = records.iter().map(|(id, record)| id.bytes() + record.bytes()).sum();
        Ok(Estimate { records: Some(records.len() as u64), bytes: Some(bytes as u64) })
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        Ok(Pressure::default())
    }
}
