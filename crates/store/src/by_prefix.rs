//! One store over several tables of a database: each record type has its own, and the beginning of a record's key says which
//! type it is. docs/adr/0075-the-key-says-the-type.md has why.

mod put_all;
mod scans;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use futures::future::{BoxFuture, try_join_all};

use super::{
    Copied, CreatedTrigger, Cursor, EqualIds, Estimate, Id, Identity, KeyRange, Listed, Page, Pressure, Put,
    PutAll, Record, ScanOrder, Scope, Segment, Store, StoreError, Trigger, Version, identity::short,
};
use cutover_core::outcome::ErrorClass;

/// A record type: its keys begin with this, and its records are in this store.
pub(crate) struct Type {
    pub(crate) prefix: String,
    pub(crate) store: Arc<dyn Store>,
    /// Its place in the order in which a transaction writes to the tables.
    pub(crate) place: usize,
}

/// A store, and the places of its ids in a list.
type OfStore<'s> = (&'s dyn Store, Vec<usize>);

/// A call for several records.
type Call<T, R> = for<'a> fn(&'a dyn Store, &'a [T]) -> BoxFuture<'a, Result<Vec<R>, StoreError>>;

/// At least one type. No prefix begins with another, so a key belongs to at most one.
pub(crate) struct ByPrefix {
    types: Vec<Type>,
    /// Whether all tables scan in the order of tenant and key, byte by byte, so that a place is the same in each.
    are_beside: bool,
}

impl ByPrefix {
    pub(crate) fn new(types: Vec<Type>) -> Self {
        let are_beside = types.iter().all(|it| it.store.scan_order() == ScanOrder::Bytes);
        Self { types, are_beside }
    }

    /// The place in [`Self::types`] of the type that a key belongs to. A key of no type is an error for reads as well: a
    /// process with a newer spec may have written it.
    fn of(&self, key: &str) -> Result<usize, StoreError> {
        let at = self.types.iter().position(|it| key.starts_with(&it.prefix));
        at.ok_or_else(|| no_type(self.types.iter().map(|it| it.prefix.as_str())))
    }

    /// The type that all keys of a range belong to. Between those of two types there may be keys that a process with a newer
    /// spec has written: a list without them would say that there are none.
    fn of_range(&self, range: &KeyRange) -> Result<&Type, StoreError> {
        let common = |it: &Type| KeyRange::prefix(&it.prefix).within(range);
        if let Some(it) = self.types.iter().find(|it| common(it) == *range) {
            return Ok(it);
        }
        let prefixes = self.types.iter().map(|it| it.prefix.as_str());
        if self.types.iter().all(|it| common(it).is_empty()) {
            return Err(no_type(prefixes));
        }
        let prefixes: Vec<String> = prefixes.map(|prefix| format!("{prefix:?}")).collect();
        let what = format!(
            "the range is not within one record type, and another instance may know more of them: list each type on its own, \
             from KeyRange::prefix of {}",
            prefixes.join(" or ")
        );
        Err(StoreError::Permanent { class: ErrorClass::Constraint, field: "key".to_owned(), what })
    }

    /// The store whose keys a range is of, if they can be listed.
    fn listed(&self, range: &KeyRange) -> Result<&dyn Store, StoreError> {
        let it = self.of_range(range)?;
        let ScanOrder::Own(order) = it.store.key_order() else { return Ok(&*it.store) };
        let what = format!(
            "the keys of record type {:?} can't be listed: they are in the order of {order}, not of their bytes",
            it.prefix
        );
        Err(StoreError::Permanent { class: ErrorClass::Other, field: "key".to_owned(), what })
    }

    fn store_of(&self, id: &Id) -> Result<&dyn Store, StoreError> {
        Ok(&*self.types[self.of(&id.key)?].store)
    }

