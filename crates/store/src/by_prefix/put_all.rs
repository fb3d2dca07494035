//! Several records in one transaction: the tables are in one database.

use std::any::Any;

use super::{
    super::{Id, PutAll, Record, Store, StoreError, put_all::no_transactions},
    ByPrefix,
};
#[cfg(feature = "mysql")]
use crate::MySqlStore;
#[cfg(feature = "postgres")]
use crate::PostgresStore;
#[cfg(feature = "sqlite")]
use crate::SqliteStore;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::sql::put_all;
use crate::stripped::Stripped;

/// Stores, each with its records.
type Parts<'s, S> = Vec<(&'s S, Vec<(Id, Record)>)>;

/// Those of this kind, if all are.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
fn all_of<'s, S: Store>(parts: &Parts<'s, dyn Store>) -> Option<Parts<'s, S>> {
    let of = |(store, records): &(&'s dyn Store, Vec<(Id, Record)>)| {
        let store: &'s dyn Any = *store;
        Some((store.downcast_ref::<S>()?, records.clone()))
    };
    parts.iter().map(of).collect()
}

/// Writes to tables of one database.
async fn put_parts(parts: &Parts<'_, dyn Store>) -> Result<PutAll, StoreError> {
    #[cfg(feature = "sqlite")]
    if let Some(parts) = all_of(parts) {
        return SqliteStore::put_all(&parts).await;
    }
    #[cfg(feature = "mysql")]
    if let Some(parts) = all_of::<MySqlStore>(parts) {
        return put_all(&parts).await;
    }
    #[cfg(feature = "postgres")]
    if let Some(parts) = all_of::<PostgresStore>(parts) {
        return put_all(&parts).await;
    }
    Err(not_sql())
}

/// The stores of the tables themselves, with the ids that these have.
fn in_tables<'s>(parts: &Parts<'s, dyn Store>) -> Result<Parts<'s, dyn Store>, StoreError> {
    let of = |(store, records): &(&'s dyn Store, Vec<(Id, Record)>)| {
        let any: &'s dyn Any = *store;
        Ok(match any.downcast_ref::<Stripped>() {
            Some(stripped) => (stripped.table(), stripped.rows(records)?),
            None => (*store, records.clone()),
        })
    };
    parts.iter().map(of).collect()
}

fn ids_of(parts: &Parts<'_, dyn Store>) -> Vec<Id> {
    parts.iter().flat_map(|(_, records)| records).map(|(id, _)| id.clone()).collect()
}

/// A spec with record types has SQL stores.
fn not_sql() -> StoreError {
    no_transactions("the tables of its record types are not in one SQL database")
}

/// Whether one transaction can have all of these.
fn are_sql(parts: &Parts<'_, dyn Store>) -> bool {
    let is = [
        #[cfg(feature = "sqlite")]
        all_of::<SqliteStore>(parts).is_some(),
        #[cfg(feature = "mysql")]
        all_of::<MySqlStore>(parts).is_some(),
        #[cfg(feature = "postgres")]
        all_of::<PostgresStore>(parts).is_some(),
    ];
    is.contains(&true)
}

impl ByPrefix {
    /// Writes to the tables in the order of the types in the spec. The places of refused records are those in `records`, ascending.
    pub(super) async fn put_all(&self, records: &[(Id, Record)]) -> Result<PutAll, StoreError> {
        let mut by_store = self.by_store(records.iter().map(|(id, _)| id))?;
        by_store.sort_by_key(|(_, places)| {
            let key = &records[places[0]].0.key;
            self.types.iter().find(|it| key.starts_with(&it.prefix)).map(|it| it.place)
        });
        let part = |places: &[usize]| places.iter().map(|place| records[*place].clone()).collect::<Vec<_>>();
        let parts: Parts<'_, dyn Store> =
            by_store.iter().map(|(store, places)| (*store, part(places))).collect();
        let put = match &parts[..] {
            [(store, records)] => store.put_all_if_newer(records).await?,
            _ => {
                let rows = in_tables(&parts)?;
                let (of_rows, of_records) = (ids_of(&rows), ids_of(&parts));
                put_parts(&rows).await.map_err(|error| error.renamed(of_rows.iter().zip(&of_records)))?
            }
        };
        let places: Vec<usize> = by_store.into_iter().flat_map(|(_, places)| places).collect();
        Ok(match put {
            PutAll::Applied => PutAll::Applied,
            PutAll::Refused(refused) => {
                let mut refused: Vec<_> =
                    refused.into_iter().map(|(at, version)| (places[at], version)).collect();
                refused.sort_unstable();
                PutAll::Refused(refused)
            }
        })
    }

    /// A key of no type is [`Self::put_all`]'s to refuse, as it is a put's: it is no reason at a rung that does not write here.
    pub(super) fn check_parts(&self, ids: &[Id]) -> Result<(), StoreError> {
        let ids: Vec<&Id> = ids.iter().filter(|id| self.of(&id.key).is_ok()).collect();
        let by_store = self.by_store(ids.iter().copied())?;
        for (store, places) in &by_store {
            store.check_all(&places.iter().map(|place| ids[*place].clone()).collect::<Vec<_>>())?;
        }
        let parts: Parts<'_, dyn Store> = by_store.iter().map(|(store, _)| (*store, Vec::new())).collect();
        if by_store.len() > 1 && !are_sql(&in_tables(&parts)?) {
            return Err(not_sql());
        }
        Ok(())
    }
}
