//! Errors of stores, classified by what the caller may conclude.

use std::time::Duration;

use cutover_core::outcome::ErrorClass;

#[cfg(feature = "spec")]
use super::Id;

/// Why a store did not answer. Adapters convert their own errors to this once, at their boundary.
///
/// A write that failed with anything but [`Self::Indeterminate`] has changed nothing and never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed; retry the same call.
    #[error("nothing was written, retry: {what}")]
    NotApplied {
        /// Its kind, for the counts.
        class: ErrorClass,
        /// What happened and what to do.
        what: String,
    },
    /// A write may have taken effect, or may still do so.
    #[error("it is not known whether this was written: {what}; read before writing again")]
    Indeterminate {
        /// Its kind, for the counts.
        class: ErrorClass,
        /// What happened.
        what: String,
    },
    /// The store is overloaded; nothing was changed.
    #[error("the store is overloaded, retry after {} ms: {what}", .retry_after.as_millis())]
    Throttled {
        /// A retry before this will probably fail too.
        retry_after: Duration,
        /// The store's message.
        what: String,
    },
    /// It fails every time until somebody changes the record or the set-up; nothing was changed.
    #[error("{field}: {what}")]
    Permanent {
        /// Its kind, for the counts.
        class: ErrorClass,
        /// What is at fault: `value`, `key`, a column, `file`, `table`.
        field: String,
        /// What is wrong and what to do.
        what: String,
    },
}

/// The error of an earlier attempt of one write, if that may have written. From then on only the write's own
/// version, found there, is an answer: something newer may have replaced it.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
pub(super) type Doubt = Option<StoreError>;

/// The beginning of [`StoreError::no_table`]'s message, and of no other table error.
const NO_TABLE: &str = "there is no ";

impl StoreError {
    /// Its kind, for the counts.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::NotApplied { class, .. }
            | Self::Indeterminate { class, .. }
            | Self::Permanent { class, .. } => *class,
            Self::Throttled { .. } => ErrorClass::Server,
        }
    }

    /// The table does not exist; `advice` says where it was looked for, and what to do.
    pub(super) fn no_table(table: &str, advice: &str) -> Self {
        let what = format!("{NO_TABLE}{table:?} {advice}");
        Self::Permanent { class: ErrorClass::Other, field: "table".to_owned(), what }
    }

    /// Whether the error is that the table of a store to be opened does not exist.
    pub fn is_no_table(&self) -> bool {
        matches!(self, Self::Permanent { field, what, .. } if field == "table" && what.starts_with(NO_TABLE))
    }

    /// Says which record it is about, if it is permanent: among several, somebody has to find it. `key`: with escapes if it is
    /// not a valid one.
    #[must_use]
    pub fn of_record(self, tenant: &str, key: &str) -> Self {
        match self {
            Self::Permanent { class, field, what } => {
                let what = format!("{what} {}", named(tenant, key));
                Self::Permanent { class, field, what }
            }
            error => error,
        }
    }

    /// The same, if [`Self::of_record`] has named one of the rows of a table, with the ids of the records. `ids`: of rows, each
    /// with that of its record. Rows of several tables may have the same id.
    #[cfg(feature = "spec")]
    pub(super) fn renamed<'i>(self, ids: impl Iterator<Item = (&'i Id, &'i Id)>) -> Self {
        let Self::Permanent { class, field, what } = self else { return self };
        let mut of_records: Vec<String> = Vec::new();
        let mut reason = None;
        for (row, record) in ids {
            if let Some(rest) = what.strip_suffix(&named(&row.tenant, &row.key)) {
                reason = Some(rest);
                of_records.push(named(&record.tenant, &record.key));
            }
        }
        let what = reason.map(|reason| format!("{reason}{}", of_records.join(" or "))).unwrap_or(what);
        Self::Permanent { class, field, what }
    }

    /// Whether the write may have taken effect, or may still do so.
    pub const fn may_apply(&self) -> bool {
        matches!(self, Self::Indeterminate { .. })
    }
}

fn named(tenant: &str, key: &str) -> String {
    format!("(key {key:?} of tenant {tenant:?})")
}