    /// The stores of these ids.
    fn by_store<'a>(&self, ids: impl Iterator<Item = &'a Id>) -> Result<Vec<OfStore<'_>>, StoreError> {
        let mut places: Vec<Vec<usize>> = self.types.iter().map(|_| Vec::new()).collect();
        for (place, id) in ids.enumerate() {
            places[self.of(&id.key)?].push(place);
        }
        let all = self.types.iter().map(|it| &*it.store).zip(places);
        Ok(all.filter(|(_, places)| !places.is_empty()).collect())
    }

    /// Gives each store its part of `all`, and returns the answers in the order of `all`. One table after the other: after
    /// an error nothing is in flight to the others.
    async fn each<T: Clone + Sync, R: Clone>(
        &self,
        all: &[T],
        id: fn(&T) -> &Id,
        unanswered: R,
        call: Call<T, R>,
    ) -> Result<Vec<R>, StoreError> {
        let mut answers = vec![unanswered; all.len()];
        for (store, places) in self.by_store(all.iter().map(id))? {
            let part: Vec<T> = places.iter().map(|place| all[*place].clone()).collect();
            for (place, answer) in places.into_iter().zip(call(store, &part).await?) {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }

    /// What each table says, with its prefix.
    fn told(&self, each: Vec<Vec<String>>) -> Vec<String> {
        let each = self.types.iter().zip(each);
        each.flat_map(|(it, told)| told.into_iter().map(|told| format!("{}: {told}", it.prefix))).collect()
    }
}

/// The error for a record whose key begins with none of these.
pub(crate) fn no_type<'a>(prefixes: impl Iterator<Item = &'a str>) -> StoreError {
    let prefixes: Vec<String> = prefixes.map(|prefix| format!("{prefix:?}")).collect();
    let what = format!(
        "no record type takes it: it begins with none of {}. Add its type to the spec",
        prefixes.join(", ")
    );
    StoreError::Permanent { class: ErrorClass::Constraint, field: "key".to_owned(), what }
}

