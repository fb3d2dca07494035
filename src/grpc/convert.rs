//! Converts domain types to messages, and requests to domain types.

pub(super) mod guard;
pub mod history;
pub(super) mod overview;
pub(super) mod pass;
pub mod plan;

use cutover_core::{
    routing::{Rung, bucket},
    wire::{bands_from_wire, level_from_wire, route_from_wire, rung_from_wire},
};
use cutover_proto::v1;
use tonic::Status;

use super::status;
use crate::{
    domain::{
        Ask, Attribution, Document, Gate, HeldRoutes, Migration, PendingRequest, Policy, REQUEST_VALID_MS,
        Rollout, State, Tenant, TenantRow, Unmet, Violation,
    },
    service::{Followed, InstanceView},
};

pub(super) fn ask(wait: bool, overrides: &[String]) -> Result<Ask, Status> {
    Ok(Ask { wait, overrides: gates(overrides)? })
}

pub(super) fn gates(names: &[String]) -> Result<Vec<Gate>, Status> {
    let mut gates = Vec::new();
    for name in names {
        let gate = name.parse().map_err(status::invalid)?;
        // Each has a line in what a second person reads.
        if !gates.contains(&gate) {
            gates.push(gate);
        }
    }
    Ok(gates)
}

/// A rung to pin to; `hold` and a missing one are refused.
pub(super) fn pin_rung(wire: i32) -> Result<Rung, Status> {
    let rung = rung_from_wire(wire).ok().filter(|rung| *rung != Rung::Hold);
    let message = "is no stage: use source-only, dual, mirrored, target-first or target-only";
    rung.ok_or_else(|| status::invalid(Violation::new("rung", message)))
}

/// A requested policy; fields that are 0 and must not be take their default.
pub(super) fn policy_from_wire(wire: &v1::Policy) -> Result<Policy, Status> {
    let defaults = Policy::default();
    let level = match wire.level {
        0 => defaults.level,
        level => level_from_wire(level)
            .map_err(|error| status::invalid(Violation::new("policy.level", error.to_string())))?,
    };
    let small = |field: &str, value: u64| {
        u32::try_from(value).map_err(|_| status::invalid(Violation::new(field, "is too large")))
    };
    Ok(Policy {
        level,
        required_services: wire.required_services.clone(),
        soak_ms: wire.soak_ms,
        finish_soak_ms: wire.finish_soak_ms.unwrap_or(defaults.finish_soak_ms),
        fence_after_ms: small("policy.fence_after_ms", wire.fence_after_ms)?,
        hold_timeout_ms: match wire.hold_timeout_ms {
            0 => defaults.hold_timeout_ms,
            ms => small("policy.hold_timeout_ms", ms)?,
        },
        shadow_ppm: wire.shadow_ppm.unwrap_or(defaults.shadow_ppm),
        two_persons: wire.two_persons,
        local_guard: wire.local_guard,
        local_guard_read_ppm: wire.local_guard_read_ppm.unwrap_or(defaults.local_guard_read_ppm),
        local_guard_write_ppm: wire.local_guard_write_ppm.unwrap_or(defaults.local_guard_write_ppm),
    })
}

fn policy(policy: &Policy) -> v1::Policy {
    v1::Policy {
        level: v1::Level::from(policy.level).into(),
        required_services: policy.required_services.clone(),
        soak_ms: policy.soak_ms,
        finish_soak_ms: Some(policy.finish_soak_ms),
        fence_after_ms: policy.fence_after_ms.into(),
        hold_timeout_ms: policy.hold_timeout_ms.into(),
        shadow_ppm: Some(policy.shadow_ppm),
        local_guard: policy.local_guard,
        local_guard_read_ppm: Some(policy.local_guard_read_ppm),
        local_guard_write_ppm: Some(policy.local_guard_write_ppm),
        two_persons: policy.two_persons,
    }
}

pub(super) fn rollout(rollout: &Rollout) -> v1::Rollout {
    v1::Rollout {
        dual_ppm: rollout.dual_ppm(),
        mirrored_ppm: rollout.mirrored_ppm(),
        target_first_ppm: rollout.target_first_ppm(),
        target_only_ppm: rollout.target_only_ppm(),
    }
}

pub(super) fn rung(rung: Rung) -> i32 {
    v1::Rung::from(rung).into()
}

