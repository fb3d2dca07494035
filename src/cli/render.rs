//! What people and scripts read. Pure: messages in, lines or JSON out.

mod list;
mod pass;
pub(super) mod plan;
mod progress;
mod status;
mod table;
mod trip;

use std::{process::ExitCode, time::Duration};

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{Global, exit::Exit, out};
pub(super) use crate::gist::rung;
use crate::{
    gist,
    view::instance::{name, standing},
};
pub(super) use list::{glance_json, list_table};
pub(super) use pass::{
    Known, advice, counts_json, evidence_json, evidence_line, expected, finding_lines, migration_of,
    pass_kind, records,
};
pub(super) use progress::{progress_json, progress_table};
pub(super) use status::{status_json, status_page};
pub(super) use table::table;
pub(super) use trip::{operation, trip_json};

/// The gate of what waits for a second person.
const SECOND_PERSON: &str = "second-person";

fn state(migration: &v1::Migration) -> &'static str {
    match migration.state() {
        v1::State::Unspecified => "unknown",
        v1::State::Idle => "idle",
        v1::State::Ramping => "ramping",
        v1::State::Paused => "paused",
        v1::State::Tripped => "tripped",
        v1::State::Finished => "finished",
        v1::State::Abandoned => "abandoned",
    }
}

fn rollout_json(rollout: Option<&v1::Rollout>) -> Value {
    let rollout = rollout.copied().unwrap_or_default();
    json!({
        "dual_ppm": rollout.dual_ppm, "mirrored_ppm": rollout.mirrored_ppm,
        "target_first_ppm": rollout.target_first_ppm, "target_only_ppm": rollout.target_only_ppm,
    })
}

pub(super) fn migration_json(migration: &v1::Migration) -> Value {
    json!({
        "key": migration.key, "salt": migration.salt, "revision": migration.revision, "state": state(migration),
        "source": migration.source, "target": migration.target, "description": migration.description,
        "rollout": rollout_json(migration.rollout.as_ref()), "goal": rollout_json(migration.goal.as_ref()),
        "pins": migration.pins, "paused": migration.paused, "tenants_rolled_back": migration.tenants_rolled_back,
        "ceiling": (migration.ceiling != 0).then(|| rung(migration.ceiling)),
        "created_at_ms": migration.created_at_ms,
        "paused_by": migration.paused_by.as_ref().map(attribution_json),
        "state_since": migration.state_since.as_ref().map(attribution_json),
        "requests": migration.requests.iter().map(request_json).collect::<Vec<_>>(),
    })
}

fn request_json(request: &v1::PendingRequest) -> Value {
    json!({
        "revision": request.revision, "by": request.by, "reason": request.reason, "at_ms": request.at_ms,
        "expires_ms": request.expires_ms, "changes": request.changes,
    })
}

fn attribution_json(attribution: &v1::Attribution) -> Value {
    json!({
        "by": attribution.by, "reason": attribution.reason, "at_ms": attribution.at_ms,
        "revision": attribution.revision,
    })
}

