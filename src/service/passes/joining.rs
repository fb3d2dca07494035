//! Which running pass a worker joins.

use super::Passes;
use crate::domain::{Gate, Job, Key, NewPass, Refusal, Unmet};

impl Passes {
    /// The running pass that such a worker joins. Refuses one that would divide the stores in another way: it would
    /// take each segment for another part.
    pub(super) fn joinable(&self, key: &Key, pass: &NewPass) -> Result<Option<Job>, Refusal> {
        let state = self.registry.state();
        let Some(entry) = state.entry(key) else { return Ok(None) };
        let jobs = &entry.migration.document.jobs;
        let same = |job: &&Job| {
            job.kind == pass.kind
                && job.segments > 0
                && !job.fingerprint.is_empty()
                && job.fingerprint == pass.fingerprint
                && job.cover == pass.cover
                // Otherwise what an operator asserts would change nothing.
                && job.new_tables.include(pass.new_tables)
        };
        match jobs.iter().find(same) {
            Some(job) if job.segments != pass.segments => {
                let message = format!(
                    "{} has {} segments, and this worker would divide the stores into {}",
                    job.id, job.segments, pass.segments
                );
                let action = format!(
                    "give all workers the same spec and the same version of cutover, or cutover cancel {}",
                    job.id
                );
                Err(Unmet::of_change(Gate::Stage, message, action).into())
            }
            joined => Ok(joined.cloned()),
        }
    }
}