#[async_trait]
impl Store for ByPrefix {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.store_of(id)?.get(id).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.store_of(id)?.put_if_newer(id, record).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.store_of(id)?.put_if_unchanged(id, record, expected).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.each(ids, |id| id, None, |store, ids| store.get_many(ids)).await
    }

    async fn get_versions(&self, ids: &[Id]) -> Result<Vec<Option<Version>>, StoreError> {
        self.each(ids, |id| id, None, |store, ids| store.get_versions(ids)).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let put: Call<(Id, Record), Copied> = |store, records| store.put_many_if_newer(records);
        self.each(records, |(id, _)| id, Copied::Written, put).await
    }

    async fn put_all_if_newer(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        self.put_all(records).await
    }

    fn check_all(&self, ids: &[Id]) -> Result<(), StoreError> {
        self.check_parts(ids)
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        match scope {
            Scope::All | Scope::UpTo(_) if self.are_beside => {
                self.scan_beside(scope, segment, cursor, limit_bytes).await
            }
            Scope::All | Scope::Tenant(_) => self.scan_one_by_one(scope, segment, cursor, limit_bytes).await,
            Scope::UpTo(_) => Err(self.no_common_order()),
            Scope::Keys { tenant, range, most } => {
                let listed = self.list(tenant, &Cursor::rest_of(cursor, range)?, *most, limit_bytes).await?;
                let next = listed.next.map(|key| Cursor::after(tenant.as_bytes(), key.as_bytes()));
                Ok(Page { records: listed.records, next, ..Page::default() })
            }
        }
    }

    async fn list(
        &self,
        tenant: &str,
        range: &KeyRange,
        most: usize,
        limit_bytes: usize,
    ) -> Result<Listed, StoreError> {
        if range.is_empty() {
            return Ok(Listed::default());
        }
        self.listed(range)?.list(tenant, range, most, limit_bytes).await
    }

    fn check_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        if range.is_empty() { Ok(()) } else { self.listed(range)?.check_range(range) }
    }

    /// A list is of one type. [`Self::check_range`] refuses those whose keys are in another order.
    fn key_order(&self) -> ScanOrder {
        ScanOrder::Bytes
    }

    fn scan_order(&self) -> ScanOrder {
        if self.are_beside {
            return ScanOrder::Bytes;
        }
        let order = |it: &Type| match it.store.scan_order() {
            ScanOrder::Bytes => format!("{}: bytes", it.prefix),
            ScanOrder::Own(order) => format!("{}: {order}", it.prefix),
        };
        ScanOrder::Own(self.types.iter().map(order).collect::<Vec<_>>().join("; "))
    }

    #[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
    async fn spread(&self, count: usize) -> Result<Option<Vec<Cursor>>, StoreError> {
        if self.are_beside {
            return crate::sql::spread(self, [crate::sql::KeyKind::Bytes; 2], false, count).await.map(Some);
        }
        self.spread_over_each(count).await.map(Some)
    }

    fn loose_ids(&self) -> Option<String> {
        let loose: Vec<String> = self.types.iter().filter_map(|it| it.store.loose_ids()).collect();
        (!loose.is_empty()).then(|| loose.join(" and "))
    }

    async fn equal_ids(&self, ids: &[Id]) -> Result<Vec<EqualIds>, StoreError> {
        let mut all = Vec::new();
        for it in &self.types {
            let places: Vec<usize> =
                (0..ids.len()).filter(|at| ids[*at].key.starts_with(&it.prefix)).collect();
            let of_type: Vec<Id> = places.iter().map(|place| ids[*place].clone()).collect();
            let equal = it.store.equal_ids(&of_type).await?.into_iter();
            all.extend(equal.map(|it| EqualIds { first: places[it.first], last: places[it.last], ..it }));
        }
        Ok(all)
    }

    fn check_id(&self, id: &Id) -> Result<(), StoreError> {
        self.store_of(id)?.check_id(id)
    }

    fn check(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        self.store_of(id)?.check(id, record)
    }

    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let each = try_join_all(self.types.iter().map(|it| it.store.identity())).await?;
        let Some(each) = each.into_iter().collect::<Option<Vec<Identity>>>() else { return Ok(None) };
        let joined =
            |part: fn(&Identity) -> &str| short(&each.iter().map(part).collect::<Vec<_>>().join(" and "));
        let has_ledger = each.iter().any(|it| !it.ledger.is_empty());
        Ok(Some(Identity {
            id: joined(|it| &it.id),
            place: joined(|it| &it.place),
            tables: each.iter().flat_map(|it| it.tables.clone()).collect(),
            ledger: if has_ledger { joined(|it| &it.ledger) } else { String::new() },
        }))
    }

    async fn unmapped(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.told(try_join_all(self.types.iter().map(|it| it.store.unmapped())).await?))
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.told(try_join_all(self.types.iter().map(|it| it.store.warnings())).await?))
    }

    async fn removes_by(&self) -> Result<Option<String>, StoreError> {
        let each = try_join_all(self.types.iter().map(|it| it.store.removes_by())).await?;
        let attributes: BTreeSet<String> = each.into_iter().flatten().collect();
        Ok((!attributes.is_empty()).then(|| Vec::from_iter(attributes).join(" and ")))
    }

    async fn missing_privileges(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.told(try_join_all(self.types.iter().map(|it| it.store.missing_privileges())).await?))
    }

    fn triggers(&self) -> Vec<Trigger> {
        self.types.iter().flat_map(|it| it.store.triggers()).collect()
    }

    async fn created_triggers(&self) -> Result<Vec<CreatedTrigger>, StoreError> {
        Ok(try_join_all(self.types.iter().map(|it| it.store.created_triggers())).await?.concat())
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        let each = try_join_all(self.types.iter().map(|it| it.store.estimate())).await?;
        Ok(Estimate {
            records: each.iter().map(|it| it.records).sum(),
            bytes: each.iter().map(|it| it.bytes).sum(),
        })
    }

    /// All tables are on one server.
    async fn pressure(&self) -> Result<Pressure, StoreError> {
        match self.types.first() {
            Some(it) => it.store.pressure().await,
            None => Ok(Pressure::default()),
        }
    }
}

#[cfg(all(test, feature = "suite"))]
mod tests;
