//! How migrations are doing: one in detail, or all at a glance.

use std::sync::Arc;

use cutover_proto::v1;
use tonic::Status;

use super::{
    super::{convert, plan},
    Admin,
};
use crate::{
    domain::{Key, Wait, change, what_to_do},
    service::{Entry, operate::now_ms},
};

impl Admin {
    pub(super) fn list(&self) -> v1::ListMigrationsResponse {
        let state = self.registry.state();
        let mut entries: Vec<&Arc<Entry>> = state.entries().collect();
        entries.sort_by(|a, b| a.migration.key().cmp(b.migration.key()));
        let migration =
            |entry: &&Arc<Entry>| convert::migration(entry.migration.revision, &entry.migration.document);
        v1::ListMigrationsResponse {
            migrations: entries.iter().map(migration).collect(),
            revision: state.revision,
            glances: entries.iter().map(|entry| self.glance(entry)).collect(),
            at_ms: now_ms(),
        }
    }

    fn glance(&self, entry: &Arc<Entry>) -> v1::Glance {
        let migration = &entry.migration;
        let plan = plan::view(entry, self.plans.outlook(entry)).unwrap_or_default();
        let fleet = self.instances.fleet(Some(entry));
        v1::Glance {
            key: migration.key().to_string(),
            plan: plan.status,
            plan_taken: plan.taken.len() as u32,
            plan_steps: plan.plan.map_or(0, |plan| plan.steps.len()) as u32,
            plan_held: plan.held,
            jobs: self.jobs(migration.key()),
            lost: fleet.lost().count() as u32,
            settled: fleet.acknowledged(migration.newest_step(), Wait::Quiesced),
        }
    }

    fn jobs(&self, key: &Key) -> Vec<v1::Job> {
        // Deleted in the meantime: it has none.
        let listed = self.passes.list(key).unwrap_or_default();
        listed.iter().map(|progress| convert::pass::job(progress, true)).collect()
    }

    pub(super) fn status(&self, key: &str) -> Result<v1::Status, Status> {
        let entry = self.entry(key)?;
        let migration = &entry.migration;
        let fleet = self.instances.fleet(Some(&entry));
        let step = migration.newest_step();
        let mut waiting = convert::waiting(change::waiting(migration, &fleet, self.registry.steady_ms()));
        if waiting.is_empty() {
            // Nobody is to go further, and yet the last step is not known to all.
            let behind: Vec<_> = fleet.behind(step, Wait::Quiesced).collect();
            let names: Vec<&str> = behind.iter().map(|member| member.name.as_str()).collect();
            let (by_itself, action) = what_to_do(&behind);
            waiting.extend((!behind.is_empty()).then(|| v1::Waiting {
                gate: "barrier".to_owned(),
                message: format!("revision {step} at {}", names.join(", ")),
                action,
                by_itself,
                ..Default::default()
            }));
        }
        Ok(v1::Status {
            migration: Some(convert::migration(migration.revision, &migration.document)),
            waiting,
            settled: fleet.acknowledged(step, Wait::Quiesced),
            instances: self.instances.seen().into_iter().map(|seen| convert::instance(seen, step)).collect(),
            totals: Some(convert::totals(&self.ingest.totals(key), self.ingest.dropped_cells())),
            rates: self.ingest.rates(key, now_ms()).iter().map(convert::rate).collect(),
            at_ms: now_ms(),
            shares: convert::shares(&migration.document),
            plan: plan::view(&entry, self.plans.outlook(&entry)).ok(),
            jobs: self.jobs(migration.key()),
        })
    }
}
