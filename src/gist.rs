//! What a migration is doing, why, and what to do next, in one sentence.

mod pass;
mod stopped;
mod trip;

pub use cutover_core::text::{span as short, whom};
use cutover_core::wire::rung_from_wire;
use cutover_proto::v1;
pub use pass::{checked, checked_store, command, far, pass, read};
use stopped::{paused, tripped};
pub use trip::trip_text;

/// How much a reader has to care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well, or goes on by itself.
    Calm,
    /// It stands still until somebody does something.
    Waiting,
    /// It went back.
    Alarm,
}

/// One sentence, and the command that continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gist {
    /// The state in a word, for people: [`v1::State`], and `waiting` or `blocked` (docs/GLOSSARY.md).
    pub standing: &'static str,
    /// What is going on, and why.
    pub what: String,
    /// What to do; empty: nothing.
    pub next: String,
    /// How urgent it is.
    pub tone: Tone,
}

impl Gist {
    fn of(standing: &'static str, tone: Tone, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { standing, what: what.into(), next: next.into(), tone }
    }

    /// It stands still until somebody acts.
    fn blocked(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::of("blocked", Tone::Waiting, what, next)
    }

    /// Both parts as a line of text.
    pub fn line(&self) -> String {
        let what = self.what.trim_end_matches('.');
        match self.next.strip_prefix("nothing to do") {
            Some(why) => format!("{what}. Nothing to do{why}."),
            None if self.next.is_empty() => format!("{what}."),
            None => format!("{what}. Next: {}", self.next),
        }
    }
}

/// What is going on. `when` says a time of the past, seen from now: [`ago`], or [`at`].
pub fn gist(status: &v1::Status, when: fn(u64, u64) -> String) -> Gist {
    let migration = status.migration.clone().unwrap_or_default();
    let key = &migration.key;
    if let Some(restored) = status.waiting.iter().find(|waiting| waiting.gate == "restored") {
        return Gist::blocked(format!("{key} is blocked: {}", restored.message), &restored.action);
    }
    match migration.state() {
        v1::State::Finished => {
            let next = format!("cutover delete {key} --confirm {key}, once no service asks for it");
            Gist::of(
                "finished",
                Tone::Calm,
                format!("{key} is finished: everybody is at target-only for good"),
                next,
            )
        }
        v1::State::Abandoned => {
            let what =
                format!("{key} is abandoned: everybody stays at source-only, nobody updates the target");
            Gist::of(
                "abandoned",
                Tone::Calm,
                what,
                format!("cutover delete {key}, once no service asks for it"),
            )
        }
        v1::State::Tripped => tripped(status, &migration, when),
        v1::State::Paused => paused(status, &migration, when),
        v1::State::Ramping => with_request(status, ramping(status, &migration)),
        v1::State::Idle | v1::State::Unspecified => with_request(status, idle(status, &migration)),
    }
}

fn ramping(status: &v1::Status, migration: &v1::Migration) -> Gist {
    let key = &migration.key;
    if let Some(blocked) = blocked(status, key) {
        return blocked;
    }
    let mut waiting = together(&status.waiting);
    waiting.retain(|waiting| waiting.gate != "second-person");
    let Some(first) = waiting.first() else {
        return Gist::of(
            "ramping",
            Tone::Calm,
            format!("{key} is ramping: steps are under way"),
            "nothing to do",
        );
    };
    let how = if is_going_down(migration) { "ramping down" } else { "ramping" };
    let what = format!("{key} is {how} and waits: {}", condition(first, waiting.len()));
    Gist::of("ramping", Tone::Calm, what, &first.action)
}

/// Whether the shares still have to fall, and none has to rise.
fn is_going_down(migration: &v1::Migration) -> bool {
    let shares =
        |it: v1::Rollout| [it.dual_ppm, it.mirrored_ppm, it.target_first_ppm, it.target_only_ppm].into_iter();
    let (now, goal) = (migration.rollout.unwrap_or_default(), migration.goal.unwrap_or_default());
    now != goal && shares(now).zip(shares(goal)).all(|(now, goal)| goal <= now)
}

