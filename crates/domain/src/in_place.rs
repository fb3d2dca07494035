//! Which steps of a plan a migration's goal already reaches.

use crate::{
    Migration,
    plan::{Part, Plan, Step},
};

impl Plan {
    /// Number of steps, from the first, that the migration's goal already reaches or exceeds.
    pub fn in_place(&self, migration: &Migration) -> usize {
        self.steps().iter().take_while(|step| step.is_in_place(migration)).count()
    }
}

impl Step {
    /// Whether the migration's goal already reaches or exceeds this step.
    pub(crate) fn is_in_place(&self, migration: &Migration) -> bool {
        match &self.part {
            Part::Share(ppm) => {
                let shares = migration.document.goal.shares();
                shares.into_iter().any(|(rung, has)| rung == self.rung && has >= *ppm)
            }
            Part::Tenants(tenants) => tenants.iter().all(|tenant| migration.wanted(tenant).rung >= self.rung),
        }
    }
}
