//! `JobService`: begins and ends passes, so that gates know what was begun after what, and shares their
//! segments among workers.

use std::sync::Arc;

use cutover_core::routing::PPM;
use cutover_proto::v1::{self, job_service_server::JobService};
use cutover_store::spec::Limits;
use tonic::{Request, Response, Status};

use super::{caller::Caller, convert::pass as convert, status};
use crate::{
    domain::{Cover, Key, Need, NewPass, NewTables, PassKind, RESIDUAL_MS, SEGMENTS_MAX, Tenant, Violation},
    service::{Checkpoint, Claimed, PassEnd, Passes, SegmentRecord, operate::RequestMeta},
};

const _: () = assert!(SEGMENTS_MAX == 2 * Limits::SEGMENTS_MAX, "the controller accepts what a spec allows");

/// Maximum tenants named by one pass.
const TENANTS_MAX: usize = 1000;
/// Maximum bytes of a fingerprint.
const FINGERPRINT_MAX_BYTES: usize = 128;

/// The API for passes.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) passes: Arc<Passes>,
}

#[tonic::async_trait]
impl JobService for Jobs {
    async fn create_job(&self, request: Request<v1::CreateJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (caller, request) = Caller::of(request);
        if request.remove_extra || request.source_wins {
            caller.check("CreateJob with a repair that overwrites or deletes", Need::Operate)?;
        }
        if request.new_source || request.new_target {
            caller.check("CreateJob with new tables", Need::Operate)?;
        }
        let key = Key::parse(&request.migration).map_err(status::invalid)?;
        let makes_target = request.makes_target;
        let pass = new_pass(&key, &request).map_err(status::invalid)?;
        let tuning = convert::tuning_from_wire(&request.tuning.unwrap_or_default());
        let mutation =
            RequestMeta { dry_run: request.dry_run, ..caller.acting(request.actor, request.reason)? };
        if makes_target {
            self.passes.make_target(&key, &mutation).await.map_err(status::change)?;
            return Ok(Response::new(v1::Job::default()));
        }
        if mutation.dry_run {
            self.passes.check(&key, &pass, &mutation).await.map_err(status::change)?;
            return Ok(Response::new(v1::Job::default()));
        }
        let begun = self.passes.begin(&key, &pass, tuning, &mutation).await;
        let (progress, joined) = begun.map_err(status::change)?;
        Ok(Response::new(convert::job(&progress, joined)))
    }

    async fn claim_segment(
        &self,
        request: Request<v1::ClaimSegmentRequest>,
    ) -> Result<Response<v1::ClaimSegmentResponse>, Status> {
        let v1::ClaimSegmentRequest { id, instance_id, source, target, prefer_from } = request.into_inner();
        let tables = convert::tables_from_wire(source, target).map_err(status::invalid)?;
        let claimed =
            self.passes.claim(&id, &instance_id, &tables, prefer_from).await.map_err(status::change)?;
        let Claimed { segment, all_done, progress } = claimed;
        let of = progress.job.segments;
        let segment = segment.map(|(index, SegmentRecord { cursor, counts, .. }, claim)| v1::Segment {
            index,
            of,
            cursor,
            counts: Some(convert::counts_to_wire(&counts)),
            claim,
        });
        let waiting = match (&segment, progress.waiting.is_empty()) {
            (Some(_), _) => String::new(),
            (None, false) => progress.waiting.clone(),
            (None, true) => "other workers have all that is left".to_owned(),
        };
        Ok(Response::new(v1::ClaimSegmentResponse {
            segment,
            all_done,
            waiting,
            claimed: progress.claims.len() as u32,
            tuning: Some(convert::tuning_to_wire(progress.record.tuning)),
        }))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        let request = request.into_inner();
        let v1::CheckpointRequest {
            id,
            instance_id,
            segment,
            cursor,
            counts,
            done,
            note,
            claim,
            witness,
            findings,
        } = request;
        let counts = convert::counts_from_wire(counts.unwrap_or_default());
        let record = SegmentRecord { cursor, done, counts };
        let witness = witness.map(convert::witness_from_wire).transpose().map_err(status::invalid)?;
        let findings = findings.into_iter().map(convert::finding_from_wire).collect();
        let checkpoint = Checkpoint { segment, token: claim, instance_id, record, note, findings, witness };
        let progress = self.passes.checkpoint(&id, checkpoint).await.map_err(status::change)?;
        Ok(Response::new(match progress {
            None => v1::CheckpointResponse { lost: true, ..Default::default() },
            Some(progress) => v1::CheckpointResponse {
                lost: false,
                claimed: progress.claims.len() as u32,
                tuning: Some(convert::tuning_to_wire(progress.record.tuning)),
            },
        }))
    }