/// The first condition that somebody has to see to; the others go by themselves.
fn blocked(status: &v1::Status, key: &str) -> Option<Gist> {
    let waiting = together(&status.waiting);
    let mut for_people = waiting.iter().filter(|waiting| !waiting.by_itself);
    // A request stops nobody until it is approved.
    let first = for_people.find(|waiting| waiting.gate != "second-person")?;
    let what = match first.gate.as_str() {
        "floor" => format!("{key} can't go back further: {}", condition(first, waiting.len())),
        _ => format!("{key} is blocked: {}", condition(first, waiting.len())),
    };
    // A pass that runs may be the very one.
    let running = status.jobs.iter().find(|job| {
        let copies = matches!(job.kind(), v1::PassKind::Full | v1::PassKind::Verify | v1::PassKind::Sweep);
        first.gate == "full-pass" && copies && job.warning.is_empty() && !job.claims.is_empty()
    });
    Some(match running {
        Some(job) => {
            let next =
                format!("nothing to do, unless it is not clean: cutover jobs {key} shows how far it is");
            Gist::of("waiting", Tone::Calm, format!("{what}. {}", pass(job)), next)
        }
        None => Gist::blocked(what, &first.action),
    })
}

/// What waits for a second person, behind a sentence that does not say so.
fn with_request(status: &v1::Status, gist: Gist) -> Gist {
    let Some(request) = status.waiting.iter().find(|waiting| waiting.gate == "second-person") else {
        return gist;
    };
    let what = format!("{}. {}", gist.what.trim_end_matches('.'), request.message);
    let next = match gist.next.as_str() {
        next if next.is_empty() || next.starts_with("nothing to do") => request.action.clone(),
        next => format!("{}; then {next}", request.action),
    };
    let tone = if gist.tone == Tone::Calm { Tone::Waiting } else { gist.tone };
    Gist { what, next, tone, ..gist }
}

/// What is waited for, equal conditions of several tenants once.
pub fn together(waiting: &[v1::Waiting]) -> Vec<v1::Waiting> {
    cutover_core::text::together(waiting.iter().cloned(), |waiting| &mut waiting.whom)
}

fn condition(first: &v1::Waiting, of: usize) -> String {
    let subject = subject(&first.whom, &first.step);
    let more = match of.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{subject}{}{more}", first.message)
}

/// Whom and which step a condition is about, to stand before it: `5 % of the tenants dual -> mirrored: `.
pub fn subject(of: &str, step: &str) -> String {
    match format!("{} {step}", whom(of)).trim() {
        "" => String::new(),
        subject => format!("{subject}: "),
    }
}

