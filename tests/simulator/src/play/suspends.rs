//! Machines that are suspended. A process stands still, as when it is frozen; and afterwards its monotonic clock does not
//! know how long. `CLOCK_BOOTTIME` and the wall clock do.

use cutover_client::routing::PPM;

use super::{
    chaos::{a_service, a_worker, freeze_for, one_of, span},
    replicas, with,
};
use crate::{
    data::{self, Delay, Trap},
    process::Process,
    world::{self, MS, Pid, Time},
};

/// The machine of some process is suspended: at once, or when a service sends a write. `victim`: that of this service.
pub(super) fn happen(victim: Option<usize>) {
    let span = span(MS, with(|stage| stage.plan.freeze_most));
    let other = match world::between(0, 9) {
        _ if victim.is_some() => None,
        0 | 1 => Some(replicas::a_controller()),
        2 => a_worker(),
        3 => one_of(with(|stage| stage.callers.len())).map(|index| with(|stage| stage.callers[index])),
        _ => None,
    };
    match (other, victim.or_else(a_service)) {
        (Some(pid), _) => suspend(pid, span),
        (None, Some(index)) if world::chance(PPM / 2) => in_call(index, world::between(0, 1) as usize, span),
        (None, Some(index)) => suspend(with(|stage| stage.services[index].service.pid), span),
        (None, None) => {}
    }
}

/// The machine of a service is suspended once the service has sent a write to this store.
pub(super) fn in_call(index: usize, store: usize, span: Time) {
    let pid = with(|stage| stage.services[index].service.pid);
    world::tell(|| format!("the machine of s{index} will be suspended in a call to store {store}"));
    let spring = Box::new(move |_| suspend(pid, span));
    data::set_trap(Trap { pid, store, is_write: true, skips: 0, delay: Delay::None, spring });
}

fn suspend(pid: Pid, span: Time) {
    world::tell(|| format!("the machine of {pid} is suspended"));
    _ = world::look(pid, Process::suspend);
    freeze_for(pid, &format!("{pid}"), span);
}
