//! What the operators know and have done by others: who is dead, which passes run.

use std::cell::Cell;

use cutover::domain::{Placement, Tenant};
use cutover_client::routing::{Mutation, Rung};
use cutover_proto::v1;

use super::{ends, foreign, latches, replicas, with, workers};
use crate::{
    cast::{self, operator::EMPTY_TENANT, worker::Task},
    data,
    invariants::telemetry,
    oracle,
    world::{self, Pid, S},
};

thread_local! {
    static ALL_READ: Cell<bool> = const { Cell::new(false) };
}

/// Steps down wait for no process that was silent for long, unless it then refuses operations on its own.
pub fn may_be_left_behind(pid: Pid, from_file: bool) -> bool {
    const WINDOW: world::Time = 25 * S;
    with(|stage| {
        let always_fenced = stage.plan.policy.fence_after_ms > 0 && !stage.plan.policies;
        let (now, since) = (world::now(), world::now().saturating_sub(WINDOW));
        let spans = stage.trouble.get(&pid).into_iter().flatten();
        let silent: world::Time =
            spans.map(|(from, upto)| (*upto).min(now).saturating_sub((*from).max(since))).sum();
        !always_fenced && (from_file || silent > 8 * S)
    })
}

/// The controller can't hear a process.
pub(super) fn note_silence(pid: Pid, span: world::Time) {
    let now = world::now();
    with(|stage| stage.trouble.entry(pid).or_default().push((now, now + span)));
}

/// Does the target fail?
pub fn target_fails() -> bool {
    data::is_failing(1)
}

/// Is an instance dead that is lost, and does nothing start from its file? `connected`: so many processes with its
/// id are heard.
pub fn is_gone(instance: &v1::Instance, connected: usize) -> bool {
    let id = &instance.instance_id;
    let is_its = |actor: &&super::Actor| actor.service.instance_id == *id;
    Mutation::EvictedAreDead.is_left_out()
        || with(|stage| {
            let its = stage.services.iter().filter(is_its);
            let is_left = !instance.parked || its.clone().any(|actor| actor.retired);
            let live = its.filter(|actor| !actor.retired).count();
            // Before that, one of those that are connected may be the dead one.
            let is_known = stage.gone.get(id).is_some_and(|since| world::now() > since + 13 * S);
            is_left && is_known && live <= connected
        })
        || id.starts_with("cutover-") && !is_working()
}

/// Has there been a service without the SDK, and is it gone?
pub fn legacy_has_ended() -> bool {
    let until = with(|stage| stage.plan.legacy_until);
    until > 0 && world::now() > until + S
}

/// Does this process work on a pass?
pub fn is_worker(pid: Pid) -> bool {
    with(|stage| stage.workers.contains(&pid))
}

/// Does anybody work on a pass?
pub(super) fn is_working() -> bool {
    workers_at_work() > 0
}

/// How many processes work on passes.
pub(super) fn workers_at_work() -> usize {
    let workers = with(|stage| stage.workers.clone());
    workers.into_iter().filter(|pid| world::look(*pid, |_| ()).is_some()).count()
}

/// Is this process a service with the SDK?
pub fn is_service(pid: Pid) -> bool {
    with(|stage| stage.services.iter().any(|actor| actor.service.pid == pid))
}

/// What the operators know about writes in the target alone when they confirm a restore. They name everybody.
pub fn confirmation() -> v1::ConfirmRestoreRequest {
    let (truth, tenants) = with(|stage| (stage.truth.clone(), stage.plan.records.tenants));
    let Some(truth) = truth else { return v1::ConfirmRestoreRequest::default() };
    let is_alone = |placement: &Placement| placement.floor >= Rung::TargetFirst;
    let bands = truth.document.bands.pieces(&[]);
    let share = bands.filter(|(_, _, placement)| is_alone(placement)).map(|(_, upto, _)| upto).max();
    let target_only_ppm = share.unwrap_or(0);
    let names = (0..tenants).map(|t| format!("t{t}")).chain([EMPTY_TENANT.to_owned()]);
    let (tenants, except) = names
        .filter_map(|name| Tenant::parse(&name).ok())
        .partition::<Vec<_>, _>(|tenant| is_alone(&truth.placement(tenant)));
    let texts = |tenants: Vec<Tenant>| tenants.iter().map(Tenant::to_string).collect();
    v1::ConfirmRestoreRequest {
        target_only_ppm,
        tenants: texts(tenants),
        except: texts(except),
        reversed: true,
        ..Default::default()
    }
}

/// The operators saw this.
pub fn note_status(status: &v1::Status) {
    replicas::check_heard(status);
    ends::check(status);
    latches::check_override(status);
    with(|stage| stage.status = Some((world::now(), status.clone())));
}

/// Somebody should run a pass.
pub fn want_pass(kind: v1::PassKind) {
    want(Task { kind, source_wins: false });
}

/// Somebody should repair the target: the source wins.
pub fn want_repair() {
    want(Task { kind: v1::PassKind::Verify, source_wins: true });
}

fn want(task: Task) {
    world::after(0, move || {
        if super::is_unnoticed() {
            return;
        }
        let workers = with(|stage| stage.workers.clone());
        let free: Vec<_> = workers.iter().filter(|pid| world::look(**pid, |_| ()).is_none()).collect();
        // A second worker joins a pass only now and then. Somebody who does not know of a repair begins another pass.
        let Some(pid) = free.first().map(|pid| **pid) else { return };
        let is_beside = foreign::is_under_way() && !task.source_wins;
        let joins_ppm = if is_beside { 700_000 } else { 100_000 };
        let is_second = free.len() < workers.len();
        if is_second && !world::chance(joins_ppm) {
            return;
        }
        match task.source_wins {
            true => workers::disturb_repair(pid),
            false if !is_second => workers::disturb_copy(pid),
            false => {}
        }
        let (on_target, stores) = with(|stage| (stage.plan.on_target, stage.stores.clone()));
        super::start(pid, cast::worker::run(pid, format!("w{pid}"), task, on_target, stores));
    });
}

/// A process ended by itself: services that ended in order are started again.
pub(super) fn ended(pid: Pid) {
    let index = with(|stage| {
        let index = stage.services.iter().position(|actor| actor.service.pid == pid)?;
        (!stage.services[index].retired).then_some(index)
    });
    let alone = index.and_then(|index| with(|stage| stage.alone.remove(&index)));
    // It may have tried to start until the faults ended.
    let alone = alone.filter(|_| with(|stage| world::now() < stage.plan.quiet_from));
    if let Some((index, (delay, alone))) = index.zip(alone) {
        super::chaos::start_alone(index, delay, alone);
    } else if let Some(index) = index {
        let delay = world::between(S / 10, 10 * S);
        world::after(delay, move || {
            if world::look(pid, |_| ()).is_none() {
                super::start_service(index);
            }
        });
    }
    if let Some(index) = with(|stage| stage.callers.iter().position(|caller| *caller == pid)) {
        world::after(S, move || super::start_caller(index));
    }
    if let Some(index) = with(|stage| stage.controllers.iter().position(|controller| *controller == pid)) {
        telemetry::excuse("a controller ended");
        world::after(S, move || replicas::start(index));
    }
}

pub(super) fn has_read_everything() {
    ALL_READ.set(true);
}

pub(super) fn all_is_read() -> bool {
    ALL_READ.get()
}

pub(super) fn check_that_all_was_read() {
    if !ALL_READ.get() {
        oracle::fault("unreadable", "a new service could not read every record in 90 s".to_owned());
    }
}
