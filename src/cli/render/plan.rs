//! What people and scripts read of a plan. Pure: messages in, lines or JSON out.

use std::time::{Duration, UNIX_EPOCH};

use cutover_proto::v1;
use serde_json::{Value, json};

use super::super::{Global, out, percent};

/// The steps that a file comes to.
pub(in crate::cli) fn steps(global: &Global, plan: &v1::Plan) {
    for (at, step) in plan.steps.iter().enumerate() {
        if global.json {
            out::json(&step_json(at, step));
        } else {
            out::line(&step_line(at, step));
        }
    }
}

/// That a plan's file has no mistakes, and when its steps may be taken.
pub(in crate::cli) fn verdict(plan: &v1::Plan) -> String {
    let steps = if plan.steps.len() == 1 { "1 step" } else { &format!("{} steps", plan.steps.len()) };
    let windows = match plan.windows.as_slice() {
        [] => "at any time".to_owned(),
        _ => windows_line(plan),
    };
    format!("no mistakes: {steps}, taken {windows}")
}

/// How far a plan is.
pub(in crate::cli) fn view(global: &Global, view: &v1::PlanView) {
    if global.json {
        out::json(&view_json(view));
    } else {
        page(view).iter().for_each(|line| out::line(line));
    }
}

/// Is this step over, counted from 1? 0: are all?
pub(in crate::cli) fn is_over(view: &v1::PlanView, step: usize) -> bool {
    view.status() == v1::PlanStatus::Done || (step > 0 && view.taken.len() > step)
}

/// What it waits for, or who has to do what, a line each.
pub(in crate::cli) fn doing(view: &v1::PlanView) -> Vec<String> {
    if !view.held.is_empty() {
        return vec![view.held.clone()];
    }
    let missing = view.missing.iter().map(|missing| missing_line(view, missing));
    match view.taken.len() {
        0 => missing.map(|missing| format!("before step 1: {missing}")).collect(),
        step => missing.map(|missing| format!("step {step}: {missing}")).collect(),
    }
}

/// One thing that it waits for.
pub(in crate::cli) fn missing_json(missing: &v1::PlanMissing) -> Value {
    json!({ "what": missing.what, "until_ms": Some(missing.until_ms).filter(|ms| *ms > 0) })
}

/// Its step, and what that waits for, until when.
pub(in crate::cli) fn in_short(view: &v1::PlanView) -> Vec<String> {
    let steps = view.plan.as_ref().map_or(&[][..], |plan| &plan.steps);
    let (taken, of) = (view.taken.len(), steps.len());
    if view.status() == v1::PlanStatus::Ended {
        return vec![format!("ended after {taken} of {of} steps; cutover plan apply begins another")];
    }
    let mut lines = vec![match taken.checked_sub(1).and_then(|at| Some((at, steps.get(at)?))) {
        Some((at, step)) => {
            format!("{}, at step {} of {of}: {}", standing(view), at + 1, step_text(step))
        }
        None => format!("{}, none of {of} steps taken", standing(view)),
    }];
    lines.extend((!view.held.is_empty()).then(|| format!("held: {}", view.held)));
    lines.extend(view.missing.iter().map(|missing| format!("waits for {}", missing_line(view, missing))));
    lines
}

fn status(view: &v1::PlanView) -> &'static str {
    match view.status() {
        v1::PlanStatus::Unspecified => "unknown",
        v1::PlanStatus::Running => "running",
        v1::PlanStatus::Stopped => "stopped",
        v1::PlanStatus::Ended => "ended",
        v1::PlanStatus::Done => "done",
    }
}

/// The same for people: a plan that runs may be held.
fn standing(view: &v1::PlanView) -> &'static str {
    match view.status() {
        v1::PlanStatus::Running if !view.held.is_empty() => "held",
        _ => status(view),
    }
}

/// Of a step, counted from 0.
fn state(view: &v1::PlanView, at: usize) -> &'static str {
    let is_last = at + 1 == view.taken.len();
    match view.status() {
        v1::PlanStatus::Done => "done",
        _ if at >= view.taken.len() => "to come",
        v1::PlanStatus::Running if is_last => "running",
        _ if is_last => "stopped",
        _ => "done",
    }
}

fn page(view: &v1::PlanView) -> Vec<String> {
    let plan = view.plan.clone().unwrap_or_default();
    let (done, of) = (view.taken.len(), plan.steps.len());
    let by = format!("applied {} by {}", time(view.applied_at_ms), view.applied_by);
    let is = if view.status() == v1::PlanStatus::Ended { "has" } else { "is" };
    let mut page =
        vec![format!("plan of {} {is} {}, {done} of {of} steps taken, {by}", view.migration, standing(view))];
    for (at, step) in plan.steps.iter().enumerate() {
        page.push(format!("{:<8} {}", state(view, at), step_line(at, step)));
        if let Some(taken) = view.taken.get(at) {
            let next = view.taken.get(at + 1).map(|next| next.at_ms);
            page.push(format!("             {}", taken_line(taken, next, view.at_ms)));
        }
    }
    page.extend((!plan.windows.is_empty()).then(|| format!("windows  {}", windows_line(&plan))));
    page.extend((!view.held.is_empty()).then(|| format!("held     {}", view.held)));
    page.extend(view.missing.iter().map(|missing| format!("waits for {}", missing_line(view, missing))));
    page
}