pub(super) fn migration(revision: u64, document: &Document) -> v1::Migration {
    v1::Migration {
        key: document.key.to_string(),
        salt: document.salt.clone(),
        source: document.source.clone(),
        target: document.target.clone(),
        description: document.description.clone(),
        revision,
        state: state(document.state()).into(),
        rollout: Some(rollout(&document.rollout())),
        goal: Some(rollout(&document.goal)),
        pins: document.pins,
        policy: Some(policy(&document.policy)),
        ceiling: document.ceiling.map_or(0, rung),
        paused: document.paused,
        created_at_ms: document.created_at_ms,
        bands: document
            .bands
            .pieces(&[])
            .map(|(_, upto_ppm, at)| v1::Band { upto_ppm, rung: rung(at.rung), since: at.since })
            .collect(),
        evidence: document.evidence.iter().map(pass::evidence).collect(),
        tenants_rolled_back: document.rolled_back,
        guards: guard::rules(&document.guards),
        trips: document.trips.iter().map(guard::trip).collect(),
        paused_by: document.paused_by.as_ref().map(attribution),
        state_since: document.state_since.as_ref().map(attribution),
        requests: document.requests.iter().map(request).collect(),
    }
}

fn request(request: &PendingRequest) -> v1::PendingRequest {
    v1::PendingRequest {
        revision: request.revision,
        by: request.by.clone(),
        reason: request.reason.clone(),
        at_ms: request.at_ms,
        expires_ms: request.at_ms + REQUEST_VALID_MS,
        changes: request.summary.clone(),
    }
}

fn attribution(attribution: &Attribution) -> v1::Attribution {
    let Attribution { by, reason, at_ms, revision } = attribution.clone();
    v1::Attribution { by, reason, at_ms, revision }
}

fn state(state: State) -> v1::State {
    match state {
        State::Idle => v1::State::Idle,
        State::Ramping => v1::State::Ramping,
        State::Paused => v1::State::Paused,
        State::Tripped => v1::State::Tripped,
        State::Finished => v1::State::Finished,
        State::Abandoned => v1::State::Abandoned,
    }
}

pub(super) fn waiting(unmet: Vec<Unmet>) -> Vec<v1::Waiting> {
    let one = |Unmet { step, whom, gate, message, action, by_itself }| v1::Waiting {
        step,
        whom,
        gate: gate.name().to_owned(),
        message,
        action,
        by_itself,
    };
    unmet.into_iter().map(one).collect()
}

/// An instance; `step` is the newest step of the requested migration.
pub(super) fn instance(seen: InstanceView, step: u64) -> v1::Instance {
    let InstanceView { name, record, received, applied, silent, lost, refused, duplicate, waited_for } = seen;
    let kind = if record.worker { v1::InstanceKind::Worker } else { v1::InstanceKind::Service };
    v1::Instance {
        instance_id: record.instance_id,
        name,
        service: record.service,
        sdk: record.sdk,
        kind: kind.into(),
        writer_slot: record.writer_slot.into(),
        lost,
        received_revision: received,
        applied_revision: applied,
        silent_ms: silent.as_millis() as u64,
        tenant_fingerprint: record.tenant_fingerprint,
        settled: applied >= step,
        incarnation: record.incarnation,
        duplicate,
        parked: record.parked,
        counted_out: record.counted_out,
        token: record.credential.map_or_else(String::new, |credential| credential.token),
        refused,
        waited_for_ms: waited_for.map_or(0, |waited_for| waited_for.as_millis() as u64),
    }
}

/// What an instance routes by. A table that can't be read says nothing.
pub(super) fn held_routes(instance_id: &str, tables: &[v1::HeldTable]) -> Vec<(String, HeldRoutes)> {
    let read = |table: &v1::HeldTable| {
        let bands = bands_from_wire(&table.bands).ok()?;
        let read = |wire: &v1::Override| {
            let route = route_from_wire(wire.rung, wire.reason, wire.no_fallback).ok()?;
            Some((Tenant::parse(&wire.tenant).ok()?, route))
        };
        let exceptions = table.overrides.iter().filter_map(read).collect();
        let (instance_id, salt) = (instance_id.to_owned(), table.salt.clone());
        Some((table.migration.clone(), HeldRoutes { instance_id, salt, bands, exceptions, is_known: false }))
    };
    tables.iter().filter_map(read).collect()
}

pub(super) fn pin(migration: &Migration, tenant: &Tenant, row: &TenantRow, pin: Rung) -> v1::Pin {
    v1::Pin {
        tenant: tenant.to_string(),
        rung: rung(pin),
        at: rung(row.placement.rung),
        reason: v1::Reason::from(migration.wanted(tenant).reason).into(),
    }
}