/// A time that something takes, for people.
pub(super) fn span(span: Duration) -> String {
    const DAY_S: u64 = 24 * 3_600;
    // Not humantime's, whose months have 30.44 of them.
    let days = span.as_secs() / DAY_S;
    let rest = span - Duration::from_secs(days * DAY_S);
    let days = match days {
        0 => return humantime::format_duration(rest).to_string(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if rest.is_zero() { days } else { format!("{days} {}", humantime::format_duration(rest)) }
}

pub(super) fn migration_page(migration: &v1::Migration) -> Vec<String> {
    let first = format!("{} is {} at revision {}", migration.key, state(migration), migration.revision);
    std::iter::once(first).chain(migration_lines(migration)).collect()
}

fn migration_lines(migration: &v1::Migration) -> Vec<String> {
    let mut page = vec![
        format!("  {} -> {}", migration.source, migration.target),
        format!("  now    {}", gist::at_stages(&migration.rollout.unwrap_or_default())),
    ];
    if migration.goal != migration.rollout {
        page.push(format!("  goal   {}", gist::at_stages(&migration.goal.unwrap_or_default())));
    }
    page.push(match migration.pins {
        0 => "  pins   0".to_owned(),
        pins => format!(
            "  pins   {pins}, not moved by the rollout: cutover pins {0}, cutover unpin {0} TENANT",
            migration.key
        ),
    });
    if migration.ceiling != 0 {
        page.push(format!(
            "  rolled back to {}: cutover ack {} --reason ..",
            rung(migration.ceiling),
            migration.key
        ));
    }
    let is_over = matches!(migration.state(), v1::State::Finished | v1::State::Abandoned);
    let newest = migration.evidence.last().filter(|_| !is_over);
    page.extend(newest.map(|pass| format!("  pass   {}", evidence_line(pass))));
    page
}

pub(super) fn waiting_line(waiting: &v1::Waiting) -> String {
    let subject = gist::subject(&waiting.whom, &waiting.step);
    format!("{subject}[{}] {} ({})", waiting.gate, waiting.message, waiting.action)
}

pub(super) fn waiting_json(waiting: &v1::Waiting) -> Value {
    json!({
        "step": waiting.step, "whom": waiting.whom, "gate": waiting.gate,
        "message": waiting.message, "action": waiting.action, "by_itself": waiting.by_itself,
    })
}

/// What a change did, and what it waits for. Of a change of tenants only their steps count; `whom`: whose they are.
#[derive(Clone, Debug)]
pub(super) enum Waits {
    /// It moves tenants.
    All,
    /// It moves this tenant.
    Of(String),
    /// It moves nobody: what tenants wait for is not its doing.
    None,
}

/// What a change did. A change that somebody else has to approve was not made: [`Exit::Held`].
pub(super) fn changed(global: &Global, answer: &v1::MutationResponse, waits: &Waits) -> ExitCode {
    let exit = if is_asked(answer) { Exit::Held } else { Exit::Done };
    if global.json {
        out::json(&json!({
            "migration": answer.migration.as_ref().map(migration_json), "changes": answer.changes,
            "waiting": answer.waiting.iter().map(waiting_json).collect::<Vec<_>>(),
            "ways": answer.ways, "consequences": answer.consequences, "dry_run": answer.dry_run, "repeated": answer.repeated,
        }));
        return exit.into();
    }
    let dry = if answer.dry_run { "dry run: " } else { "" };
    answer.changes.iter().for_each(|change| out::line(&format!("{dry}{change}")));
    // What the changes say of the first step, to its end.
    let is_long = |way: &&String| way.matches("->").count() > 1;
    let is_its_way = |way: &&String| match waits {
        Waits::All => true,
        Waits::Of(tenant) => way.starts_with(&format!("tenant {tenant}:")),
        Waits::None => false,
    };
    if !answer.changes.is_empty() {
        let ways = answer.ways.iter().filter(is_long).filter(is_its_way);
        ways.for_each(|way| out::line(&format!("{dry}the whole way of {way}")));
        answer.consequences.iter().for_each(|line| out::line(&format!("{dry}{line}")));
    }
    if answer.changes.is_empty() {
        out::line(&match answer.consequences.as_slice() {
            [] => "nothing to do".to_owned(),
            why => format!("nothing to do: {}", why.join("; ")),
        });
        let tripped = answer.migration.as_ref().filter(|migration| migration.state() == v1::State::Tripped);
        tripped.into_iter().for_each(|it| {
            out::line(&format!("{0} is rolled back. Next: cutover ack {0} --reason ..", it.key));
        });
    }
    let is_its = |waiting: &&v1::Waiting| match waits {
        _ if waiting.gate == SECOND_PERSON => true,
        Waits::All => true,
        Waits::Of(tenant) => waiting.whom == format!("tenant {tenant}"),
        Waits::None => false,
    };
    let its: Vec<v1::Waiting> = answer.waiting.iter().filter(is_its).cloned().collect();
    gist::together(&its).iter().for_each(|waiting| out::line(&format!("waiting: {}", waiting_line(waiting))));
    exit.into()
}

/// Whether the change waits for a second person.
pub(super) fn is_asked(answer: &v1::MutationResponse) -> bool {
    answer.waiting.iter().any(|waiting| waiting.gate == SECOND_PERSON)
}

pub(super) fn explain_json(explained: &v1::ExplainResponse) -> Value {
    let optional = |wire: i32| (wire != 0).then(|| rung(wire));
    json!({
        "migration": explained.migration, "tenant": explained.tenant, "bucket": explained.bucket,
        "rung": rung(explained.rung), "revision": explained.revision, "since": explained.since,
        "rollout": rung(explained.rollout), "pin": optional(explained.pin), "ceiling": optional(explained.ceiling),
        "floor": rung(explained.floor), "wanted": rung(explained.wanted), "story": explained.story,
        "waiting": explained.waiting.iter().map(waiting_json).collect::<Vec<_>>(),
        "followed": explained.followed.as_ref().map(|followed| json!({
            "revision": followed.revision, "instances": followed.instances, "behind": followed.behind,
            "decided_ms": followed.decided_ms, "p50_ms": followed.p50_ms, "last_ms": followed.last_ms,
        })),
    })
}

pub(super) fn event_json(event: &v1::HistoryEvent) -> Value {
    json!({
        "revision": event.revision, "migration": event.migration, "at_ms": event.at_ms, "actor": event.actor,
        "reason": event.reason, "change": event.change, "summary": event.summary, "request_id": event.request_id,
        "trip": event.trip.as_ref().map(trip_json),
    })
}

/// A time as people read it.
pub(super) fn time(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// One event: when and who on the first line, what below it.
pub(super) fn event_lines(event: &v1::HistoryEvent) -> Vec<String> {
    let at = time(event.at_ms);
    let reason = if event.reason.is_empty() { String::new() } else { format!(" because {}", event.reason) };
    let head = format!("{at}  r{:<5} {}  by {}{reason}", event.revision, event.migration, event.actor);
    std::iter::once(head).chain(event.summary.split("; ").map(|fact| format!("    {fact}"))).collect()
}

pub(super) fn instance_json(instance: &v1::Instance) -> Value {
    json!({
        "instance_id": instance.instance_id, "service": instance.service, "sdk": instance.sdk,
        "worker": instance.kind() == v1::InstanceKind::Worker, "writer_slot": instance.writer_slot,
        "lost": instance.lost, "settled": instance.settled, "silent_ms": instance.silent_ms,
        "received_revision": instance.received_revision, "applied_revision": instance.applied_revision,
        "duplicate": instance.duplicate, "parked": instance.parked, "counted_out": instance.counted_out,
        "waited_for_ms": instance.waited_for_ms, "name": name(instance), "token": instance.token,
        "refused": instance.refused,
    })
}

/// The instances, a row each.
pub(super) fn instance_table(instances: &[v1::Instance]) -> Vec<String> {
    let row = |instance: &v1::Instance| {
        [
            name(instance).to_owned(),
            instance.service.clone(),
            standing(instance),
            format!("r{}", instance.received_revision),
            format!("r{}", instance.applied_revision),
            format!("{} ago", gist::short(instance.silent_ms)),
        ]
    };
    let rows: Vec<_> = instances.iter().map(row).collect();
    table(["INSTANCE", "SERVICE", "STATE", "RECEIVED", "QUIESCED", "HEARD"], &rows)
}