fn taken_line(taken: &v1::PlanTaken, next_ms: Option<u64>, now_ms: u64) -> String {
    let mut line = format!("taken {} in revision {}", time(taken.at_ms), taken.revision);
    match (taken.settled_at_ms, next_ms) {
        (_, Some(next_ms)) => line += &format!(", over {}", time(next_ms)),
        (0, None) => line += ", not settled yet",
        (settled_ms, None) => {
            let settled_ms = now_ms.saturating_sub(settled_ms);
            line += &format!(", settled for {}", lasted(settled_ms - settled_ms % 1000));
        }
    }
    if taken.shown_at_ms > 0 {
        line += &format!(", evidence complete {}", time(taken.shown_at_ms));
    }
    if !taken.skipped.is_empty() {
        line += &format!(", skipped because {}", taken.skipped);
    }
    line
}

fn step_line(at: usize, step: &v1::PlanStep) -> String {
    let bake = lasted(step.bake_ms);
    let whom = match step.share_ppm {
        Some(ppm) => format!("{} %", percent::text(ppm)),
        None => named(&step.tenants),
    };
    let approval = if step.approval { "  approval" } else { "" };
    let (rung, evidence) = (super::rung(step.rung), evidence(step));
    format!("{:>3}  {rung:<12} {whom:>10}  bake {bake:<8} evidence {evidence}{approval}", at + 1)
}

/// A step in a sentence.
fn step_text(step: &v1::PlanStep) -> String {
    let (rung, bake) = (super::rung(step.rung), lasted(step.bake_ms));
    let whom = match step.share_ppm {
        Some(ppm) => format!("{} %", percent::text(ppm)),
        None => named(&step.tenants),
    };
    format!("{rung} {whom}, bake {bake}, evidence {}", evidence(step))
}

fn named(tenants: &[String]) -> String {
    match tenants {
        [one, two, _, rest @ ..] => format!("{one}, {two} and {} more", rest.len() + 1),
        few => few.join(", "),
    }
}

fn evidence(step: &v1::PlanStep) -> &'static str {
    if step.evidence() == v1::PlanEvidence::None { "none" } else { "guards" }
}

fn windows_line(plan: &v1::Plan) -> String {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let zone = if plan.time_zone.is_empty() { "UTC" } else { &plan.time_zone };
    let at = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let one = |window: &v1::PlanWindow| {
        let days = window.days.iter().filter_map(|day| DAYS.get(*day as usize - 1).copied());
        format!("{} {} to {}", days.collect::<Vec<_>>().join(" "), at(window.from_min), at(window.upto_min))
    };
    format!("{} in {zone}", plan.windows.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn missing_line(view: &v1::PlanView, missing: &v1::PlanMissing) -> String {
    match missing.until_ms {
        0 if missing.what.contains("approval") => {
            format!("{}: cutover plan approve {}", missing.what, view.migration)
        }
        0 => missing.what.clone(),
        until_ms => format!("{} (until {})", missing.what, time(until_ms)),
    }
}

fn step_json(at: usize, step: &v1::PlanStep) -> Value {
    json!({
        "step": at + 1, "stage": super::rung(step.rung), "share_ppm": step.share_ppm, "tenants": step.tenants,
        "bake_ms": step.bake_ms, "evidence": evidence(step), "approval": step.approval,
    })
}

pub(in crate::cli) fn view_json(view: &v1::PlanView) -> Value {
    let some = |ms: u64| Some(ms).filter(|ms| *ms > 0);
    let plan = view.plan.clone().unwrap_or_default();
    let steps = plan.steps.iter().enumerate().map(|(at, step)| {
        let mut json = step_json(at, step);
        json["state"] = state(view, at).replace(' ', "_").into();
        if let Some(taken) = view.taken.get(at) {
            json["taken_at_ms"] = taken.at_ms.into();
            json["revision"] = taken.revision.into();
            json["settled_at_ms"] = some(taken.settled_at_ms).into();
            json["shown_at_ms"] = some(taken.shown_at_ms).into();
            json["skipped"] = Some(&taken.skipped).filter(|why| !why.is_empty()).cloned().into();
        }
        json
    });
    let steps: Vec<Value> = steps.collect();
    json!({
        "migration": view.migration, "revision": view.revision, "status": status(view), "steps": steps,
        "taken": view.taken.len(), "approved": view.approved, "applied_at_ms": view.applied_at_ms,
        "applied_by": view.applied_by, "missing": view.missing.iter().map(missing_json).collect::<Vec<_>>(),
        "held": Some(&view.held).filter(|why| !why.is_empty()), "at_ms": view.at_ms,
    })
}

/// `2026-11-26T14:30:00Z`
pub(in crate::cli) fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// To the second, where it lasts some.
fn lasted(ms: u64) -> String {
    let ms = if ms >= 10_000 { ms - ms % 1000 } else { ms };
    super::span(Duration::from_millis(ms))
}
