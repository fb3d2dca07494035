//! Plans on the wire, and their progress.

use cutover_core::wire::rung_from_wire;
use cutover_proto::v1;
use tonic::Status;

use super::{super::status, rung};
use crate::{
    domain::{
        Change, Refusal, Tenant, Violation,
        plan::{
            ChangeWindow, ChangeWindows, Next, OnTrip, Part, Plan, PlanState, PlanStatus, Proof, Rules, Step,
            WhenBlind,
        },
    },
    service::{Entry, operate::now_ms},
};

/// A requested plan, or everything that is wrong with it.
pub fn apply(wire: Option<v1::Plan>) -> Result<Change, Status> {
    let v1::Plan { steps, windows, time_zone, on_trip, when_blind } = wire.unwrap_or_default();
    let mut violations = Vec::new();
    let steps = steps.into_iter().enumerate().filter_map(|(at, wire)| {
        step(&format!("steps[{}]", at + 1), wire).map_err(|wrong| violations.push(wrong)).ok()
    });
    let steps: Vec<Step> = steps.collect();
    let open = windows.into_iter().enumerate().filter_map(|(at, wire)| {
        window(&format!("windows[{}]", at + 1), &wire).map_err(|wrong| violations.push(wrong)).ok()
    });
    let rules = Rules {
        windows: ChangeWindows { time_zone, open: open.collect() },
        on_trip: match v1::PlanOnTrip::try_from(on_trip) {
            Ok(v1::PlanOnTrip::Unspecified | v1::PlanOnTrip::Stop) => OnTrip::Stop,
            Ok(v1::PlanOnTrip::End) => OnTrip::End,
            Err(_) => return Err(unknown("on_trip", "stop or end")),
        },
        when_blind: match v1::PlanWhenBlind::try_from(when_blind) {
            Ok(v1::PlanWhenBlind::Unspecified | v1::PlanWhenBlind::Wait) => WhenBlind::Wait,
            Ok(v1::PlanWhenBlind::Pause) => WhenBlind::Pause,
            Err(_) => return Err(unknown("when_blind", "wait or pause")),
        },
    };
    if !violations.is_empty() {
        return Err(status::refusal(Refusal::Invalid(violations)));
    }
    let plan = Plan::of(steps, rules).map_err(|wrong| status::refusal(Refusal::Invalid(wrong)))?;
    Ok(Change::ApplyPlan(Box::new(plan)))
}

/// A step number that counts from 1, where 0 is none.
pub(in crate::grpc) fn number(wire: u32) -> Option<usize> {
    usize::try_from(wire).ok()?.checked_sub(1)
}

/// A plan's progress; `next` is what it would do now.
pub(in crate::grpc) fn view(entry: &Entry, next: Option<Next>) -> Result<v1::PlanView, Status> {
    let migration = &entry.migration;
    let (Some(state), Some(next)) = (&migration.document.plan, next) else {
        let key = migration.key();
        let message = format!("migration {key} has no plan: cutover plan apply {key} FILE begins one");
        return Err(Status::not_found(message));
    };
    let (mut held, mut missing) = (String::new(), Vec::new());
    match next {
        Next::Held(why) => held = why,
        Next::Wait(what) => missing = what,
        Next::Move(_) | Next::Done => {}
    }
    let missing = missing
        .into_iter()
        .map(|missing| v1::PlanMissing { what: missing.what, until_ms: missing.until_ms.unwrap_or(0) });
    Ok(v1::PlanView {
        migration: migration.key().to_string(),
        revision: migration.revision,
        plan: Some(to_wire(&state.plan)),
        status: plan_status(state.status).into(),
        applied_at_ms: state.applied_at_ms,
        applied_by: state.applied_by.clone(),
        taken: taken(state),
        approved: u32::try_from(state.approved).unwrap_or(u32::MAX),
        missing: missing.collect(),
        held,
        at_ms: now_ms(),
    })
}

fn taken(state: &PlanState) -> Vec<v1::PlanTaken> {
    let one = |taken: &crate::domain::plan::Taken| v1::PlanTaken {
        at_ms: taken.at_ms,
        revision: taken.revision,
        settled_at_ms: taken.settled_at_ms.unwrap_or(0),
        shown_at_ms: taken.shown_at_ms.unwrap_or(0),
        skipped: taken.skipped.clone().unwrap_or_default(),
    };
    state.taken.iter().map(one).collect()
}

