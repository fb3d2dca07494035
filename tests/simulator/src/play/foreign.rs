//! Somebody writes the target without an SDK, where no reader sees it. Operators have to repair that before anybody
//! reads from there.

use cutover_client::{
    routing::Rung,
    store::{Id, Record, Version},
};

use super::{chaos, kill, with};
use crate::{
    cast::traffic,
    data::{self, Delay, Trap},
    invariants,
    world::{self, MS, Pid, S, Time},
};

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

/// The worker of a repair stops: before a read or a write that is then late, or after a write that lands late.
pub(super) fn disturb_repair(pid: Pid) {
    if with(|stage| world::now() >= stage.plan.calm_from) || !world::chance(800_000) {
        return;
    }
    // Where operators cancel the repair, nothing else disturbs it.
    let is_canceled = with(|stage| stage.plan.faults.is_empty());
    // Services have written the record before it lands.
    let late = chaos::span(400 * MS, 2 * S);
    match world::between(0, if is_canceled { 1 } else { 5 }) {
        // Before the first look at the target, or between a put and the look after it.
        0 | 1 => stand_still(pid, false, world::between(0, 7), chaos::span(15 * S, 40 * S)),
        2 => stand_still(pid, true, 0, chaos::span(S, 10 * S)),
        // A worker that begins where it ended has to find what its put did.
        3 => on_write(pid, late, move || {
            world::after(world::between(0, 20 * MS), move || {
                world::tell(|| format!("w{pid} is killed"));
                kill(pid, false);
            });
        }),
        // It looks again once the put that it gave up has landed.
        _ => on_write(pid, late, move || stand_still(pid, false, 0, late + chaos::span(100 * MS, 500 * MS))),
    }
}

/// It stops before a call to the target. A late read does no harm: the right to act is checked after it. Nor does a
/// late write: it depends on the version.
fn stand_still(pid: Pid, is_write: bool, skips: u64, span: Time) {
    let spring = move |_| chaos::freeze_for(pid, &format!("w{pid}"), span);
    let delay = Delay::HeldBack(span);
    data::set_trap(Trap { pid, store: 1, is_write, skips, delay, spring: Box::new(spring) });
}

/// It gives its next write to the target up, which lands so late. Services write that record meanwhile.
fn on_write(pid: Pid, late: Time, spring: impl FnOnce() + 'static) {
    let spring = move |written: Option<Id>| {
        if let Some(id) = written {
            let name = traffic::name(&id.tenant, &id.key);
            world::tell(|| format!("w{pid} gives up its write of {name}, which lands in {} ms", late / MS));
            // A write that ends after it has landed would mend what is wrong.
            traffic::use_only(id, late / 2);
        }
        spring();
    };
    let delay = Delay::Unanswered(late);
    data::set_trap(Trap { pid, store: 1, is_write: true, skips: 0, delay, spring: Box::new(spring) });
}

/// A repair begins, or has ended.
pub fn note_repair(is_under_way: bool) {
    with(|stage| stage.repairs = is_under_way);
}

/// Whether a repair has begun that has not ended.
pub fn is_under_way() -> bool {
    with(|stage| stage.repairs)
}