/// The share of the tenants at each stage, lowest first. On the wire a share is of all that are at least there.
pub fn stages(rollout: &v1::Rollout) -> [(&'static str, u32); 5] {
    let v1::Rollout {
        dual_ppm: dual,
        mirrored_ppm: mirrored,
        target_first_ppm: first,
        target_only_ppm: only,
    } = *rollout;
    [
        ("source-only", 1_000_000_u32.saturating_sub(dual)),
        ("dual", dual.saturating_sub(mirrored)),
        ("mirrored", mirrored.saturating_sub(first)),
        ("target-first", first.saturating_sub(only)),
        ("target-only", only),
    ]
}

/// The shares at each stage that has tenants: `5 % mirrored, 95 % dual`.
pub fn at_stages(rollout: &v1::Rollout) -> String {
    let stages = stages(rollout).into_iter().rev().filter(|(_, ppm)| *ppm > 0);
    stages.map(|(stage, ppm)| format!("{} % {stage}", percent(ppm))).collect::<Vec<_>>().join(", ")
}

/// Where everybody is: `5 % mirrored, 95 % dual`.
pub fn shares(shares: &[v1::RungShare]) -> String {
    let share = |share: &v1::RungShare| format!("{} % {}", percent(share.ppm), rung(share.rung));
    shares.iter().map(share).collect::<Vec<_>>().join(", ")
}

fn idle(status: &v1::Status, migration: &v1::Migration) -> Gist {
    let key = &migration.key;
    if let Some(blocked) = blocked(status, key) {
        return blocked;
    }
    if let Some(plan) = status.plan.as_ref().filter(|plan| plan.status() == v1::PlanStatus::Running) {
        return by_plan(key, plan);
    }
    if let Some(job) = status.jobs.first() {
        let what = format!("{key}: {}", pass(job));
        return match pass::stands_still(job) {
            Some(next) => Gist::of("idle", Tone::Waiting, what, next),
            None => Gist::of("idle", Tone::Calm, what, format!("cutover jobs {key} shows how far it is")),
        };
    }
    if !status.settled {
        let others = status.waiting.iter().find(|waiting| waiting.gate != "second-person");
        let first = others.cloned().unwrap_or_default();
        let what = format!("{key} is where it was asked to be, and waits");
        let what = if first.message.is_empty() {
            format!("{what} until every instance has acknowledged that")
        } else {
            format!("{what}: {}", first.message)
        };
        return Gist::of("waiting", Tone::Calm, what, first.action);
    }
    let pinned = match migration.pins {
        0 => String::new(),
        1 => "; 1 tenant is pinned".to_owned(),
        pins => format!("; {pins} tenants are pinned"),
    };
    let what = format!("{key} is idle: {}, settled{pinned}", shares(&status.shares));
    let mut next = next_step(migration);
    if migration.pins > 0 && next.starts_with("cutover finish") {
        next = format!("{next}, once each pinned tenant is at target-only: cutover pins {key} shows them");
    }
    let required = migration.policy.as_ref().map_or(&[][..], |policy| &policy.required_services);
    if migration.rollout.unwrap_or_default() == v1::Rollout::default() && !required.is_empty() {
        next.push_str(&format!(", once these services are live: {}", required.join(", ")));
    }
    let is_lost = |it: &&v1::Instance| it.lost && !it.counted_out && !it.parked && it.waited_for_ms == 0;
    match status.instances.iter().filter(is_lost).count() {
        0 => Gist::of("idle", Tone::Calm, what, next),
        lost => {
            let lost = if lost == 1 { "1 instance is".to_owned() } else { format!("{lost} instances are") };
            let what = format!("{what}. {lost} LOST, so the next step will wait");
            Gist::of(
                "idle",
                Tone::Calm,
                what,
                format!(
                    "cutover instances {key}; if its process is dead, cutover evict ID --lost --reason ..; then {next}"
                ),
            )
        }
    }
}

fn by_plan(key: &str, plan: &v1::PlanView) -> Gist {
    let (taken, of) = (plan.taken.len(), plan.plan.as_ref().map_or(0, |plan| plan.steps.len()));
    let at = format!("{key} ramps by plan, {taken} of {of} steps taken");
    if !plan.held.is_empty() {
        return Gist::blocked(format!("{at}, and is held: {}", plan.held), "");
    }
    let Some(missing) = plan.missing.first() else {
        return Gist::of("waiting", Tone::Calm, at, "");
    };
    let until = match missing.until_ms {
        0 => String::new(),
        until_ms => format!(" ({})", self::at(0, until_ms).replace("at ", "until ")),
    };
    let what = format!("{at}, and waits for {}{until}", missing.what);
    if missing.what.contains("approval") {
        return Gist::blocked(what, format!("cutover plan approve {key}"));
    }
    let next = match plan.missing.iter().any(|missing| missing.what.contains("approval")) {
        true => format!("cutover plan approve {key}, now or then: it does not continue without"),
        false => format!("nothing to do, it continues by itself: cutover plan show {key}"),
    };
    Gist::of("waiting", Tone::Calm, what, next)
}

/// What usually comes next on the ladder.
fn next_step(migration: &v1::Migration) -> String {
    const ALL: u32 = 1_000_000;
    let key = &migration.key;
    let backfill = match quarantined(migration) {
        _ if is_doubted(migration) => {
            "cutover verify SPEC, which a verification with unreadable or different records asks for"
                .to_owned()
        }
        0 => "cutover backfill SPEC".to_owned(),
        1 => "fix the record in quarantine (cutover quarantine list SPEC), then cutover backfill SPEC"
            .to_owned(),
        many => format!(
            "fix the {many} records in quarantine (cutover quarantine list SPEC), then cutover backfill SPEC"
        ),
    };
    match migration.rollout.unwrap_or_default() {
        v1::Rollout { target_only_ppm: ALL, .. } => {
            let soak_ms = migration.policy.as_ref().and_then(|policy| policy.finish_soak_ms).unwrap_or(0);
            let once = match soak_ms {
                0 => String::new(),
                _ => format!(", once everybody has been at target-only for {}", short(soak_ms)),
            };
            format!("cutover finish {key} --confirm {key}{once}")
        }
        v1::Rollout { target_first_ppm: ALL, .. } => {
            format!("{backfill}, then cutover ramp {key} --target-only PCT")
        }
        v1::Rollout { mirrored_ppm: ALL, .. } => {
            format!("{backfill}, then cutover ramp {key} --target-first PCT")
        }
        v1::Rollout { dual_ppm: ALL, .. } => format!("cutover ramp {key} --mirrored PCT"),
        _ => format!("cutover ramp {key} --dual PCT"),
    }
}

/// Whether a verification has found what passes that copy don't see. Then only a verification can open a gate.
fn is_doubted(migration: &v1::Migration) -> bool {
    let found = |pass: &v1::Evidence| {
        let counts = pass.counts.unwrap_or_default();
        let is_about_content =
            matches!(pass.kind(), v1::PassKind::Verify | v1::PassKind::Sweep | v1::PassKind::Sample);
        is_about_content && (counts.failed > 0 || counts.remaining.unwrap_or_default().different > 0)
    };
    migration.evidence.iter().any(found)
}

/// Records that did not fit the target when a pass copied last.
fn quarantined(migration: &v1::Migration) -> u64 {
    let copied = |pass: &&v1::Evidence| pass.kind() == v1::PassKind::Full && pass.canceled_by.is_none();
    let newest = migration.evidence.iter().rev().find(copied);
    newest.and_then(|pass| pass.counts).map_or(0, |counts| counts.quarantined)
}

/// What an endpoint for notifications did not get, a line each.
pub fn endpoint(endpoint: &v1::Endpoint) -> Vec<String> {
    let v1::Endpoint { name, failing_ms, answer, waiting, dropped, set_aside, last_set_aside } = endpoint;
    let messages =
        |count: &u64| if *count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
    let mut lines = Vec::new();
    if *failing_ms > 0 {
        let lasted = short(*failing_ms);
        lines.push(format!(
            "endpoint {name} has failed for {lasted} ({answer}); not sent yet: {}",
            messages(waiting)
        ));
    }
    if *set_aside > 0 {
        let count = messages(set_aside);
        lines.push(format!("endpoint {name} could not process {count}, last: {last_set_aside}. Set aside"));
    }
    if *dropped > 0 {
        lines.push(format!("endpoint {name} rejected {}; see the controller's log", messages(dropped)));
    }
    lines
}

/// A rung's name; `-` for none.
pub fn rung(wire: i32) -> &'static str {
    rung_from_wire(wire).map_or("-", |rung| rung.name())
}

/// A share in percent.
pub fn percent(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}

fn by_whom(by: &v1::Attribution, when: &str) -> String {
    let reason = if by.reason.is_empty() { "no reason given" } else { &by.reason };
    format!("by {} {when}: {reason}", by.by)
}

/// `12 min ago`
pub fn ago(now_ms: u64, at_ms: u64) -> String {
    format!("{} ago", short(now_ms.saturating_sub(at_ms)))
}

/// `at 2026-11-26T14:30:00Z`
pub fn at(_: u64, at_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at_ms);
    format!("at {}", humantime::format_rfc3339_seconds(at))
}

#[cfg(test)]
mod tests;
