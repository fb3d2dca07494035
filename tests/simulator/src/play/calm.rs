//! After the faults: what was asked for is reached by itself, unless somebody is needed. Then status says who and why, and
//! that is true.

use std::{cell::RefCell, collections::BTreeSet, fmt, sync::atomic::Ordering};

use cutover::{
    domain::{Migration, PassKind},
    refusal::Reason,
};
use cutover_client::{
    routing::{PPM, Rung},
    store::{Id, Record},
};
use cutover_proto::v1;

use super::{chaos, foreign, people, replicas, with};
use crate::{
    cast::operator::Advice,
    expiring,
    invariants::telemetry,
    oracle,
    world::{self, MS, S, Time},
};

/// Within so long everything has happened, however much somebody had to do.
const AT_MOST: Time = 1_200 * S;
/// Somebody who acts so often achieves nothing.
const ACTS_MOST: u32 = 50;

/// What somebody is told.
pub struct Need {
    /// What is missing.
    pub message: String,
    /// What to do.
    pub action: String,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, so: {}", self.message, self.action)
    }
}

#[derive(Default)]
struct Calm {
    /// When somebody acted last.
    acted: Time,
    acts: u32,
    /// What they were refused for.
    refused: Vec<Need>,
    /// What services are asked to write once.
    to_write: BTreeSet<(String, String)>,
}

thread_local! {
    static CALM: RefCell<Calm> = RefCell::default();
}

/// Forgets everything.
pub(super) fn begin() {
    CALM.take();
}

/// Something that somebody was told to do was refused, for these reasons.
pub fn refused(reasons: Vec<Reason>) {
    if is_early() {
        return;
    }
    let needs = reasons.into_iter().map(|Reason { message, action, .. }| Need { message, action });
    CALM.with_borrow_mut(|calm| calm.refused = needs.collect());
}

/// Asks the services to write what only the target has. That is all that copying leaves as it is in a world where nobody
/// writes without an SDK.
pub fn write_what_differs() {
    let [source, target] = with(|stage| [0, 1].map(|side| stage.stores[side].clone()));
    let is_alone = |(id, record): &(Id, Record)| !record.is_tombstone() && source.peek(id).is_none();
    let alone = target.dump().into_iter().filter(is_alone).map(|(id, _)| (id.tenant, id.key));
    CALM.with_borrow_mut(|calm| calm.to_write.extend(alone));
}

/// One of these records.
pub fn take_to_write() -> Option<(String, String)> {
    CALM.with_borrow_mut(|calm| calm.to_write.pop_first())
}

/// What somebody has to do now. `None`: nothing yet, or nothing at all.
pub fn need(status: &v1::Status) -> Option<Need> {
    if is_early() {
        return None;
    }
    // A pass that somebody works on is run already. It may wait for what somebody else has to do.
    let is_working = people::is_working();
    let refused = CALM.with_borrow_mut(|calm| std::mem::take(&mut calm.refused));
    let mut refused =
        refused.into_iter().filter(|need| !is_working || !need.action.contains("cutover cancel"));
    if let Some(need) = refused.next() {
        return Some(need);
    }
    if status.waiting.iter().any(|waiting| waiting.by_itself) {
        return None;
    }
    let told = |waiting: &v1::Waiting| Need {
        message: format!("{} {}: {}: {}", waiting.step, waiting.whom, waiting.gate, waiting.message),
        action: waiting.action.clone(),
    };
    let is_asked = |waiting: &&v1::Waiting| {
        !is_working || !matches!(Advice::of(&waiting.action), Some(Advice::Pass(_) | Advice::Repair))
    };
    status.waiting.iter().find(is_asked).map(told).or_else(|| {
        let held = status.plan.as_ref().filter(|plan| is_running(plan)).map(|plan| plan.held.clone());
        held.filter(|held| !held.is_empty()).map(|held| Need { message: "the plan".to_owned(), action: held })
    })
}

/// Whoever was out of reach has not been heard yet, or late writes have not landed. After a restore new processes can't
/// register for a minute.
fn is_early() -> bool {
    // A process that is about to send a call goes on standing still when the faults end.
    let stood_still = |pid| world::look(pid, |process| process.frozen_until + 13 * S > world::now());
    with(|stage| {
        let heard_by = if stage.backups > 0 { 75 * S } else { 13 * S };
        world::now() < stage.plan.quiet_from + heard_by
    }) || chaos::clients().into_iter().any(|pid| stood_still(pid) == Some(true))
}

fn is_running(plan: &v1::PlanView) -> bool {
    plan.status() == v1::PlanStatus::Running
}

