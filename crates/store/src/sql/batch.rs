//! Batches of guarded writes with a result for each record.
//!
//! The versions are read first. So a batch that is already there writes nothing, and "was it written?" has an
//! answer: a guarded statement alone does not distinguish an equal version that it found from one that it
//! wrote. The guard catches a writer that comes between the two; reading the version again identifies it.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use async_trait::async_trait;

use super::{
    super::{Copied, Id, Put, Record, StoreError, Version, error::Doubt},
    COLUMNS_CHANGED, GRANT, INDEXES_CHANGED, Keys, NOT_THERE, ROUNDS, TOO_LONG, There, permanent, swallowed,
};
use cutover_core::outcome::ErrorClass;

/// The two statements of a batch, in a database's own syntax.
#[async_trait]
pub(in super::super) trait Guarded: Sync {
    /// What is there, in the order of `ids`, which are distinct.
    async fn versions(&self, ids: &[&Id]) -> Result<Vec<Option<There>>, StoreError>;

    /// Writes each record over what is older, or also over the same. The ids are distinct and ascending, so that
    /// batches lock in the same order.
    async fn write(&self, records: &[(&Id, &Record)], over: Over) -> Result<Wrote, StoreError>;

    /// The id that the server finds for this one; another one if it takes the two for equal.
    async fn found_as(&self, id: &Id) -> Result<Option<Id>, StoreError>;

    /// Fails if the ledger is not the one that was opened. A write with another one writes nothing.
    async fn check_ledger(&self) -> Result<(), StoreError>;

    /// Fails if the tables, or the user's privileges on them, no longer allow every write, or did not a second ago.
    async fn check_tables(&self) -> Result<(), StoreError>;
}

/// Which versions a write may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Over {
    Older,
    /// Also the same one: another program has taken away what was written with it ([`There::is_foreign`]). Whoever
    /// writes it at the same time writes the same.
    Same,
}

/// How a batch was written.
#[derive(Debug)]
pub(in super::super) struct Wrote {
    /// The last attempt wrote all records. False: unknown.
    pub(in super::super) all: bool,
    pub(in super::super) doubt: Doubt,
}

/// [`super::super::Store::get_versions`].
pub(in super::super) async fn get_versions(
    store: &impl Guarded,
    ids: &[Id],
) -> Result<Vec<Option<Version>>, StoreError> {
    let found = store.versions(&ids.iter().collect::<Vec<_>>()).await?;
    Ok(found.into_iter().map(|there| there?.reads_as).collect())
}

/// What is there after a write that did not write, or did not report its own result, and whose outcome may be in
/// doubt.
pub(in super::super) async fn version_after(
    store: &impl Guarded,
    id: &Id,
    doubt: &Doubt,
) -> Result<Option<There>, StoreError> {
    let versions = async {
        store.check_ledger().await?;
        store.versions(&[id]).await
    };
    match versions.await {
        Ok(mut versions) => Ok(versions.pop().flatten()),
        Err(error) => Err(doubt.clone().unwrap_or(error)),
    }
}

/// Refuses an id that the server takes for another one that is there. Such an id itself is not found, so only those are
/// asked for one by one.
pub(in super::super) async fn check_equal(
    store: &impl Guarded,
    keys: &Keys,
    ids: &[&Id],
) -> Result<(), StoreError> {
    if !keys.are_loose() {
        return Ok(());
    }
    let versions = store.versions(ids).await?;
    for (id, _) in ids.iter().zip(versions).filter(|(_, there)| there.is_none()) {
        if let Some(other) = store.found_as(id).await?.filter(|other| other != *id) {
            return Err(keys.equal(id, &other));
        }
    }
    Ok(())
}

/// [`super::super::Store::put_if_newer`], in one round trip if it is written.
pub(in super::super) async fn put_one(
    store: &impl Guarded,
    id: &Id,
    record: &Record,
) -> Result<Put, StoreError> {
    let (mut doubt, mut over): (Doubt, _) = (None, Over::Older);
    for _ in 0..ROUNDS {
        match store.write(&[(id, record)], over).await {
            Ok(wrote) if wrote.all => return Ok(Put::Applied),
            Ok(wrote) => doubt = doubt.or(wrote.doubt),
            Err(error) => return Err(unless_in_doubt(doubt, &[store], error).await),
        }
        match version_after(store, id, &doubt).await? {
            Some(there) if there.stops(record.version) => {
                return Put::unless_ours(record.version, there.version).or_doubt(doubt);
            }
            Some(there) if there.version == record.version => over = Over::Same,
            _ => {}
        }
    }
    Err(doubt.unwrap_or_else(swallowed))
}

