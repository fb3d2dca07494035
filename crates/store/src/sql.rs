//! What SQL databases have in common: versions in a column, and driver errors. For servers also the calls,
//! and batches of guarded writes.

#[cfg(any(feature = "mysql", feature = "postgres"))]
mod batch;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod calls;
mod child_faults;
mod child_rows;
mod entry;
mod error;
mod faults;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod id_length;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod key_range;
mod keys;
mod ledger_id;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod merge;
#[cfg(all(test, any(feature = "mysql", feature = "postgres")))]
pub(super) mod plans;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod pool;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod put_all;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod recent_check;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod split;
mod spread;
mod triggers;

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use batch::{
    Guarded, Over, Wrote, at_fault, check_equal, get_versions, in_order, put_many, put_one, unless_in_doubt,
    version_after,
};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use calls::Calls;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use child_faults::loose_with_children;
pub(super) use child_faults::{
    between_children, first_rows, no_child, no_foreign_key, not_from_zero, referring_rows, unmapped_rows,
};
#[cfg(feature = "postgres")]
pub(super) use child_rows::child_rows;
#[cfg(feature = "mysql")]
pub(super) use child_rows::counted_rows;
#[cfg(feature = "sqlite")]
pub(super) use child_rows::hex_bytes;
pub(super) use entry::{Entry, There};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use error::{COLUMNS_CHANGED, GRANT, INDEXES_CHANGED, NOT_THERE, TOO_LONG, is_lost};
pub(super) use error::{class, driver_error, message, not_applied, permanent, throttled};
pub(super) use faults::{
    Faults, cascading, check_new, check_no_ledger, no_ledger, of_both, referred, referring, versions_twice,
};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use faults::{in_this_database, loose_with_ledger, not_beside};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use id_length::{Length, check_lengths, ending_blank};
#[cfg(feature = "postgres")]
pub(super) use keys::uuid_text;
pub(super) use keys::{KeyColumn, KeyKind, Keys};
pub(super) use ledger_id::LedgerId;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use merge::Part;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use put_all::{Together, put_all};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use server::ServerOptions;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) use server::{Database, Facts, Statement, whole_seconds};
pub(super) use spread::spread;
#[cfg(feature = "mysql")]
pub(super) use triggers::{OWN_LEDGER, own_ledger};
pub(super) use triggers::{incomplete, is_stamping, names_sql, triggers};

use super::{StoreError, Version};
use cutover_core::outcome::ErrorClass;

pub(super) fn column_of(version: Version) -> Result<i64, StoreError> {
    i64::try_from(version.0).map_err(|_| {
        permanent(ErrorClass::Serialization, "version", format!("{version} has more than 63 bits"))
    })
}

/// From a row with two counts, records and bytes, if the database has them.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) fn estimate<R: sqlx::Row>(rows: &[R]) -> super::Estimate
where
    usize: sqlx::ColumnIndex<R>,
    Option<i64>: for<'r> sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let column = |at: usize| {
        let count: Option<i64> = rows.first().and_then(|row| row.try_get(at).ok()).flatten();
        count.and_then(|count| u64::try_from(count).ok())
    };
    super::Estimate { records: column(0), bytes: column(1) }
}

/// How often a write is tried that nothing speaks against, before giving up on records that a trigger drops
/// or others delete outright.
pub(super) const ROUNDS: usize = 4;

/// A write whose condition holds wrote nothing, each time that it was tried.
pub(super) fn swallowed() -> StoreError {
    let what = "the database accepted this write and wrote nothing: see which trigger (RETURN NULL, \
                RAISE(IGNORE)), rule or policy drops it, and correct that or the record. If it is a program that \
                deletes the record outright again and again, let it use tombstones";
    permanent(ErrorClass::Constraint, "record", what.to_owned())
}
