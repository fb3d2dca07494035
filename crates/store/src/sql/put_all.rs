//! Several records in one transaction, over one or several tables of a database.

use async_trait::async_trait;
use sqlx::Executor;

use super::{
    super::{Id, PutAll, Record, Store, StoreError, Version, put_all::was_applied},
    Calls, Database, Guarded, Keys, Over, ROUNDS, Statement, There, check_equal, permanent, swallowed,
};
use cutover_core::outcome::ErrorClass;

/// What a table adds to a transaction, in a database's own syntax.
#[async_trait]
pub(in super::super) trait Together: Guarded + Store {
    type Db: Database;

    fn calls(&self) -> &Calls<Self::Db>;

    fn keys(&self) -> &Keys;

    /// What begins a transaction ([`Statement::begins`]).
    fn begin(&self) -> Statement<Self::Db>;

    /// Statements that write all of these records, or fail with [`swallowed`]. The ids are distinct and ascending.
    async fn all(
        &self,
        records: &[(&Id, &Record)],
        over: Over,
    ) -> Result<Vec<Statement<Self::Db>>, StoreError>;
}

/// [`Store::put_all_if_newer`] of records of several tables of one database, in the order of the parts. A statement that does
/// not write all of its records fails, and the transaction is rolled back. What is there then, and is not older, is the answer.
pub(in super::super) async fn put_all<S>(parts: &[(&S, Vec<(Id, Record)>)]) -> Result<PutAll, StoreError>
where
    S: Together,
    <S::Db as sqlx::Database>::QueryResult: Default + Extend<<S::Db as sqlx::Database>::QueryResult>,
    for<'c> &'c mut <S::Db as sqlx::Database>::Connection: Executor<'c, Database = S::Db>,
{
    let Some((first, _)) = parts.first() else { return Ok(PutAll::Applied) };
    for (store, records) in parts {
        check_loose(*store, records).await?;
    }
    let mut over = Over::Older;
    for _ in 0..ROUNDS {
        let mut statements = vec![first.begin()];
        for (store, records) in parts {
            // All transactions wait for locks in one order.
            let mut sorted: Vec<_> = records.iter().map(|(id, record)| (id, record)).collect();
            sorted.sort_unstable_by_key(|(id, _)| *id);
            statements.extend(store.all(&sorted, over).await?);
        }
        statements.push(Statement::text("COMMIT".to_owned()));
        let error = match first.calls().change(&statements.iter().collect::<Vec<_>>()).await {
            Ok(_) => return Ok(PutAll::Applied),
            Err(error) if error == swallowed() || error.may_apply() => error,
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for (store, records) in parts {
            match look(*store, records, &mut over).await {
                Ok(of_part) => found.extend(of_part),
                Err(failed) => return Err(if error.may_apply() { error } else { failed }),
            }
        }
        let versions = parts.iter().flat_map(|(_, records)| records.iter().map(|(_, record)| record.version));
        if error.may_apply() {
            return if was_applied(versions.zip(found)) { Ok(PutAll::Applied) } else { Err(error) };
        }
        let found = found.into_iter().enumerate();
        let refused: Vec<_> = found.filter_map(|(place, there)| Some((place, there?))).collect();
        if !refused.is_empty() {
            return Ok(PutAll::Refused(refused));
        }
    }
    for (store, records) in parts {
        let ids: Vec<&Id> = records.iter().map(|(id, _)| id).collect();
        check_equal(*store, store.keys(), &ids).await?;
    }
    Err(swallowed())
}

/// The version that keeps each of these records out.
async fn look<S: Together>(
    store: &S,
    records: &[(Id, Record)],
    over: &mut Over,
) -> Result<Vec<Option<Version>>, StoreError> {
    store.check_ledger().await?;
    let found = store.versions(&records.iter().map(|(id, _)| id).collect::<Vec<_>>()).await?;
    let stops = |((_, record), there): (&(Id, Record), Option<There>)| {
        let there = there?;
        if there.stops(record.version) {
            return Some(there.version);
        }
        if there.version == record.version {
            *over = Over::Same;
        }
        None
    };
    Ok(records.iter().zip(found).map(stops).collect())
}

/// Refuses records of which the table can hold only one.
async fn check_loose<S: Together>(store: &S, records: &[(Id, Record)]) -> Result<(), StoreError> {
    let Some(names) = store.loose_ids() else { return Ok(()) };
    let ids: Vec<Id> = records.iter().map(|(id, _)| id.clone()).collect();
    let Some(equal) = store.equal_ids(&ids).await?.pop() else { return Ok(()) };
    let what = format!(
        "{:?} and {:?} are equal in the collation of {names}, so only one of the two can be written",
        ids[equal.first].key, ids[equal.last].key
    );
    Err(permanent(ErrorClass::Constraint, "key", what))
}
