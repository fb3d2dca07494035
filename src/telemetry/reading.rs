//! Reads cells from the wire; accepts only consistent ones.

use cutover_core::histogram::Histogram;
use cutover_proto::v1;

use crate::domain::{Key, Tenant, Totals};

/// No count in a report is this large.
const COUNT_END: u64 = 1 << 48;

/// Every store and operation kind, in the order of [`crate::domain::Counts::calls`].
pub const SLOTS: [(v1::StoreRole, v1::Operation); 4] = [
    (v1::StoreRole::Source, v1::Operation::Read),
    (v1::StoreRole::Source, v1::Operation::Write),
    (v1::StoreRole::Target, v1::Operation::Read),
    (v1::StoreRole::Target, v1::Operation::Write),
];

/// The index for this store's calls of this kind. `None`: one of them is unspecified.
pub(super) fn slot(store: v1::StoreRole, operation: v1::Operation) -> Option<usize> {
    SLOTS.iter().position(|slot| *slot == (store, operation))
}

/// A consistent cell.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) migration: Key,
    /// The revision under which its calls were decided.
    pub(super) revision: u64,
    pub(super) events: Totals,
    pub(super) calls: Vec<Calls>,
}

/// Calls of one operation kind to one store.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) slot: usize,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) latency: Histogram,
}

impl Reading {
    /// `None`: malformed; reject the whole cell.
    pub(super) fn of(cell: &v1::Cell, newest: u64) -> Option<Self> {
        let key = Key::parse(&cell.migration).ok()?;
        let events = events(cell);
        let is_tenant = cell.tenant.is_empty() || Tenant::parse(&cell.tenant).is_ok();
        let is_small = events.named().iter().all(|(_, count)| *count < COUNT_END);
        if cell.revision > newest || !is_tenant || !is_small {
            return None;
        }
        let calls = cell.stores.iter().map(Calls::of).collect::<Option<_>>()?;
        Some(Self { migration: key, revision: cell.revision, events, calls })
    }
}

impl Calls {
    fn of(wire: &v1::StoreCalls) -> Option<Self> {
        let slot = slot(wire.store(), wire.operation())?;
        let errors = wire.errors.unwrap_or_default();
        let v1::ErrorCounts { timeout, connection, server, constraint, serialization, other } = errors;
        let errors = [timeout, connection, server, constraint, serialization, other];
        let errors = errors.into_iter().fold(0, u64::saturating_add);
        let latency = match &wire.latency_us {
            // Small counts first, so their sum can't overflow.
            Some(wire) if wire.count.iter().any(|count| *count >= COUNT_END) => return None,
            Some(wire) => Histogram::try_from(wire).ok()?,
            None => Histogram::default(),
        };
        (errors <= wire.calls && wire.calls < COUNT_END).then_some(Self {
            slot,
            calls: wire.calls,
            errors,
            latency,
        })
    }
}

fn events(cell: &v1::Cell) -> Totals {
    Totals {
        hit: cell.hit,
        miss: cell.miss,
        not_found: cell.not_found,
        migrated: cell.migrated,
        backfill: cell.backfill,
        repaired: cell.repaired,
        mismatch: cell.mismatch,
        compared: cell.compared,
        lacking: cell.lacking,
        both_ok: cell.both_ok,
        only_target_failed: cell.only_target_failed,
        only_source_failed: cell.only_source_failed,
        both_failed: cell.both_failed,
        indeterminate: cell.indeterminate,
        not_applied: cell.not_applied,
        unavailable: cell.unavailable,
    }
}