/// [`super::super::Store::put_many_if_newer`].
pub(in super::super) async fn put_many(
    store: &impl Guarded,
    records: &[(Id, Record)],
) -> Result<Vec<Copied>, StoreError> {
    let mut answers = vec![Copied::Written; records.len()];
    let mut tried = HashSet::new();
    let mut open: Vec<usize> = (0..records.len()).collect();
    // Of two records with one id, the newer goes first, and the older finds it in the next round.
    open.sort_by_key(|at| (&records[*at].0, Reverse(records[*at].1.version)));
    for _ in 0..ROUNDS {
        if open.is_empty() {
            return Ok(answers);
        }
        let mut ids: Vec<_> = open.iter().map(|at| &records[*at].0).collect();
        ids.dedup();
        let versions = store.versions(&ids).await?;
        let (mut due, mut later): (Vec<usize>, Vec<usize>) = Default::default();
        let mut over = Over::Older;
        // Both are in order, so each id is at this place or the next.
        let mut place = 0;
        for at in open {
            let (id, record) = &records[at];
            place += usize::from(ids[place] != id);
            match versions[place] {
                Some(there) if there.stops(record.version) => {
                    // Unless they were found older and then written.
                    if there.version != record.version || !tried.contains(&at) {
                        answers[at] = Copied::unless_newer(record.version, there.version);
                    }
                }
                _ if due.last().is_some_and(|last| records[*last].0 == *id) => later.push(at),
                there => {
                    if there.is_some_and(|there| there.version == record.version) {
                        over = Over::Same;
                    }
                    due.push(at);
                }
            }
        }
        let writes: Vec<_> = due.iter().map(|at| (&records[*at].0, &records[*at].1)).collect();
        let is_written = match store.write(&writes, over).await {
            Ok(wrote) => wrote.all,
            Err(error) => return Err(at_fault(&[store], error).await),
        };
        if !is_written {
            store.check_ledger().await?;
            tried.extend(due.iter().copied());
            later.extend(due);
            later.sort_by_key(|at| (&records[*at].0, Reverse(records[*at].1.version)));
        }
        open = later;
    }
    if open.is_empty() { Ok(answers) } else { Err(swallowed()) }
}

/// A missing table, column or privilege that a write was refused for is either one of these tables' own, and no record would
/// fit, or one of something that this record alone sets off, such as a trigger. Whether these tables are complete tells which:
/// if they are, the record is at fault. What a login or a connection was refused for is never the record's fault, and its
/// advice is not among these.
pub(in super::super) async fn at_fault<S: Guarded>(stores: &[&S], error: StoreError) -> StoreError {
    let StoreError::Permanent { class: ErrorClass::Other, field, what } = &error else { return error };
    if !matches!(field.as_str(), "table" | "user") {
        return error;
    }
    let advice = [COLUMNS_CHANGED, GRANT, INDEXES_CHANGED, NOT_THERE, TOO_LONG];
    let Some(said) = advice.iter().find_map(|advice| what.strip_suffix(advice)?.strip_suffix(": ")) else {
        return error;
    };
    for store in stores {
        // Without an answer the server's own error is all that is known. Retrying would not end.
        if store.check_tables().await.is_err() {
            return error;
        }
    }
    let what = format!(
        "{said}: the table itself is complete, so a trigger or function that this record sets off fails. Correct that, or \
         the record"
    );
    permanent(ErrorClass::Constraint, "trigger", what)
}

/// The doubt that an earlier attempt left, or else [`at_fault`].
pub(in super::super) async fn unless_in_doubt<S: Guarded>(
    doubt: Doubt,
    stores: &[&S],
    error: StoreError,
) -> StoreError {
    match doubt {
        Some(doubt) => doubt,
        None => at_fault(stores, error).await,
    }
}

/// The results in the order of the request.
pub(in super::super) fn in_order<T>(ids: &[&Id], found: Vec<(Id, T)>) -> Vec<Option<T>> {
    let mut found: HashMap<Id, T> = found.into_iter().collect();
    ids.iter().map(|id| found.remove(*id)).collect()
}

#[cfg(test)]
mod tests;
