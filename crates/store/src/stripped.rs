//! A table that keeps its records' ids without the prefixes that all of them have: `42` for `ORG#42`.
//! docs/adr/0095-a-prefix-is-left-out-around-the-table.md has why it is a store around the table's.

mod prefixes;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Copied, CreatedTrigger, Cursor, EqualIds, Estimate, Id, Identity, KeyRange, Page, Pressure, Put, PutAll,
    Record, ScanOrder, Scope, Segment, Store, StoreError, Trigger, Version,
};
use prefixes::Place;
pub use prefixes::StripPrefixes;

/// The records of a store whose ids have these prefixes in front.
pub(crate) struct Stripped {
    store: Arc<dyn Store>,
    prefixes: StripPrefixes,
}

impl Stripped {
    /// The store itself if there are no prefixes.
    pub(crate) fn of(store: Arc<dyn Store>, prefixes: &StripPrefixes) -> Arc<dyn Store> {
        if prefixes.is_empty() { store } else { Arc::new(Self { store, prefixes: prefixes.clone() }) }
    }

    /// The store of the table.
    pub(crate) fn table(&self) -> &dyn Store {
        &*self.store
    }

    /// The same records with the ids that the table has.
    pub(crate) fn rows(&self, records: &[(Id, Record)]) -> Result<Vec<(Id, Record)>, StoreError> {
        records.iter().map(|(id, record)| Ok((self.prefixes.row_id(id)?, record.clone()))).collect()
    }

    /// Those of these ids that the table can have, each with its place in the list.
    fn possible(&self, ids: &[Id]) -> (Vec<usize>, Vec<Id>) {
        let rows = ids.iter().enumerate();
        rows.filter_map(|(place, id)| Some((place, self.prefixes.row_id(id).ok()?))).unzip()
    }
}

/// The answers for these places of a list. There is nothing under an id that the table can't have.
fn placed<T: Clone>(count: usize, places: Vec<usize>, answers: Vec<Option<T>>) -> Vec<Option<T>> {
    let mut all = vec![None; count];
    for (place, answer) in places.into_iter().zip(answers) {
        all[place] = answer;
    }
    all
}

#[async_trait]
impl Store for Stripped {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        match self.prefixes.row_id(id) {
            Ok(row) => self.store.get(&row).await,
            Err(_) => Ok(None),
        }
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        let row = self.prefixes.row_id(id)?;
        let put = self.store.put_if_newer(&row, record).await;
        put.map_err(|error| self.prefixes.explained(&row, error))
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        let row = self.prefixes.row_id(id)?;
        let put = self.store.put_if_unchanged(&row, record, expected).await;
        put.map_err(|error| self.prefixes.explained(&row, error))
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let (places, rows) = self.possible(ids);
        Ok(placed(ids.len(), places, self.store.get_many(&rows).await?))
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        let (places, rows) = self.possible(ids);
        Ok(placed(ids.len(), places, self.store.get_versions(&rows).await?))
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        self.store.put_many_if_newer(&self.rows(records)?).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let rows = self.rows(records)?;
        let put = self.store.put_all_if_newer(&rows).await;
        put.map_err(|error| error.renamed(rows.iter().zip(records).map(|(row, record)| (&row.0, &record.0))))
    }

    /// An id that the table can't have is for the put to refuse: it is no reason at a rung that does not write here.
    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.store.check_all(&self.possible(ids).1)
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let nothing = Ok(Page::default());
        let mut after = match cursor.map(|cursor| self.prefixes.place(cursor)).transpose()? {
            Some(Place::Behind) => return nothing,
            Some(Place::After(place)) => Some(place),
            Some(Place::First) | None => None,
        };
        let scope = match scope {
            Scope::All => Scope::All,
            Scope::Tenant(tenant) => match self.prefixes.row_tenant(tenant) {
                Some(tenant) => Scope::Tenant(tenant),
                None => return nothing,
            },
            Scope::UpTo(end) => match self.prefixes.place(end)? {
                Place::First => return nothing,
                Place::After(end) => Scope::UpTo(end),
                Place::Behind => Scope::All,
            },
            Scope::Keys { tenant, range, most } => {
                let range = self.prefixes.row_range(&Cursor::rest_of(cursor, range)?);
                after = None;
                match (self.prefixes.row_tenant(tenant), range) {
                    (Some(tenant), Some(range)) => Scope::Keys { tenant, range, most: *most },
                    _ => return nothing,
                }
            }
        };
        self.prefixes.page(self.store.scan(&scope, segment, after.as_ref(), limit_bytes).await?)
    }

    fn check_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        self.prefixes.row_range(range).map_or(Ok(()), |range| self.store.check_range(&range))
    }

    /// With the same text in front of each, keys have the same order.
    fn key_order(&self) -> ScanOrder {
        self.store.key_order()
    }

    fn scan_order(&self) -> ScanOrder {
        self.store.scan_order()
    }

    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        let Some(places) = self.store.spread(count).await? else { return Ok(None) };
        places.iter().map(|place| self.prefixes.cursor(place)).collect::<Result<_, _>>().map(Some)
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        let row = self.prefixes.row_id(id)?;
        self.store.check_id(&row).map_err(|error| self.prefixes.explained(&row, error))
    }

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        let row = self.prefixes.row_id(id)?;
        self.store.check(&row, record).map_err(|error| self.prefixes.explained(&row, error))
    }

    fn loose_ids(&self) -> Option<String> {
        self.store.loose_ids()
    }

    async fn equal_ids(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        let (places, rows) = self.possible(ids);
        let equal = self.store.equal_ids(&rows).await?.into_iter();
        Ok(equal.map(|it| EqualIds { first: places[it.first], last: places[it.last], ..it }).collect())
    }

    /// With other prefixes, or none, the same rows are other records.
    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        Ok(self.store.identity().await?.map(|identity| identity.without(&self.prefixes.to_string())))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        self.store.unmapped().await
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        self.store.warnings().await
    }

    async fn removes_by(&self) -> Result<Option<String>, StoreError> {
        self.store.removes_by().await
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        self.store.missing_privileges().await
    }

    fn triggers(&self) -> Vec<Trigger> {
        self.store.triggers()
    }

    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        self.store.created_triggers().await
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.store.estimate().await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.store.pressure().await
    }
}

#[cfg(all(test, feature = "suite"))]
mod tests;
