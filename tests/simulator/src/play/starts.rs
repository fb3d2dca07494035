//! Processes: how they start and how they end.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use rand::{Rng as _, RngExt as _};
use tokio::sync::Notify;

use super::{ends, people, replicas, restore, with};
use crate::{
    cast::{caller::Caller, service::Service},
    invariants::{self, telemetry},
    net,
    process::{Clocks, Process},
    world::{self, Pid, S},
};

pub(super) fn make_service(index: usize) -> Service {
    let pid = world::place();
    let seed = world::draw(|random| random.next_u64());
    with(|stage| Service {
        pid,
        name: format!("s{index}"),
        service: format!("api-{}", index % 3),
        instance_id: String::new(),
        persist: stage.plan.persist.then(|| format!("s{index}").into()),
        persist_for: Duration::from_nanos(stage.plan.persist_for),
        lanes: stage.plan.lanes,
        think_ms: stage.plan.think_ms,
        records: stage.plan.records,
        stores: stage.stores.clone(),
        drain: Duration::from_nanos(stage.plan.drain),
        report_interval: Some(Duration::from_nanos(stage.plan.reports_every))
            .filter(|every| !every.is_zero()),
        stop: Arc::new(Notify::new()),
        drops: Arc::default(),
        quiet_from: stage.plan.quiet_from,
        seed,
    })
}

/// Starts a process in its place, with the clocks that its machine has.
pub(super) fn start(pid: Pid, main: impl Future<Output = ()> + Send + 'static) {
    let gain_most = with(|stage| stage.plan.gain_most_ppm);
    let gain_ppm = world::draw(|random| random.random_range(-gain_most..=gain_most));
    let skew_most = with(|stage| stage.plan.skew_most) as i64;
    let wall_offset_ns = world::draw(|random| random.random_range(-skew_most..=skew_most));
    let drawn = Clocks { gain_ppm, wall_offset_ns, suspended_ns: 0 };
    let clocks = with(|stage| *stage.clocks.entry(pid).or_insert(drawn));
    let main = async move {
        if AssertUnwindSafe(main).catch_unwind().await.is_err() {
            telemetry::excuse("a process panicked");
            world::tell(|| format!("process {pid} panicked"));
            ended(pid);
        }
    };
    world::put(pid, Process::start(clocks, main));
}

pub(super) fn start_service(index: usize) {
    if restore::is_unnoticed() {
        return world::after(S, move || {
            if world::look(with(|stage| stage.services[index].service.pid), |_| ()).is_none() {
                start_service(index);
            }
        });
    }
    let service = with(|stage| {
        let is_twin = index == 1 && stage.plan.twins;
        let same_ids = stage.plan.same_ids || stage.plan.twins;
        let actor = &mut stage.services[index];
        let before = actor.service.instance_id.clone();
        actor.incarnations += 1;
        let number = if same_ids { 1 } else { actor.incarnations };
        // Two of them have one id, by mistake.
        let index = if is_twin { 0 } else { index };
        actor.service.instance_id = format!("api-{index}-{number}");
        actor.service.stop = Arc::new(Notify::new());
        actor.service.seed = crate::system::mix(actor.service.seed);
        if before != actor.service.instance_id && !before.is_empty() {
            stage.gone.insert(before, world::now());
        }
        actor.service.clone()
    });
    invariants::forget_held(&service.name);
    ends::has_started(&service.instance_id);
    world::tell(|| format!("{} starts as {}", service.name, service.instance_id));
    start(service.pid, service.run());
}

pub(super) fn start_caller(index: usize) {
    let seed = world::draw(rand::Rng::next_u64);
    let (pid, caller) = with(|stage| {
        stage.caller_starts += 1;
        let number = stage.caller_starts % 90;
        let caller = Caller {
            name: format!("c{index}"),
            // Of slots that the controller gives last. Writes of its predecessor may still arrive.
            slot: if stage.plan.one_slot { 4_000 } else { 4_000 + number as u16 },
            policy: stage.plan.routing_policy(),
            think_ms: stage.plan.think_ms,
            records: stage.plan.records,
            stores: stage.stores.clone(),
            quiet_from: stage.plan.quiet_from,
            seed,
        };
        (stage.callers[index], caller)
    });
    start(pid, caller.run());
}

/// A process is killed.
pub(super) fn kill(pid: Pid, silently: bool) {
    if people::is_service(pid) || replicas::controllers().contains(&pid) {
        telemetry::excuse("a process was killed");
    }
    bury(pid, silently);
}

/// A process is no more.
fn bury(pid: Pid, silently: bool) {
    net::bury(pid, silently);
    if let Some(process) = world::take(pid) {
        with(|stage| stage.clocks.insert(pid, process.clocks()));
    }
    net::empty_door(pid);
}

/// A process ended by itself.
pub fn ended(pid: Pid) {
    world::after(0, move || {
        bury(pid, false);
        people::ended(pid);
    });
}
