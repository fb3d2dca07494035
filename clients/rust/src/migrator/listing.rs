//! Lists: a page of a tenant's records is many reads at once.

use std::{collections::BTreeMap, sync::Arc};

use serde::de::DeserializeOwned;

use super::{
    Inner, Migrator, READS_MAX, ReadError, Unavailable,
    calls::Calls,
    finish::Finish,
    many::{self, One, ReadStep, Reading, first_step},
};
use crate::{
    report::StoreRole,
    routing,
    store::{Id, IdError, KeyRange, Listed, Record, ScanOrder, document::Document},
    watch::Operation,
};

/// Maximum records of a page.
pub const LIST_MAX: usize = 1000;

/// About how many bytes a page has at most.
const PAGE_BYTES: usize = 1 << 20;

/// Maximum records that one page copies to the target.
const COPIES_MAX: usize = 100;

/// A page of [`Migrator::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T = Vec<u8>> {
    /// Keys and values, in the order of the keys' bytes.
    pub records: Vec<(String, T)>,
    /// Where the next page begins: after this key. `None`: this was the last page.
    pub next: Option<String>,
}

/// The page, or `None` if the read was overtaken and has to be repeated.
type Answered = Option<Result<Listing, ReadError>>;

impl Migrator {
    /// Returns the records of a tenant whose keys are in a range, in the order of the keys' bytes: up to `limit` of them,
    /// at most [`LIST_MAX`] and about 1 MiB. Each record is read by the rules of [`Self::get`], so no acknowledged record is
    /// missing, at any rung. A page is not a snapshot, and neither are several: what is written meanwhile may be there or
    /// not.
    ///
    /// Ask for the rest with [`KeyRange::after`] and [`Listing::next`]. **A page may have fewer records than `limit`, or none,
    /// although there are more**: deleted records take room too. Only a page without `next` is the last one.
    ///
    /// Both stores have to order keys by their bytes. Otherwise the call fails with [`ReadError::CantList`], at every rung.
    /// Then use [`Self::query`]. With record types, the range has to lie within one type: begin with [`KeyRange::prefix`]. A
    /// range of a type whose keys have another order fails with [`ReadError::Failed`] instead.
    ///
    /// If one record can't be read, the whole call fails. At target-first each page is read from both stores, and records
    /// that the target lacks are copied, up to 100 in a call.
    ///
    /// ```
    /// # use cutover_client::{routing::Rung, testing::{FakeController, MemoryStore}};
    /// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = FakeController::at("orders", Rung::Dual).client();
    /// # let orders = client.migrator("orders", MemoryStore::new(), MemoryStore::new());
    /// use cutover_client::store::KeyRange;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     items: u32,
    /// }
    ///
    /// for (key, items) in [("order-1", 3), ("order-2", 5), ("user-1", 0)] {
    ///     orders.put("acme", key, &Order { items }).await?;
    /// }
    /// let (mut range, mut items) = (KeyRange::prefix("order-"), 0);
    /// loop {
    ///     let page = orders.list::<Order>("acme", &range, 100).await?;
    ///     items += page.records.iter().map(|(_, order)| order.items).sum::<u32>();
    ///     let Some(last) = page.next else { break };
    ///     range = range.after(&last);
    /// }
    /// assert_eq!(items, 8);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(story()).unwrap();
    /// ```
    pub async fn list<T: DeserializeOwned>(
        &self,
        tenant: &str,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Listing<T>, ReadError> {
        let Listing { records, next } = self.list_bytes(tenant, range, limit).await?;
        let value =
            |(key, bytes): (String, Vec<u8>)| match Document::decode(&bytes).and_then(Document::to_value) {
                Ok(value) => Ok((key, value)),
                Err(error) => Err(ReadError::ValueOf { key, error }),
            };
        let records = records.into_iter().map(value).collect::<Result<_, _>>()?;
        Ok(Listing { records, next })
    }

    /// [`Self::list`] of raw bytes.
    pub async fn list_bytes(
        &self,
        tenant: &str,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Listing, ReadError> {
        routing::check_tenant(tenant).map_err(IdError::from)?;
        range.check()?;
        for store in [StoreRole::Source, StoreRole::Target] {
            if let ScanOrder::Own(order) = self.inner.store(store).key_order() {
                return Err(ReadError::CantList { store, order });
            }
            let checked = self.inner.store(store).check_range(range);
            checked.map_err(|error| ReadError::Failed { store, error })?;
        }
        let limit = limit.clamp(1, LIST_MAX);
        for _ in 0..READS_MAX {
            let operation = self.inner.admit(tenant).await?;
            if let Some(answer) = list(&self.inner, operation, tenant, range, limit).await {
                return answer;
            }
        }
        self.inner.unavailable(tenant, self.inner.revision(tenant));
        Err(Unavailable::Overtaken(READS_MAX).into())
    }
}

/// Listing a store answers the first call of each key's read at once, also for keys that are not there.
async fn list(
    inner: &Arc<Inner>,
    operation: Operation,
    tenant: &str,
    range: &KeyRange,
    limit: usize,
) -> Answered {
    let step = first_step(inner, &operation);
    let calls = Calls::new(inner.clone(), tenant, operation.decision.revision, operation.standing());
    let mut reading = Reading { calls, operation, all: Vec::new(), is_list: true };
    // What the read of a key does that no store has.
    let mut none = One::new(Id { tenant: tenant.to_owned(), key: String::new() }, step);
    let mut pages = Vec::new();
    while let Some(store) = none.reads() {
        let listed = inner.store(store).list(tenant, range, limit, PAGE_BYTES);
        match reading.calls.read(store, listed).await {
            Ok(page) => pages.push((store, page)),
            Err(error) => return Some(reading.conclude()?.and(Err(ReadError::Failed { store, error }))),
        }
        none.got(inner, store, None);
    }
    let (all, mut next) = merged(inner, pages, step, limit);
    reading.all = all;
    loop {
        cut(&mut reading.all, &mut next);
        if reading.all.iter().any(One::copies) {
            let keys = keys(&reading);
            return page(keys, Finish::new(reading.run()).await, next);
        }
        if !reading.gets().await {
            let keys = keys(&reading);
            return page(keys, reading.conclude(), next);
        }
    }
}

/// The reads of up to `limit` keys, no further than where the shorter page ends, each with the answers that it has; and where
/// they end, if there may be more. `pages` is in the order in which a read asks the stores.
fn merged(
    inner: &Inner,
    pages: Vec<(StoreRole, Listed)>,
    step: ReadStep,
    limit: usize,
) -> (Vec<One>, Option<String>) {
    let mut next = pages.iter().filter_map(|(_, page)| page.next.clone()).min();
    let mut found: BTreeMap<Id, Vec<(StoreRole, Record)>> = BTreeMap::new();
    let stores: Vec<StoreRole> = pages.iter().map(|(store, _)| *store).collect();
    for (store, page) in pages {
        for (id, record) in page.records {
            if next.as_ref().is_none_or(|next| id.key <= *next) {
                found.entry(id).or_default().push((store, record));
            }
        }
    }
    let one = |(id, mut records): (Id, Vec<(StoreRole, Record)>)| {
        let mut one = One::new(id, step);
        for store in &stores {
            let at = records.iter().position(|(of, _)| of == store);
            let record = at.map(|at| records.swap_remove(at).1);
            if one.reads() == Some(*store) {
                one.got(inner, *store, record);
            }
        }
        one
    };
    // The two pages may have different keys, so together more than either.
    if found.len() > limit {
        next = found.keys().nth(limit - 1).map(|id| id.key.clone());
    }
    (found.into_iter().take(limit).map(one).collect(), next)
}

/// Ends the page before the first record that would be one copy too many.
fn cut(all: &mut Vec<One>, next: &mut Option<String>) {
    let copies = all.iter().enumerate().filter(|(_, one)| one.copies());
    if let Some((at, _)) = copies.into_iter().nth(COPIES_MAX) {
        all.truncate(at);
        *next = all.last().map(|one| one.id.key.clone());
    }
}

fn keys(reading: &Reading) -> Vec<String> {
    reading.all.iter().map(|one| one.id.key.clone()).collect()
}

/// The page of these keys, given what their reads have found.
fn page(keys: Vec<String>, answered: many::Answered, next: Option<String>) -> Answered {
    Some(answered?.map(|values| {
        let records = keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect();
        Listing { records, next }
    }))
}