/// Nobody could do what is told.
pub fn helpless(need: &Need) {
    oracle::fault_once("helpless", format!("{need} ({} ms)", world::now() / MS));
}

/// Somebody does what they are told. Is it right?
pub fn act(need: &Need, advice: &Advice, status: &v1::Status) {
    world::tell(|| format!("somebody is needed: {need}"));
    CALM.with_borrow_mut(|calm| {
        calm.acts += 1;
        if !matches!(advice, Advice::Wait(_)) {
            calm.acted = world::now();
        }
    });
    let migration = with(|stage| stage.control.migration());
    if let Some(wrong) = migration.and_then(|migration| misled(advice, status, &migration)) {
        oracle::fault_once("misled", format!("{wrong}: {need} ({} ms)", world::now() / MS));
    }
}

/// Whom a share does not take below `rung`.
pub fn pinned_from(rung: Rung) -> Vec<String> {
    let Some(migration) = with(|stage| stage.control.migration()) else { return Vec::new() };
    let rows = migration.tenants.iter().filter(|(_, row)| row.pin >= Some(rung));
    rows.map(|(tenant, _)| tenant.to_string()).collect()
}

/// Why somebody should not do what they are told.
fn misled(advice: &Advice, status: &v1::Status, migration: &Migration) -> Option<String> {
    let (document, step) = (&*migration.document, migration.newest_step());
    let unless = |is_right: bool, what: &str| (!is_right).then(|| what.to_owned());
    match advice {
        Advice::Evict(name) => {
            let is_named = |lost: &&v1::Instance| match name {
                Some(name) => lost.name == *name || lost.instance_id == *name,
                None => !lost.parked,
            };
            let lost = status.instances.iter().filter(|instance| instance.lost);
            let named: Vec<_> = lost.filter(is_named).collect();
            let lives = named.iter().find(|lost| may_live(lost, status));
            let lives = lives.map(|lost| format!("{} may live", lost.name));
            lives.or_else(|| unless(!named.is_empty(), "nobody of that name is lost"))
        }
        Advice::Pass(v1::PassKind::Reverse) => {
            let raised = || migration.placements().filter(|placement| placement.floor > Rung::SourceOnly);
            // Whoever works on one that is under way is not asked where tenants are by now.
            let joins = document.jobs.iter().any(|job| job.kind == PassKind::Reverse);
            let is_refused = !joins && raised().any(|placement| placement.rung == Rung::TargetOnly);
            unless(raised().count() > 0 && !is_refused, "it would be refused")
        }
        Advice::Pass(_) => {
            let since = step.max(document.local_guard_off);
            let shows = document.evidence.iter().any(|pass| {
                let is_whole = pass.clean && pass.job.cover.upto_ppm == PPM;
                is_whole && pass.job.kind == PassKind::Full && pass.job.settled >= since
            });
            let is_doubted = document.evidence.iter().any(|pass| pass.finds_what_copying_misses());
            unless(!shows || is_doubted, "there is a clean full pass since everybody's last step")
        }
        // What was left may have expired since.
        Advice::Repair => {
            let is_left = foreign::outlives_a_copy() || expiring::ttl().is_some();
            unless(is_left, "the target has nothing that copying leaves as it is")
        }
        Advice::Cancel(id) => unless(document.jobs.iter().any(|job| job.id == *id), "there is no such pass"),
        Advice::LocalGuardOff => unless(document.policy.local_guard, "it is off"),
        Advice::Confirm => unless(document.restored.is_some(), "the store was not restored"),
        Advice::RequireNone => {
            let lives = |service: &String| {
                with(|stage| stage.live_services().any(|actor| actor.service.service == *service))
            };
            let is_missing = document.policy.required_services.iter().any(|service| !lives(service));
            unless(is_missing, "every required service runs")
        }
        Advice::LeaveTargetOnly => {
            let is_there = migration.placements().any(|placement| placement.rung == Rung::TargetOnly);
            unless(is_there, "nobody is at target-only")
        }
        Advice::LeaveTargetFirst => {
            let is_there = migration.placements().any(|placement| placement.rung >= Rung::TargetFirst);
            unless(is_there, "nobody is at target-first")
        }
        Advice::Resume => {
            let has_plan = status.plan.as_ref().is_some_and(is_running);
            unless(document.paused || has_plan, "it is not paused")
        }
        Advice::Acknowledge | Advice::Wait(_) => None,
    }
}

