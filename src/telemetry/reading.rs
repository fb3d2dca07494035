//! Cells off the wire, believed only when they make sense.

use cutover_client::report::Histogram;
use cutover_proto::v1;

use super::tally::{Totals, slot};
use crate::domain::{Key, Tenant};

/// No count of one report is this large.
const COUNT_END: u64 = 1 << 48;

/// A cell that makes sense.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) migration: String,
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
    /// `None`: malformed, all of it is to be rejected.
    pub(super) fn of(cell: &v1::Cell, newest: u64) -> Option<Self> {
        let key = Key::parse(&cell.migration).ok()?;
        let events = Totals::from(cell);
        let is_tenant = cell.tenant.is_empty() || Tenant::parse(&cell.tenant).is_ok();
        let is_small = events.named().iter().all(|(_, count)| *count < COUNT_END);
        if cell.revision > newest || !is_tenant || !is_small {
            return None;
        }
        let calls = cell.stores.iter().map(Calls::of).collect::<Option<_>>()?;
        Some(Self { migration: key.as_str().to_owned(), events, calls })
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
            // Small counts first: their sum is then one, too.
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
