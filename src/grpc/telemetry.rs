//! `TelemetryService`.

use std::sync::Arc;

use cutover_proto::v1::{self, telemetry_service_server::TelemetryService};
use tonic::{Request, Response, Status};

use super::status;
use crate::{
    domain::Violation,
    service::{Guards, Instances, Registry, windows},
    telemetry::{Accepted, Ingest, Refused, now_ms},
};

/// Takes reports.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) registry: Arc<Registry>,
    pub(super) instances: Arc<Instances>,
    pub(super) guards: Arc<Guards>,
    pub(super) ingest: Arc<Ingest>,
}

#[tonic::async_trait]
impl TelemetryService for Telemetry {
    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let report = request.into_inner();
        let newest_revision = self.registry.state().revision;
        let v1::ReportRequest { sequence, applied_revision, received_revision, .. } = report;
        if sequence == 0 {
            self.ingest.refuse(Refused::Sequence);
            return Err(status::invalid(Violation::new("sequence", "begins at 1")));
        }
        if applied_revision > received_revision || received_revision > newest_revision {
            self.ingest.refuse(Refused::Revisions);
            let message = format!(
                "applied {applied_revision} and received {received_revision} must ascend and not pass {newest_revision}, the newest"
            );
            return Err(status::invalid(Violation::new("received_revision", message)));
        }
        if !self.instances.acknowledge(&report.instance_id, received_revision, applied_revision) {
            self.ingest.refuse(Refused::Unregistered);
            return Err(Status::not_found(format!(
                "instance {:?} is not registered: watch anew",
                report.instance_id
            )));
        }
        let known = |key: &str| windows::known(&self.registry, key);
        let Accepted { sequence, is_new } =
            self.ingest.accept_known(&report, newest_revision, known, now_ms());
        let flush = is_new && self.guards.observe(&report);
        Ok(Response::new(v1::ReportResponse { sequence, newest_revision, flush }))
    }

    async fn goodbye(
        &self,
        request: Request<v1::GoodbyeRequest>,
    ) -> Result<Response<v1::GoodbyeResponse>, Status> {
        let instance_id = request.into_inner().instance_id;
        if self.instances.remove(&instance_id).await.map_err(status::store)? {
            tracing::info!(instance = instance_id, "said goodbye");
        }
        self.ingest.forget_instance(&instance_id);
        self.guards.goodbye(&instance_id);
        Ok(Response::new(v1::GoodbyeResponse {}))
    }
}