/// Whether a process that counts as lost may run: every one that runs is heard by now.
fn may_live(lost: &v1::Instance, status: &v1::Status) -> bool {
    let is_worker = lost.instance_id.starts_with("cutover-");
    let is_like = |other: &&v1::Instance| match is_worker {
        true => other.instance_id.starts_with("cutover-"),
        false => other.instance_id == lost.instance_id,
    };
    let heard = status.instances.iter().filter(|other| !other.lost).filter(is_like).count();
    let live = match is_worker {
        true => people::workers_at_work(),
        false => with(|stage| {
            // One without its client acts no more.
            let acts = |actor: &&super::Actor| !actor.service.drops.load(Ordering::Relaxed);
            let its = stage.live_services().filter(|actor| actor.service.instance_id == lost.instance_id);
            its.filter(acts).count()
        }),
    };
    live > heard
}

/// Until when all have to have arrived.
pub(super) fn until() -> Time {
    let (calm_from, within) = with(|stage| (stage.plan.calm_from, stage.plan.end - stage.plan.calm_from));
    CALM.with_borrow(|calm| match calm.acts >= ACTS_MOST {
        true => 0,
        false => (calm.acted.max(calm_from) + within).min(calm_from + AT_MOST),
    })
}

/// Is everybody where they were asked to be, and will nothing else happen unless somebody asks for it?
pub(super) fn all_have_arrived() -> bool {
    let Some((at, status)) = with(|stage| stage.status.clone()) else { return false };
    let is_fresh = world::now() - at < 4 * S && with(|stage| at > stage.plan.quiet_from);
    // A step that nothing keeps waiting is taken within a second.
    let is_ramping = status.migration.as_ref().is_some_and(|it| it.state() == v1::State::Ramping);
    let goes_on = is_ramping || status.plan.as_ref().is_some_and(is_running) || people::is_working();
    is_fresh && status.settled && status.waiting.is_empty() && !goes_on
}

/// Faults have stopped a while ago: is everybody where they were asked to be?
pub(super) fn check_that_all_arrived() {
    let Some((at, status)) = with(|stage| stage.status.clone()) else {
        return oracle::fault("stuck", "nobody ever saw a status".to_owned());
    };
    if world::now().saturating_sub(at) > 30 * S {
        return oracle::fault("stuck", format!("no status for {} ms", (world::now() - at) / MS));
    }
    if !all_have_arrived() {
        let waiting: Vec<_> =
            status.waiting.iter().map(|waiting| (&waiting.message, &waiting.action)).collect();
        let plan = status.plan.as_ref().map(|plan| (plan.status(), &plan.missing, &plan.held));
        let acts = CALM.with_borrow(|calm| calm.acts);
        let instance = |it: &v1::Instance| {
            let lost = if it.lost { " lost" } else { "" };
            format!("{}{lost} {}/{}", it.name, it.received_revision, it.applied_revision)
        };
        let instances: Vec<_> = status.instances.iter().map(instance).collect();
        let what = format!(
            "settled: {}; {waiting:?}; plan {plan:?}; {acts} acts, {} workers; {instances:?}",
            status.settled,
            people::workers_at_work(),
        );
        return oracle::fault("stuck", what);
    }
    let migration = with(|stage| stage.control.migration());
    if let Some(what) =
        migration.and_then(|migration| elsewhere(&migration, status.migration.as_ref()?.state()))
    {
        oracle::fault("stuck", format!("status says that everybody has arrived: {what}"));
    }
}

/// Who is not where they were asked to be.
fn elsewhere(migration: &Migration, state: v1::State) -> Option<String> {
    use cutover_client::routing::Reason;
    let tenants = with(|stage| stage.tenants.clone());
    tenants.iter().find_map(|tenant| {
        let (at, wanted) = (migration.placement(tenant).rung, migration.wanted(tenant));
        let is_explained = match wanted.reason {
            Reason::Rollback => state == v1::State::Tripped,
            Reason::Floor => false,
            _ => true,
        };
        (at != wanted.rung || !is_explained).then(|| format!("{tenant} is at {at:?}, wanted {wanted:?}"))
    })
}

/// Every report arrives, also of who stood still when the faults ended, and is stored.
pub(super) fn check_telemetry() {
    if replicas::are_several() {
        // Who leads no more takes along what it has not stored. Metrics show that, and status does not.
        telemetry::excuse("the leader may have changed");
    }
    let (control, status) = with(|stage| (stage.control.clone(), stage.status.clone()));
    let shown = status.and_then(|(_, status)| status.totals).map_or(0, |totals| totals.dropped_cells);
    let until = world::now() + 30 * S;
    let is_missing =
        || control.writes_counted().into_iter().any(|counted| telemetry::is_missing(counted, shown));
    while is_missing() && world::now() < until {
        world::run_until(world::now() + S);
    }
    control.writes_counted().into_iter().for_each(|counted| telemetry::ended(counted, shown));
}
