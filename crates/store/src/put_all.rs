//! Several records in one transaction.

use super::{EqualIds, Id, Record, StoreError, Version};
use cutover_core::outcome::ErrorClass;

/// The result of [`super::Store::put_all_if_newer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutAll {
    /// This call has written all records, or an earlier attempt of its own has.
    Applied,
    /// Nothing was written. The records at these places of the list, ascending and at least one, are not newer than this
    /// version, which is there.
    Refused(Vec<(usize, Version)>),
}

impl PutAll {
    /// By what keeps records out.
    pub(super) fn unless(refused: Vec<(usize, Version)>) -> Self {
        if refused.is_empty() { Self::Applied } else { Self::Refused(refused) }
    }
}

impl EqualIds {
    /// The refusal of records of which a table can hold only one. `names`: [`super::Store::loose_ids`].
    pub fn refusal(&self, ids: &[Id], names: &str) -> StoreError {
        let what = format!(
            "{:?} and {:?} are equal in the collation of {names}, so only one of the two can be written",
            ids[self.first].key, ids[self.last].key
        );
        StoreError::Permanent { class: ErrorClass::Constraint, field: "key".to_owned(), what }
    }
}

/// The store can't write several records at once, for this reason.
pub(super) fn no_transactions(why: &str) -> StoreError {
    let what = format!("{why}, so transact can't write several records at once: write them one by one");
    StoreError::Permanent { class: ErrorClass::Other, field: "store".to_owned(), what }
}

/// Says whose error it is, or of how many records, if a store that refuses one of them does not name it.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
pub(super) fn of_one_of(ids: &[&Id], error: StoreError) -> StoreError {
    match (ids, error) {
        ([id], error) => error.of_record(&id.tenant, &id.key),
        (_, StoreError::Permanent { class: ErrorClass::Constraint, field, what }) => {
            let what = format!(
                "{what} (it is about one of the {} records of a transaction. Put them one by one to see which)",
                ids.len()
            );
            StoreError::Permanent { class: ErrorClass::Constraint, field, what }
        }
        (_, error) => error,
    }
}

/// Records of a store, each with its place among those of all stores.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(super) type Placed<'p, S> = (&'p S, Vec<(usize, &'p Id, &'p Record)>);

/// The order in which the tables of a database are written: first the puts, in the order of the parts, then the deletes, in
/// the reverse order. So foreign keys hold if each table refers only to those before it. Within a table the order is that of
/// the ids. `deletes`: whether tombstones delete rows in this table; otherwise they are puts.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
pub(super) fn in_order<'p, S>(
    parts: &'p [(&'p S, Vec<(Id, Record)>)],
    deletes: impl Fn(&S) -> bool,
) -> Vec<Placed<'p, S>> {
    let (mut puts, mut removals, mut before) = (Vec::new(), Vec::new(), 0);
    for (store, records) in parts {
        let mut sorted: Vec<_> =
            records.iter().enumerate().map(|(at, (id, record))| (before + at, id, record)).collect();
        before += records.len();
        sorted.sort_unstable_by_key(|(_, id, _)| *id);
        let deletes = deletes(store);
        let (removed, put): (Vec<_>, Vec<_>) =
            sorted.into_iter().partition(|(_, _, record)| deletes && record.is_tombstone());
        puts.push((*store, put));
        removals.push((*store, removed));
    }
    removals.reverse();
    puts.append(&mut removals);
    puts.retain(|(_, records)| !records.is_empty());
    puts
}

/// What an attempt that may have written has done, if the records show it: each is this one or newer, and one of them
/// is still there. Records are named by their versions, each with that which is there and keeps it out.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
pub(super) fn was_applied(found: impl IntoIterator<Item = (Version, Option<Version>)>) -> bool {
    let mut one_is_there = false;
    for (version, there) in found {
        match there {
            None => return false,
            Some(there) => one_is_there |= there == version,
        }
    }
    one_is_there
}

#[cfg(all(test, feature = "sqlite", feature = "mysql", feature = "postgres", feature = "dynamodb"))]
mod tests {
    use super::*;

    #[test]
    fn deletes_come_last_in_the_reverse_order_of_tables() {
        let record = |key: &str, value: Option<&str>| {
            let value = value.map(|value| value.as_bytes().to_vec());
            (Id::new("t", key).expect("valid"), Record { version: Version(1), value })
        };
        let users = vec![record("u2", Some("2")), record("u1", None), record("u0", Some("0"))];
        let orders = vec![record("o1", Some("1")), record("o3", None), record("o2", None)];
        let parts = [(&"users", users), (&"orders", orders), (&"none", Vec::new())];
        let order = |deletes: fn(&&str) -> bool| -> Vec<(&str, Vec<usize>)> {
            let steps = in_order(&parts, deletes).into_iter();
            steps.map(|(table, records)| (*table, records.into_iter().map(|(at, ..)| at).collect())).collect()
        };
        let expected =
            [("users", vec![2, 0]), ("orders", vec![3]), ("orders", vec![5, 4]), ("users", vec![1])];
        assert_eq!(order(|_| true), expected);
        assert_eq!(order(|_| false), [("users", vec![2, 1, 0]), ("orders", vec![3, 5, 4])]);
    }

    #[test]
    fn a_lost_answer_is_found_by_one_record_if_none_is_older() {
        let was = |there: [Option<u64>; 2]| was_applied(there.map(|there| (Version(5), there.map(Version))));
        assert!(was([Some(5), Some(5)]));
        assert!(was([Some(5), Some(9)]), "something newer has replaced one");
        assert!(!was([Some(9), Some(7)]), "nothing shows that it was there");
        assert!(!was([Some(5), None]), "another writer's record with the same version");
        assert!(!was([None, None]));
    }
}
