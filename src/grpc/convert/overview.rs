//! Overviews of migrations as messages.

use cutover_proto::v1;

use super::plan;
use crate::{
    service::{MigrationGlance, MigrationStatus, Progress, operate::now_ms},
    telemetry::Deliveries,
};

pub(in crate::grpc) fn status(status: MigrationStatus) -> v1::Status {
    let MigrationStatus { entry, waiting, settled, newest_step, instances, .. } = status;
    let migration = &entry.migration;
    let instances = instances.into_iter().map(|seen| super::instance(seen, newest_step));
    v1::Status {
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
    }
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

fn glance(glance: MigrationGlance) -> v1::Glance {
    let MigrationGlance { entry, plan, passes, lost, settled } = glance;
    let plan = plan::view(&entry, plan).unwrap_or_default();
    v1::Glance {
        key: entry.migration.key().to_string(),
        plan: plan.status,
        plan_taken: plan.taken.len() as u32,
        plan_steps: plan.plan.map_or(0, |plan| plan.steps.len()) as u32,
        plan_held: plan.held,
        jobs: jobs(&passes),
        lost,
        settled,
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
