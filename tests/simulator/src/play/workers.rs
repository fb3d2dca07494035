//! Workers of passes that stop in the middle of a page, or give up a write that lands later.

use cutover_client::store::Id;

use super::{chaos, kill, with};
use crate::{
    cast::traffic,
    data::{self, Delay, Trap},
    world::{self, MS, Pid, S, Time},
};

/// The worker of a pass stops once it has read some records. Until it goes on, the service without the SDK changes or
/// deletes one of them, and the controller counts the worker out. Operators go on without it.
pub(super) fn disturb_copy(pid: Pid) {
    let stops = with(|stage| world::now() < stage.plan.legacy_until && stage.plan.policy.fence_after_ms > 0);
    if !stops || !world::chance(100_000) {
        return;
    }
    // A worker that is silent is waited for until its calls must have ended, which it says takes 60 s.
    let span = chaos::span(85 * S, 100 * S);
    let spring = move |_| chaos::freeze_for(pid, &format!("w{pid}"), span);
    let (store, skips, spring) = (world::between(0, 1) as usize, world::between(0, 3), Box::new(spring));
    data::set_trap(Trap { pid, store, is_write: false, skips, delay: Delay::None, spring });
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
