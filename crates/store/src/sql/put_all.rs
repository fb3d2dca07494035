//! Several records in one transaction, over one or several tables of a database.

use async_trait::async_trait;
use sqlx::Executor;

use super::{
    super::{
        Id, PutAll, Record, Store, StoreError, Version,
        put_all::{in_order, of_one_of, was_applied},
    },
    Calls, Database, Guarded, Keys, Over, ROUNDS, Statement, There, at_fault, check_equal, swallowed,
};

/// What a table adds to a transaction, in a database's own syntax.
#[async_trait]
pub(in super::super) trait Together: Guarded + Store {
    type Db: Database;

    fn calls(&self) -> &Calls<Self::Db>;

    fn keys(&self) -> &Keys;

    /// What begins a transaction ([`Statement::begins`]).
    fn begin(&self) -> Statement<Self::Db>;

    /// Whether tombstones delete rows.
    fn deletes(&self) -> bool;

    /// Statements that write all of these records, or fail with [`swallowed`]. The ids are distinct and ascending. If
    /// tombstones delete rows, all records are tombstones or none is.
    async fn all(
        &self,
        records: &[(&Id, &Record)],
        over: Over,
    ) -> Result<Vec<Statement<Self::Db>>, StoreError>;
}

/// [`Store::put_all_if_newer`] of records of several tables of one database, in the order of [`in_order`]. A statement that
/// does not write all of its records fails, and the transaction is rolled back. What is there then, and is not older, is the
/// answer.
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
    let ids: Vec<&Id> = parts.iter().flat_map(|(_, records)| records).map(|(id, _)| id).collect();
    let mut over = Over::Older;
    for _ in 0..ROUNDS {
        let mut statements = vec![first.begin()];
        for (store, records) in in_order(parts, S::deletes) {
            let records: Vec<_> = records.into_iter().map(|(_, id, record)| (id, record)).collect();
            statements.extend(all_of(store, &records, over).await?);
        }
        statements.push(Statement::text("COMMIT".to_owned()));
        let error = match first.calls().change(&statements.iter().collect::<Vec<_>>()).await {
            Ok(_) => return Ok(PutAll::Applied),
            Err(error) if error == swallowed() || error.may_apply() => error,
            Err(error) => {
                let stores: Vec<&S> = parts.iter().map(|(store, _)| *store).collect();
                return Err(of_one_of(&ids, at_fault(&stores, error).await));
            }
        };
        let mut found = Vec::new();
        for (store, records) in parts {
            match look(*store, records, &mut over).await {
                Ok(of_part) => found.extend(of_part),
                Err(failed) => return Err(if error.may_apply() { error } else { of_one_of(&ids, failed) }),
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
    Err(of_one_of(&ids, swallowed()))
}

/// [`Together::all`]; an error names the record that it is about.
async fn all_of<S: Together>(
    store: &S,
    records: &[(&Id, &Record)],
    over: Over,
) -> Result<Vec<Statement<S::Db>>, StoreError> {
    let error = match store.all(records, over).await {
        Ok(statements) => return Ok(statements),
        Err(error @ StoreError::Permanent { .. }) => error,
        Err(error) => return Err(error),
    };
    for one in records {
        let alone = store.all(std::slice::from_ref(one), over).await;
        alone.map_err(|error| error.of_record(&one.0.tenant, &one.0.key))?;
    }
    Err(error)
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
    match store.equal_ids(&ids).await?.pop() {
        Some(equal) => Err(equal.refusal(&ids, &names)),
        None => Ok(()),
    }
}