    async fn tune_job(&self, request: Request<v1::TuneJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (caller, v1::TuneJobRequest { id, tuning, actor, reason, dry_run }) = Caller::of(request);
        let tuning = tuning.ok_or_else(|| status::invalid(Violation::new("tuning", "is missing")))?;
        let mutation = RequestMeta { dry_run, ..caller.acting(actor, reason)? };
        let progress = self.passes.tune(&id, convert::tuning_from_wire(&tuning), &mutation).await;
        Ok(Response::new(convert::job(&progress.map_err(status::change)?, true)))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let key = Key::parse(&request.into_inner().migration).map_err(status::invalid)?;
        let listed = self.passes.list(&key).map_err(status::change)?;
        let jobs = listed.iter().map(|progress| convert::job(progress, true)).collect();
        Ok(Response::new(v1::ListJobsResponse { jobs }))
    }

    async fn finish_job(
        &self,
        request: Request<v1::FinishJobRequest>,
    ) -> Result<Response<v1::FinishJobResponse>, Status> {
        let (caller, message) = Caller::of(request);
        let v1::FinishJobRequest { id, counts, complete, actor, reason, force } = message;
        let end = match (complete, force) {
            (true, _) => PassEnd::Complete,
            (false, false) => PassEnd::Canceled,
            (false, true) => PassEnd::Forced,
        };
        let counts = convert::counts_from_wire(counts.unwrap_or_default());
        let mutation = caller.acting(actor, reason)?;
        let evidence = self.passes.finish(&id, counts, end, &mutation).await.map_err(status::change)?;
        Ok(Response::new(v1::FinishJobResponse { evidence: Some(convert::evidence(&evidence)) }))
    }
}

fn new_pass(key: &Key, request: &v1::CreateJobRequest) -> Result<NewPass, Violation> {
    let v1::CreateJobRequest {
        kind,
        upto_ppm,
        tenants,
        segments,
        fingerprint,
        residual_ms,
        remove_extra,
        source_wins,
        source,
        target,
        new_source,
        new_target,
        expected,
        ..
    } = request;
    if (*remove_extra || *source_wins) && request.reason.is_empty() {
        let message = "is missing: say why records of the target may be deleted or overwritten";
        return Err(Violation::new("reason", message));
    }
    let new_tables = NewTables { source: *new_source, target: *new_target };
    if new_tables.any() && request.reason.is_empty() {
        return Err(Violation::new("reason", "is missing: say why a table is another one"));
    }
    let kind = convert::kind_from_wire(*kind)?;
    if *source_wins && kind != PassKind::Verify {
        return Err(Violation::new("source_wins", "is for a verification, which compares all records"));
    }
    if tenants.len() > TENANTS_MAX {
        let message = format!("name at most {TENANTS_MAX}, or a share by upto_ppm");
        return Err(Violation::new("tenants", message));
    }
    if fingerprint.len() > FINGERPRINT_MAX_BYTES || fingerprint.chars().any(char::is_control) {
        let message = format!("give at most {FINGERPRINT_MAX_BYTES} bytes without control characters");
        return Err(Violation::new("fingerprint", message));
    }
    let tenants: Vec<Tenant> =
        tenants.iter().map(|tenant| Tenant::parse(tenant)).collect::<Result<_, _>>()?;
    let upto_ppm = if *upto_ppm == 0 && tenants.is_empty() { PPM } else { *upto_ppm };
    Ok(NewPass {
        // The id contains the migration; its end is random, so that no two passes have the same id.
        id: format!("{key}/pass-{:08x}", rand::random::<u32>()),
        kind,
        cover: Cover { upto_ppm, tenants },
        fingerprint: fingerprint.clone(),
        segments: *segments,
        residual_ms: residual_ms.unwrap_or(RESIDUAL_MS),
        removes_extra: *remove_extra,
        source_wins: *source_wins,
        tables: convert::tables_from_wire(source.clone(), target.clone())?,
        new_tables,
        expected: *expected,
    })
}
