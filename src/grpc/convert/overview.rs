//! Overviews of migrations as messages.

use std::time::Duration;

use cutover_proto::v1;

use super::plan;
use crate::{
    gist::{self, Gist, Tone},
    service::{Callers, MigrationGlance, MigrationRow, MigrationStatus, Progress, operate::now_ms},
    telemetry::Deliveries,
};

pub(in crate::grpc) fn status(status: MigrationStatus) -> v1::Status {
    let MigrationStatus { entry, waiting, settled, newest_step, instances, .. } = status;
    let migration = &entry.migration;
    let instances = instances.into_iter().map(|seen| super::instance(seen, newest_step));
    let mut status = v1::Status {
        migration: Some(super::migration(migration.revision, &migration.document)),
        waiting: super::waiting(waiting),
        settled,
        instances: instances.collect(),
        totals: Some(super::totals(&status.totals, status.dropped_cells)),
        rates: status.rates.iter().map(super::rate).collect(),
        at_ms: now_ms(),
        shares: super::shares(&migration.document),
        plan: plan::view(&entry, status.plan).ok(),
        jobs: jobs(&status.passes),
        endpoints: status.endpoints.into_iter().filter_map(endpoint).collect(),
        guards: status.guards.iter().map(super::guard::level).collect(),
        callers: status.callers.map(|it| callers(it, newest_step)),
        gist: None,
    };
    status.gist = Some(gist(&status));
    status
}

fn callers(callers: Callers, newest_step: u64) -> v1::Callers {
    let ms = |duration: Duration| duration.as_millis() as u64;
    v1::Callers {
        asked_ms: ms(callers.asked),
        applied_revision: callers.applied,
        settled: callers.applied >= newest_step,
        waited_for_ms: ms(callers.waited_for),
    }
}

fn gist(status: &v1::Status) -> v1::Gist {
    let Gist { standing, what, next, tone } = gist::gist(status, gist::ago);
    let urgency = match tone {
        Tone::Calm => v1::Urgency::Calm,
        Tone::Waiting => v1::Urgency::Waiting,
        Tone::Alarm => v1::Urgency::Alarm,
    };
    v1::Gist { what, next, urgency: urgency.into(), standing: standing.to_owned() }
}

pub(in crate::grpc) fn list(revision: u64, glances: Vec<MigrationGlance>) -> v1::ListMigrationsResponse {
    let migration = |glance: &MigrationGlance| {
        let migration = &glance.entry.migration;
        super::migration(migration.revision, &migration.document)
    };
    v1::ListMigrationsResponse {
        migrations: glances.iter().map(migration).collect(),
        revision,
        glances: glances.into_iter().map(glance).collect(),
        at_ms: now_ms(),
    }
}

pub(in crate::grpc) fn overview(revision: u64, rows: Vec<MigrationRow>) -> v1::Overview {
    let at_ms = now_ms();
    v1::Overview { rows: rows.into_iter().map(|it| row(it, at_ms)).collect(), revision, at_ms }
}

fn row(row: MigrationRow, at_ms: u64) -> v1::OverviewRow {
    let MigrationRow { glance, rates, instances } = row;
    let lost = glance.lost;
    let status = in_short(glance, at_ms);
    let gist = gist(&status);
    let v1::Status { migration, shares, plan, jobs, settled, .. } = status;
    let (migration, plan) = (migration.unwrap_or_default(), plan.unwrap_or_default());
    v1::OverviewRow {
        state: migration.state,
        key: migration.key,
        source: migration.source,
        target: migration.target,
        gist: Some(gist),
        shares,
        plan: plan.status,
        plan_taken: plan.taken.len() as u32,
        plan_steps: plan.plan.map_or(0, |plan| plan.steps.len()) as u32,
        plan_held: plan.held,
        plan_due_ms: plan.missing.iter().map(|missing| missing.until_ms).max().unwrap_or(0),
        jobs,
        rates: rates.iter().map(super::rate).collect(),
        instances,
        lost,
        settled,
        last_trip: migration.trips.last().cloned(),
    }
}

fn glance(glance: MigrationGlance) -> v1::Glance {
    let lost = glance.lost;
    let status = in_short(glance, now_ms());
    let gist = gist(&status);
    let v1::Status { migration, plan, jobs, settled, .. } = status;
    let (migration, plan) = (migration.unwrap_or_default(), plan.unwrap_or_default());
    v1::Glance {
        key: migration.key,
        plan: plan.status,
        plan_taken: plan.taken.len() as u32,
        plan_steps: plan.plan.map_or(0, |plan| plan.steps.len()) as u32,
        plan_held: plan.held,
        jobs,
        lost,
        settled,
        gist: Some(gist),
    }
}

/// What the sentence is made from, and the rest of a line.
fn in_short(glance: MigrationGlance, at_ms: u64) -> v1::Status {
    let MigrationGlance { entry, plan, passes, lost: _, settled, waiting } = glance;
    let document = &entry.migration.document;
    v1::Status {
        migration: Some(super::migration(entry.migration.revision, document)),
        waiting: super::waiting(waiting),
        settled,
        shares: super::shares(document),
        plan: plan::view(&entry, plan).ok(),
        jobs: jobs(&passes),
        at_ms,
        ..Default::default()
    }
}

fn jobs(passes: &[Progress]) -> Vec<v1::Job> {
    passes.iter().map(|progress| super::pass::job(progress, true)).collect()
}

/// `None`: it gets everything.
fn endpoint(deliveries: Deliveries) -> Option<v1::Endpoint> {
    let Deliveries { endpoint, dropped, set_aside, waiting, failing_ms, answer, last_set_aside, .. } =
        deliveries;
    let is_ill = failing_ms.is_some() || dropped > 0 || set_aside > 0;
    is_ill.then_some(v1::Endpoint {
        name: endpoint,
        // Failing since just now is not 0.
        failing_ms: failing_ms.map_or(0, |ms| ms.max(1)),
        answer,
        waiting,
        dropped,
        set_aside,
        last_set_aside,
    })
}
