//! Converts cells from the wire to the judge's form. The judge checks whether the counts make sense.

use cutover_proto::v1;

use crate::domain::{
    Tenant,
    guard::{Arm, Cell, Operation, Pairs},
};

/// The first histogram bucket that counts as slow, by operation. `None`: not known yet.
pub(super) type SlowFrom = [Option<u32>; 2];

/// Splits a cell into its reads and its writes. `tenant` is the wire's, parsed.
pub(super) fn split<'a>(wire: &v1::Cell, tenant: Option<&'a Tenant>, slow_from: SlowFrom) -> [Cell<'a>; 2] {
    let arm = |store, operation| arm(wire, store, operation, slow_from);
    let v1::ReadPairs { calls, only_target_failed, only_source_failed, both_failed } =
        wire.read_pairs.unwrap_or_default();
    let written = [wire.both_ok, wire.only_target_failed, wire.only_source_failed, wire.both_failed];
    [
        Cell {
            target: arm(v1::StoreRole::Target, Operation::Read),
            source: arm(v1::StoreRole::Source, Operation::Read),
            pairs: Pairs { calls, only_target_failed, only_source_failed, both_failed },
            hit: wire.hit,
            miss: wire.miss,
            compared: wire.compared,
            lacking: wire.lacking,
            mismatch: wire.mismatch,
            ..Cell::empty(wire.revision, Operation::Read, tenant)
        },
        Cell {
            target: arm(v1::StoreRole::Target, Operation::Write),
            source: arm(v1::StoreRole::Source, Operation::Write),
            pairs: Pairs {
                calls: written.into_iter().fold(0, u64::saturating_add),
                only_target_failed: wire.only_target_failed,
                only_source_failed: wire.only_source_failed,
                both_failed: wire.both_failed,
            },
            ..Cell::empty(wire.revision, Operation::Write, tenant)
        },
    ]
}

/// Calls of one kind to one store.
pub(super) fn calls_of(
    wire: &v1::Cell,
    store: v1::StoreRole,
    operation: Operation,
) -> Option<&v1::StoreCalls> {
    let kind = match operation {
        Operation::Read => v1::Operation::Read,
        Operation::Write => v1::Operation::Write,
    };
    wire.stores.iter().find(|calls| calls.store() == store && calls.operation() == kind)
}

fn arm(wire: &v1::Cell, store: v1::StoreRole, operation: Operation, slow_from: SlowFrom) -> Arm {
    let Some(calls) = calls_of(wire, store, operation) else { return Arm::default() };
    let v1::ErrorCounts { timeout, connection, server, constraint, serialization, other } =
        calls.errors.unwrap_or_default();
    let slower = |histogram: Option<&v1::Histogram>| {
        let from = slow_from[operation as usize];
        histogram.zip(from).map_or(0, |(histogram, from)| from_bucket(histogram, from))
    };
    Arm {
        calls: calls.calls,
        errors: [timeout, connection, server, constraint, serialization, other],
        slow: slower(calls.latency_us.as_ref()),
        answered: calls.answered,
        not_found: calls.not_found,
        overdue: slower(calls.in_flight_us.as_ref()),
    }
}

fn from_bucket(histogram: &v1::Histogram, from: u32) -> u64 {
    let counted = histogram.index.iter().zip(&histogram.count);
    counted.filter(|(index, _)| **index >= from).fold(0, |sum, (_, count)| sum.saturating_add(*count))
}
