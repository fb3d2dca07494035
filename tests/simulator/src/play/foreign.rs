//! Somebody writes the target without an SDK, where no reader sees it. Operators have to repair that before anybody
//! reads from there.

use cutover_client::{
    routing::Rung,
    store::{Id, Record, Version},
};

use super::{chaos, kill, with};
use crate::{
    cast::traffic,
    data, invariants,
    world::{self, MS, Pid, S},
};

/// No service writes these.
const VALUES_FROM: u64 = 1 << 40;

/// Overwrites a record of the target, with its version or a newer one, if everybody reads the source.
pub fn write(ahead: bool) {
    let records = with(|stage| stage.plan.records);
    // What is ahead waits for a repair. Services write over the rest, but for the record that they seldom write.
    let is_unread = |(tenant, key): &(String, String)| {
        invariants::is_at(tenant, Rung::Mirrored) && (ahead || key != traffic::COLD)
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
        0 => seen,
        // For a while services take their writes for superseded.
        2.. if ahead => Version(seen.0 + (world::between(1_000, 60_000) << 22)),
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

/// The worker of a repair stops: before a read or a write that is then late, or right after a write.
pub(super) fn disturb_repair(pid: Pid) {
    if with(|stage| world::now() >= stage.plan.calm_from) || !world::chance(700_000) {
        return;
    }
    let (is_write, kills) = (world::chance(500_000), world::chance(500_000));
    let span = if is_write { chaos::span(S, 10 * S) } else { chaos::span(15 * S, 40 * S) };
    let spring = move || match is_write && kills {
        true => world::after(world::between(0, 20 * MS), move || {
            world::tell(|| format!("w{pid} is killed"));
            kill(pid, false);
        }),
        false => chaos::freeze_for(pid, &format!("w{pid}"), span),
    };
    // A late read does no harm: the right to act is checked after it. Nor does a late write: it depends on the version.
    let held_back = if is_write && kills { 0 } else { span };
    // Before the first look at the target, or between a put and the look after it.
    let skips = if is_write { 0 } else { world::between(0, 7) };
    data::set_trap(data::Trap { pid, store: 1, is_write, skips, held_back, spring: Box::new(spring) });
}

/// A repair begins, or has ended.
pub fn note_repair(is_under_way: bool) {
    with(|stage| stage.repairs = is_under_way);
}

/// Whether a repair has begun that has not ended.
pub fn is_under_way() -> bool {
    with(|stage| stage.repairs)
}
