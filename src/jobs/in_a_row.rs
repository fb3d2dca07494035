//! Ends a pass that a fault of the whole table would otherwise take into the quarantine, record by record.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cutover_core::outcome::ErrorClass;
use cutover_store::{Id, StoreError};

use super::{Plan, findings::reason, side::Side};

/// So many records of several tenants that a table refuses for one reason, with none between that it has: it refuses all of
/// them.
const MOST: usize = 100;
/// The same for records of one tenant, which are neighbours and may share a fault.
const MOST_OF_TENANT: usize = 1_000;
/// Whatever has so many reasons is at fault itself. More are not kept.
const MOST_REASONS: usize = 100;

/// A table of a side: which of its record types. Without types there is one.
type Table = (Side, usize);

/// What each table refused since the last record that it took, or already had: records by reason. An attempt that is
/// repeated is one record.
pub(super) struct InARow {
    is_limited: bool,
    prefixes: [Vec<String>; 2],
    refused: Mutex<HashMap<Table, HashMap<String, HashSet<Id>>>>,
}

impl InARow {
    /// For a pass.
    pub(super) fn of(plan: &Plan) -> Self {
        Self { is_limited: true, prefixes: plan.prefixes.clone(), refused: Mutex::default() }
    }

    /// For records that are all in the quarantine already.
    pub(super) fn unlimited() -> Self {
        Self { is_limited: false, prefixes: Default::default(), refused: Mutex::default() }
    }

    fn table(&self, side: Side, id: &Id) -> Table {
        let [source, target] = &self.prefixes;
        let prefixes = if side == Side::Source { source } else { target };
        let at = prefixes.iter().position(|prefix| id.key.starts_with(prefix));
        (side, at.unwrap_or(prefixes.len()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Table, HashMap<String, HashSet<Id>>>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Their tables have these records, which were to be written: they do not refuse all of them.
    pub(super) fn accepted<'a>(&self, side: Side, ids: impl IntoIterator<Item = &'a Id>) {
        let mut refused = self.lock();
        if refused.is_empty() {
            return;
        }
        for id in ids {
            refused.remove(&self.table(side, id));
        }
    }

    /// A record was refused. Fails if its table refuses all of them. Only what triggers and functions of the table refuse counts:
    /// any number of records may not fit their columns.
    pub(super) fn refused(&self, side: Side, id: &Id, error: &StoreError) -> Result<(), StoreError> {
        let is_trigger = matches!(error, StoreError::Permanent { field, .. } if field == "trigger");
        if !self.is_limited || !is_trigger {
            return Ok(());
        }
        let mut refused = self.lock();
        let reasons = refused.entry(self.table(side, id)).or_default();
        if reasons.len() >= MOST_REASONS {
            reasons.clear();
        }
        let records = reasons.entry(reason(error)).or_default();
        records.insert(id.clone());
        let of_several = records.iter().any(|it| it.tenant != id.tenant);
        let count = records.len();
        if count < if of_several { MOST } else { MOST_OF_TENANT } {
            return Ok(());
        }
        Err(StoreError::Permanent {
            class: ErrorClass::Other,
            field: "table".to_owned(),
            what: format!(
                "{count} records in a row were refused for one reason, and none was written, so the table seems to refuse \
                 every record. Correct the trigger, or what it uses: a sequence, a function, the rights on them, or the user that it \
                 runs as. Then run this again: it takes the records out of the quarantine. The reason: {error}"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(field: &str, what: &str) -> StoreError {
        StoreError::Permanent {
            class: ErrorClass::Constraint,
            field: field.to_owned(),
            what: what.to_owned(),
        }
    }

    fn of(prefixes: &[&str]) -> InARow {
        let prefixes = [Vec::new(), prefixes.iter().map(ToString::to_string).collect()];
        InARow { is_limited: true, prefixes, refused: Mutex::default() }
    }

    /// Of ten tenants.
    fn id(key: &str, at: usize) -> Id {
        Id::new(&format!("tenant-{}", at % 10), &format!("{key}{at}")).expect("valid")
    }

    fn refuse(row: &InARow, key: &str, what: &str, times: usize) -> Result<(), StoreError> {
        (0..times).try_for_each(|at| {
            row.refused(Side::Target, &id(key, at), &error("trigger", &format!("{what} {at}")))
        })
    }

    #[test]
    fn a_pass_ends_once_a_trigger_refuses_everything() {
        let row = of(&[]);
        assert_eq!(refuse(&row, "a", "no", MOST - 1), Ok(()));
        row.accepted(Side::Source, [&id("a", 1)]);
        assert_eq!(refuse(&row, "a", "no", MOST - 1), Ok(()), "an attempt that is repeated counts once");
        row.accepted(Side::Target, [&id("b", 1)]);
        assert_eq!(refuse(&row, "b", "no", MOST - 1), Ok(()), "a write came between");
        assert_eq!(refuse(&row, "b", "another reason", MOST - 1), Ok(()));
        let ended = row.refused(Side::Target, &id("c", 7), &error("trigger", "no 7"));
        let ended = ended.expect_err("all are refused").to_string();
        assert!(
            ended.starts_with("table: 100 records in a row") && ended.ends_with("trigger: no 7"),
            "{ended}"
        );
        for at in 0..2 * MOST_OF_TENANT {
            assert_eq!(row.refused(Side::Target, &id("d", at), &error("record", "too large")), Ok(()));
        }
        assert_eq!(refuse(&InARow::unlimited(), "a", "no", 2 * MOST_OF_TENANT), Ok(()));
    }

    #[test]
    fn each_table_is_counted_by_itself() {
        let row = of(&["ORDER#", "USER#"]);
        assert_eq!(refuse(&row, "ORDER#", "no", MOST - 1), Ok(()));
        row.accepted(Side::Target, [&id("USER#", 1)]);
        assert_eq!(refuse(&row, "USER#", "neither", MOST - 1), Ok(()));
        assert!(refuse(&row, "ORDER#", "no", MOST).is_err(), "USER# is another table");
        row.accepted(Side::Target, [&id("ORDER#", 1), &id("USER#", 1)]);
        assert_eq!(refuse(&row, "USER#", "neither", MOST - 1), Ok(()));
    }

    #[test]
    fn neighbours_of_one_tenant_need_not_be_all_records() {
        let row = of(&[]);
        let put = |at: usize| {
            let id = Id::new("acme", &at.to_string()).expect("valid");
            row.refused(Side::Target, &id, &error("trigger", "no"))
        };
        assert_eq!((1..MOST_OF_TENANT).try_for_each(put), Ok(()));
        assert!(put(0).is_err());
    }

    #[test]
    fn reasons_that_all_differ_do_not_pile_up() {
        let row = of(&[]);
        for at in 0..10 * MOST_REASONS {
            let what = error("trigger", &"x".repeat(at));
            assert_eq!(row.refused(Side::Target, &id("a", at), &what), Ok(()));
        }
        assert!(row.lock().values().all(|reasons| reasons.len() <= MOST_REASONS));
    }
}
