//! `TelemetryService`.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use cutover_proto::v1::{self, telemetry_service_server::TelemetryService};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};

use super::status;
use crate::{
    domain::Violation,
    service::{Acknowledging, Membership, check_name, windows},
    telemetry::{Accepted, Ingest, Refused, now_ms},
};

/// Maximum cells of a caller without an SDK in one request.
const CELLS_MAX: usize = 1000;

/// Receives reports.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) membership: Membership,
}

#[tonic::async_trait]
impl TelemetryService for Telemetry {
    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let mut report = request.into_inner();
        let Membership { registry, instances, ingest, .. } = &self.membership;
        let (newest_revision, fences, is_ours) = {
            let state = registry.state();
            let is_ours = report.history_id.is_empty() || report.history_id == *state.history_id;
            (state.revision, state.fences.unwrap_or(0), is_ours)
        };
        let v1::ReportRequest { sequence, applied_revision, received_revision, .. } = report;
        if sequence == 0 {
            ingest.refuse(Refused::Sequence);
            return Err(status::invalid(Violation::new("sequence", "begins at 1")));
        }
        if is_ours && (applied_revision > received_revision || received_revision > newest_revision) {
            ingest.refuse(Refused::Revisions);
            let message = format!(
                "applied {applied_revision} and received {received_revision} must ascend and not pass {newest_revision}, the newest"
            );
            return Err(status::invalid(Violation::new("received_revision", message)));
        }
        let said = Acknowledging {
            received: received_revision,
            applied: applied_revision,
            admission: report.admission,
            fences,
        };
        // Revisions of another history mean nothing here: the instance has to open a new watch.
        let who =
            is_ours.then(|| instances.acknowledge(&report.instance_id, report.incarnation, &said)).flatten();
        let Some(who) = who else {
            ingest.refuse(Refused::Unregistered);
            // No longer than an id may be: an answer has to fit its head.
            let id: String = report.instance_id.chars().take(128).collect();
            return Err(Status::not_found(format!("instance {id:?} is not registered: watch anew")));
        };
        report.instance_id = who.label();
        let (Accepted { sequence, .. }, flush) = self.count(&mut report, newest_revision);
        Ok(Response::new(v1::ReportResponse { sequence, newest_revision, flush }))
    }

    async fn record_outcomes(
        &self,
        request: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        let v1::RecordOutcomesRequest { reporter, sequence, cells } = request.into_inner();
        let ingest = &self.membership.ingest;
        check_name("reporter", &reporter).map_err(status::invalid)?;
        if sequence == 0 {
            ingest.refuse(Refused::Sequence);
            return Err(status::invalid(Violation::new("sequence", "begins at 1")));
        }
        if cells.len() > CELLS_MAX {
            let message = format!("{} cells: give at most {CELLS_MAX}", cells.len());
            return Err(status::invalid(Violation::new("cells", message)));
        }
        if let Some(at) = cells.iter().position(|cell| cell.revision == 0) {
            let message = "give the revision of the decision, so that guards judge the right stage by it";
            return Err(status::invalid(Violation::new(&format!("cells[{at}].revision"), message)));
        }
        // No instance has such a name.
        let instance_id = format!("outcomes/{reporter}");
        let mut report = v1::ReportRequest { instance_id, sequence, cells, ..Default::default() };
        let newest = self.membership.registry.state().revision;
        let (Accepted { sequence, is_new, left_out }, _) = self.count(&mut report, newest);
        let left_out = left_out.into_iter().map(|at| at as u32).collect();
        Ok(Response::new(v1::RecordOutcomesResponse { sequence, repeated: !is_new, left_out }))
    }

    async fn goodbye(
        &self,
        request: Request<v1::GoodbyeRequest>,
    ) -> Result<Response<v1::GoodbyeResponse>, Status> {
        let v1::GoodbyeRequest { instance_id, incarnation, file_valid_ms } = request.into_inner();
        let gone = self.membership.goodbye(&instance_id, incarnation, file_valid_ms).await;
        gone.map_err(status::store)?;
        Ok(Response::new(v1::GoodbyeResponse {}))
    }
}

impl Telemetry {
    /// Counts a report once, and lets guards judge it. Cells that are not counted are removed. True: the next report
    /// is wanted soon.
    fn count(&self, report: &mut v1::ReportRequest, newest: u64) -> (Accepted, bool) {
        let Membership { registry, guards, ingest, .. } = &self.membership;
        let known = |key: &str| windows::known(registry, key);
        let accepted = ingest.accept_known(report, newest, known, now_ms());
        if !accepted.is_new && report.sequence < accepted.sequence {
            tracing::warn!(
                instance = report.instance_id,
                sequence = report.sequence,
                newest = accepted.sequence,
                "a report was dropped: a later one of this process has been counted"
            );
        }
        // From the last one on, so that earlier positions stay valid.
        accepted.left_out.iter().rev().for_each(|at| drop(report.cells.swap_remove(*at)));
        let flush = accepted.is_new && guards.observe(report);
        (accepted, flush)
    }
}

/// Counts reports that are rejected before they are decoded: too large, or not a message.
#[derive(Clone, Debug)]
pub(super) struct Counting<S> {
    pub(super) inner: S,
    pub(super) ingest: Arc<Ingest>,
}

impl<S: NamedService> NamedService for Counting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Counting<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_report = request.uri().path().ends_with("/Report");
        let (answer, ingest) = (self.inner.call(request), self.ingest.clone());
        Box::pin(async move {
            let answer = answer.await?;
            // An answer that is only a status has it in its head; our own rejections have other codes.
            let refused = Status::from_header_map(answer.headers()).is_some_and(|status| {
                matches!(status.code(), tonic::Code::OutOfRange | tonic::Code::Internal)
            });
            if is_report && refused {
                ingest.refuse(Refused::Unreadable);
            }
            Ok(answer)
        })
    }
}
