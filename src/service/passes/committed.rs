//! What a commit did to a pass. It may not be published yet: a controller that can't read its store for a moment has
//! committed all the same.

use super::{super::operate, unknown};
use crate::{
    domain::{Evidence, Job},
    service::operate::ChangeOutcome,
};

/// The pass that was begun.
pub(super) fn job(begun: ChangeOutcome, id: &str) -> Result<Job, operate::Error> {
    let mut jobs = begun.document.into_iter().flat_map(|document| document.jobs);
    jobs.find(|job| job.id == id).ok_or_else(|| unknown(id))
}

/// The result of the pass that was ended.
pub(super) fn evidence(finished: ChangeOutcome, id: &str) -> Result<Evidence, operate::Error> {
    let mut all = finished.document.into_iter().flat_map(|document| document.evidence);
    all.find(|evidence| evidence.job.id == id).ok_or_else(|| unknown(id))
}