/// Shares of the buckets at each rung.
pub(super) fn shares(document: &Document) -> Vec<v1::RungShare> {
    let pieces = || document.bands.pieces(&[]);
    let share =
        |rung: Rung| pieces().filter(|(_, _, at)| at.rung == rung).map(|(from, upto, _)| upto - from).sum();
    let shares = Rung::ALL.into_iter().map(|at| v1::RungShare { rung: rung(at), ppm: share(at) });
    shares.filter(|share| share.ppm > 0).collect()
}

/// Everything about where one tenant stands, as a story. `pinned_by`: who pinned it, if the history tells.
pub(super) fn explain(
    migration: &Migration,
    tenant: &Tenant,
    unmet: Vec<Unmet>,
    pinned_by: Option<&str>,
    followed: Option<Followed>,
) -> v1::ExplainResponse {
    let document = &migration.document;
    let placement = migration.placement(tenant);
    let wanted = migration.wanted(tenant);
    let row = migration.tenants.get(tenant);
    let (pin, ceiling) = (row.and_then(|row| row.pin), row.and_then(|row| row.ceiling));
    let ceiling = ceiling.into_iter().chain(document.ceiling).min();
    let bucket = bucket(&document.salt, tenant.as_str());
    let by_rollout = document.goal.rung_of(bucket);
    let share = f64::from(bucket) / 10_000.0;
    let mut story = vec![format!(
        "its bucket is {bucket}, which is at {share} % of all: the rollout wants it at {by_rollout}"
    )];
    story.extend(pin.map(|rung| {
        let key = &document.key;
        let by =
            pinned_by.unwrap_or("by an operator, or since a rollback was acknowledged (cutover history)");
        format!("it is pinned to {rung} {by}: cutover unpin {key} {tenant} lifts that")
    }));
    story.extend(ceiling.map(|rung| format!("a rollback keeps it at most at {rung} until acknowledged")));
    if placement.floor > Rung::SourceOnly {
        story.push(format!(
            "it can't go below {}: only the target has some of its writes, until cutover reverse SPEC copies them back",
            placement.floor
        ));
    }
    story.push(match placement.since {
        0 => format!("it has always been at {}", placement.rung),
        since => format!("it has been at {} since revision {since}", placement.rung),
    });
    if placement.rung != wanted.rung {
        story.push(format!("it is on the way to {}", wanted.rung));
    }
    story.extend(
        unmet.iter().map(|unmet| format!("{} waits: {} ({})", unmet.step, unmet.message, unmet.action)),
    );
    let about = |trip: &&crate::domain::Trip| trip.is_about(tenant);
    if let Some(trip) = document.trips.iter().rev().find(about) {
        story.extend(guard::story(trip, followed.as_ref()));
    }
    v1::ExplainResponse {
        migration: migration.key().to_string(),
        tenant: tenant.to_string(),
        bucket,
        stage: v1::Stage::from(placement.rung.stage()).into(),
        rung: rung(placement.rung),
        reason: v1::Reason::from(wanted.reason).into(),
        revision: migration.revision,
        since: placement.since,
        rollout: rung(by_rollout),
        pin: pin.map_or(0, rung),
        ceiling: ceiling.map_or(0, rung),
        floor: rung(placement.floor),
        wanted: rung(wanted.rung),
        waiting: waiting(unmet),
        story,
        followed: followed.as_ref().map(guard::followed),
    }
}

pub(super) fn totals(totals: &crate::domain::Totals, dropped_cells: u64) -> v1::Totals {
    v1::Totals {
        hit: totals.hit,
        miss: totals.miss,
        not_found: totals.not_found,
        migrated: totals.migrated,
        backfill: totals.backfill,
        repaired: totals.repaired,
        mismatch: totals.mismatch,
        compared: totals.compared,
        lacking: totals.lacking,
        indeterminate: totals.indeterminate,
        not_applied: totals.not_applied,
        unavailable: totals.unavailable,
        only_target_failed: totals.only_target_failed,
        only_source_failed: totals.only_source_failed,
        both_ok: totals.both_ok,
        both_failed: totals.both_failed,
        dropped_cells,
    }
}

pub(super) fn rate(rate: &crate::telemetry::StoreRate) -> v1::StoreRate {
    v1::StoreRate {
        store: rate.store.into(),
        operation: rate.operation.into(),
        calls_per_s: rate.calls_per_s,
        errors_per_s: rate.errors_per_s,
        p50_us: rate.p50_us,
        p99_us: rate.p99_us,
    }
}
