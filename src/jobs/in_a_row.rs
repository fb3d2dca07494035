//! Ends a pass that a fault of the whole table would otherwise take into the quarantine, record by record.

use std::sync::{Mutex, PoisonError};

use cutover_core::outcome::ErrorClass;
use cutover_store::StoreError;

use super::findings::reason;

/// A trigger that refuses so many records in a row, with none between that the table has, refuses all of them.
const MOST: u32 = 100;

/// Refusals for one reason since the last record that the table took, or already had.
pub(super) struct InARow {
    most: u32,
    refused: Mutex<(String, u32)>,
}

impl Default for InARow {
    fn default() -> Self {
        Self { most: MOST, refused: Mutex::default() }
    }
}

impl InARow {
    /// For records that are all in the quarantine already.
    pub(super) fn unlimited() -> Self {
        Self { most: u32::MAX, ..Self::default() }
    }

    /// The table has a record that was to be written: it does not refuse all of them.
    pub(super) fn accepted(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    /// A record was refused. Fails if the table refuses all of them. Only what triggers and functions of the table refuse counts:
    /// any number of records may not fit their columns.
    pub(super) fn refused(&self, error: &StoreError) -> Result<(), StoreError> {
        if !matches!(error, StoreError::Permanent { field, .. } if field == "trigger") {
            return Ok(());
        }
        let reason = reason(error);
        let mut row = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if row.0 != reason {
            *row = (reason, 0);
        }
        row.1 += 1;
        if row.1 < self.most {
            return Ok(());
        }
        Err(StoreError::Permanent {
            class: ErrorClass::Other,
            field: "table".to_owned(),
            what: format!(
                "{MOST} records in a row were refused for one reason, and none was written, so every record is refused. \
                 Correct the trigger, or the rights on what it uses, such as a sequence or a function. Then run this again: \
                 it takes the records out of the quarantine. The reason: {error}"
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

    #[test]
    fn a_pass_ends_once_a_trigger_refuses_everything() {
        let row = InARow::default();
        let many = |what: &str, times: u32| {
            (0..times).map(|at| row.refused(&error("trigger", &format!("{what} {at}")))).collect::<Vec<_>>()
        };
        assert!(many("no", MOST - 1).iter().all(Result::is_ok));
        row.accepted();
        assert!(many("no", MOST - 1).iter().all(Result::is_ok), "a write came between");
        assert_eq!(row.refused(&error("trigger", "another reason")), Ok(()));
        assert!(many("no", MOST - 1).iter().all(Result::is_ok));
        let ended = row.refused(&error("trigger", "no 7")).expect_err("all are refused").to_string();
        assert!(
            ended.starts_with("table: 100 records in a row") && ended.ends_with("trigger: no 7"),
            "{ended}"
        );
        let row = InARow::default();
        assert!((0..2 * MOST).all(|_| row.refused(&error("record", "too large")).is_ok()));
        let row = InARow::unlimited();
        assert!((0..2 * MOST).all(|_| row.refused(&error("trigger", "no")).is_ok()));
    }
}
