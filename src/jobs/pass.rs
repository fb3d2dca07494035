//! A first, plain full pass: one worker scans the source, tombstones included, and writes to the
//! target what is newer than what it has. The controller records what was settled when it began.

use cutover_client::store::{Copied, Scope, Segment, Store, StoreError};
use cutover_proto::v1::{self, job_service_client::JobServiceClient};
use tonic::{Status, transport::Channel};

/// Bytes of one page of the scan.
const PAGE_BYTES: usize = 1 << 20;

/// Why a pass did not end. What it copied stays; run it again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The controller would not have it, or is gone.
    #[error("the controller: {}", .0.message())]
    Controller(#[from] Status),
    /// A store failed.
    #[error("a store: {0}; what was copied stays, run the pass again")]
    Store(#[from] StoreError),
}

/// Copies everything and leaves the evidence with the controller.
pub async fn full_pass(
    jobs: &mut JobServiceClient<Channel>,
    migration: &str,
    actor: &str,
    source: &dyn Store,
    target: &dyn Store,
) -> Result<v1::Evidence, Error> {
    let request = v1::CreateJobRequest {
        migration: migration.to_owned(),
        actor: actor.to_owned(),
        ..Default::default()
    };
    let job = jobs.create_job(request).await?.into_inner();
    let mut counts = v1::PassCounts::default();
    let copied = copy(source, target, &mut counts).await;
    let finish = v1::FinishJobRequest {
        id: job.id,
        counts: Some(counts),
        complete: copied.is_ok(),
        actor: actor.to_owned(),
    };
    let evidence = jobs.finish_job(finish).await?.into_inner().evidence;
    copied?;
    Ok(evidence.unwrap_or_default())
}

async fn copy(source: &dyn Store, target: &dyn Store, counts: &mut v1::PassCounts) -> Result<(), StoreError> {
    let mut cursor = None;
    loop {
        let page = source.scan(&Scope::All, Segment::ALL, cursor.as_ref(), PAGE_BYTES).await?;
        counts.scanned += page.records.len() as u64;
        for copied in target.put_many_if_newer(&page.records).await? {
            match copied {
                Copied::Written => counts.copied += 1,
                Copied::Present => {}
                Copied::Stale(_) => counts.stale += 1,
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}
