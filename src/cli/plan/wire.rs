//! A plan as a controller takes it.

use cutover_proto::v1;

use crate::domain::plan::{ChangeWindow, OnTrip, Part, Plan, Proof, Rules, Step, WhenBlind};

pub(super) fn plan(plan: &Plan) -> v1::Plan {
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

fn step(step: &Step) -> v1::PlanStep {
    let (share_ppm, tenants) = match &step.part {
        Part::Share(ppm) => (Some(*ppm), Vec::new()),
        Part::Tenants(tenants) => (None, tenants.iter().map(ToString::to_string).collect()),
    };
    let evidence = match step.evidence {
        Proof::Guards => v1::PlanEvidence::Guards,
        Proof::None => v1::PlanEvidence::None,
    };
    v1::PlanStep {
        rung: v1::Rung::from(step.rung).into(),
        share_ppm,
        tenants,
        bake_ms: step.bake_ms,
        evidence: evidence.into(),
        approval: step.approval,
    }
}

fn window(window: &ChangeWindow) -> v1::PlanWindow {
    v1::PlanWindow {
        days: (1..=7).filter(|day| window.days & (1 << (day - 1)) != 0).collect(),
        from_min: window.from_min.into(),
        upto_min: window.upto_min.into(),
    }
}