const fn plan_status(status: PlanStatus) -> v1::PlanStatus {
    match status {
        PlanStatus::Running => v1::PlanStatus::Running,
        PlanStatus::Stopped => v1::PlanStatus::Stopped,
        PlanStatus::Ended => v1::PlanStatus::Ended,
        PlanStatus::Done => v1::PlanStatus::Done,
    }
}

/// A plan as a message. The command line also sends a plan from a file this way.
pub fn to_wire(plan: &Plan) -> v1::Plan {
    let step = |step: &Step| {
        let (share_ppm, tenants) = match &step.part {
            Part::Share(ppm) => (Some(*ppm), Vec::new()),
            Part::Tenants(tenants) => (None, tenants.iter().map(ToString::to_string).collect()),
        };
        let evidence = match step.evidence {
            Proof::Guards => v1::PlanEvidence::Guards,
            Proof::None => v1::PlanEvidence::None,
        };
        let (bake_ms, approval, rung) = (step.bake_ms, step.approval, rung(step.rung));
        v1::PlanStep { rung, share_ppm, tenants, bake_ms, evidence: evidence.into(), approval }
    };
    let window = |window: &ChangeWindow| v1::PlanWindow {
        days: (1..=7).filter(|day| window.days & (1 << (day - 1)) != 0).collect(),
        from_min: window.from_min.into(),
        upto_min: window.upto_min.into(),
    };
    let Rules { windows, on_trip, when_blind } = plan.rules();
    let on_trip = match on_trip {
        OnTrip::Stop => v1::PlanOnTrip::Stop,
        OnTrip::End => v1::PlanOnTrip::End,
    };
    let when_blind = match when_blind {
        WhenBlind::Wait => v1::PlanWhenBlind::Wait,
        WhenBlind::Pause => v1::PlanWhenBlind::Pause,
    };
    v1::Plan {
        steps: plan.steps().iter().map(step).collect(),
        windows: windows.open.iter().map(window).collect(),
        time_zone: windows.time_zone.clone(),
        on_trip: on_trip.into(),
        when_blind: when_blind.into(),
    }
}

fn step(field: &str, wire: v1::PlanStep) -> Result<Step, Violation> {
    let v1::PlanStep { rung, share_ppm, tenants, bake_ms, evidence, approval } = wire;
    let wrong = |message: &str| Violation::new(field, message);
    let rung = rung_from_wire(rung)
        .map_err(|_| wrong("has no rung: give dual, mirrored, target-first or target-only"))?;
    let tenants = tenants.iter().map(|tenant| Tenant::parse(tenant)).collect::<Result<Vec<_>, _>>();
    let tenants = tenants.map_err(|why| wrong(&format!("contains an invalid tenant: {}", why.message)))?;
    let part = match (share_ppm, tenants.is_empty()) {
        (Some(ppm), true) => Part::Share(ppm),
        (None, false) => Part::Tenants(tenants),
        _ => return Err(wrong("has neither a share nor tenants, or both: give one of them")),
    };
    let evidence = match v1::PlanEvidence::try_from(evidence) {
        Ok(v1::PlanEvidence::Unspecified | v1::PlanEvidence::Guards) => Proof::Guards,
        Ok(v1::PlanEvidence::None) => Proof::None,
        Err(_) => return Err(wrong("has evidence of no kind: give guards or none")),
    };
    Ok(Step { rung, part, bake_ms, evidence, approval })
}

fn window(field: &str, wire: &v1::PlanWindow) -> Result<ChangeWindow, Violation> {
    let minutes = |minutes: u32| {
        u16::try_from(minutes).map_err(|_| Violation::new(field, "is out of a day: give 0 to 1440 minutes"))
    };
    let mut days = 0;
    for day in &wire.days {
        if !(1..=7).contains(day) {
            return Err(Violation::new(field, "contains an invalid weekday: 1 is Monday, 7 is Sunday"));
        }
        days |= 1 << (day - 1);
    }
    Ok(ChangeWindow { days, from_min: minutes(wire.from_min)?, upto_min: minutes(wire.upto_min)? })
}

fn unknown(field: &str, known: &str) -> Status {
    status::invalid(Violation::new(field, format!("is of no kind: give {known}")))
}
