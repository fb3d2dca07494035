//! Somebody writes the target without an SDK, where no reader sees it. Operators have to repair that before anybody
//! reads from there.

use cutover_client::{
    routing::Rung,
    store::{Id, Record, Version},
};

use super::with;
use crate::{cast::traffic, invariants, world};

/// No service writes these.
const VALUES_FROM: u64 = 1 << 40;

/// Overwrites a record of the target, with its version or a newer one, if everybody reads the source.
pub fn write(ahead: bool) {
    let records = with(|stage| stage.plan.records);
    // What is ahead waits for a repair. Services write over the rest, but for the record that they seldom write:
    // nobody soon writes over a mistake of the repair there.
    let only_cold = ahead && world::chance(500_000);
    let is_unread = |(tenant, key): &(String, String)| {
        let fits = if only_cold { key == traffic::COLD } else { ahead || key != traffic::COLD };
        fits && invariants::is_at(tenant, Rung::Mirrored)
    };
    let all: Vec<_> = records.all().filter(is_unread).collect();
    if all.is_empty() {
        return;
    }
    let (tenant, key) = &all[world::between(0, all.len() as u64 - 1) as usize];
    let Ok(id) = Id::new(tenant, key) else { return };
    let target = with(|stage| stage.stores[1].clone());
    let seen = target.peek(&id).map_or(Version(1), |record| record.version);
    let version = match world::between(0, 3) {
        0 if !only_cold => seen,
        // For a while services take their writes for superseded.
        at if only_cold || ahead && at >= 2 => Version(seen.0 + (world::between(1_000, 60_000) << 22)),
        _ => Version(seen.0 + 1),
    };
    let value = VALUES_FROM + world::between(0, VALUES_FROM);
    world::tell(|| format!("somebody writes {} {value} to the target alone", traffic::name(tenant, key)));
    target.insert(id, Record { version, value: Some(traffic::bytes(value)) });
}

/// Whether the target still has something of that.
pub fn is_left() -> bool {
    let (records, target) = with(|stage| (stage.plan.records, stage.stores[1].clone()));
    records.all().any(|(tenant, key)| {
        let record = Id::new(&tenant, &key).ok().and_then(|id| target.peek(&id));
        let value = record.and_then(|record| record.value.as_deref().map(traffic::value));
        value.is_some_and(|value| value >= VALUES_FROM)
    })
}

/// Whether the target has a record that the source lacks, or has in another form at the same or an older version.
pub fn outlives_a_copy() -> bool {
    let [source, target] = with(|stage| [0, 1].map(|side| stage.stores[side].clone()));
    target.dump().into_iter().any(|(id, record)| match source.peek(&id) {
        None => !record.is_tombstone(),
        Some(there) => there.version <= record.version && there != record,
    })
}

/// A repair begins, or has ended.
pub fn note_repair(is_under_way: bool) {
    with(|stage| stage.repairs = is_under_way);
}

/// Whether a repair has begun that has not ended.
pub fn is_under_way() -> bool {
    with(|stage| stage.repairs)
}
