//! `RoutingService`.

use std::time::Duration;

use cutover_core::routing::Decision;
use cutover_proto::v1::{self, routing_service_server::RoutingService, watch_response::Kind};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{convert, feed, status};
use crate::{
    domain::Violation,
    service::{Asking, DECISION_FINISHED, DECISION_VALID, Decider, InstanceRecord, Known, LEASE, Membership},
};

/// How often an SDK has to report at least.
const REPORT: Duration = Duration::from_secs(1);
/// Maximum tenants of one batch.
const BATCH_MAX: usize = 1000;

/// Decides, and feeds SDKs that decide themselves.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) decider: Decider,
    pub(super) membership: Membership,
    pub(super) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl RoutingService for Routing {
    async fn decide(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::DecideResponse>, Status> {
        let v1::DecideRequest { migration, tenant } = request.into_inner();
        let mut decisions = self.decider.decide(&migration, &[tenant]).await.map_err(status::decide)?;
        let decision = decisions.pop().ok_or_else(|| Status::internal("no decision for a tenant"))?;
        Ok(Response::new(answer(decision)))
    }

    async fn decide_batch(
        &self,
        request: Request<v1::DecideBatchRequest>,
    ) -> Result<Response<v1::DecideBatchResponse>, Status> {
        let v1::DecideBatchRequest { migration, tenants } = request.into_inner();
        if tenants.len() > BATCH_MAX {
            let message = format!("{} tenants: give at most {BATCH_MAX}", tenants.len());
            return Err(status::invalid(Violation::new("tenants", message)));
        }
        let decisions = self.decider.decide(&migration, &tenants).await.map_err(status::decide)?;
        let decisions = decisions.into_iter().map(answer).collect();
        Ok(Response::new(v1::DecideBatchResponse { decisions }))
    }

    type WatchStream = ReceiverStream<Result<v1::WatchResponse, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let v1::WatchRequest {
            instance_id,
            service,
            sdk,
            kind,
            tenant_fingerprint,
            last_revision,
            history_id,
            incarnation,
            admission,
            holds_snapshot,
            drain_ms,
            file_valid_ms,
            held: tables,
            held_revision,
        } = request.into_inner();
        let worker = kind == i32::from(v1::InstanceKind::Worker);
        let record = InstanceRecord {
            instance_id,
            service,
            sdk,
            worker,
            tenant_fingerprint,
            incarnation,
            drain_ms,
            file_valid_ms,
            ..InstanceRecord::default()
        };
        let ours = self.membership.registry.state().history_id.clone();
        let is_ours = history_id == *ours;
        let known = Known { revision: last_revision.max(held_revision), is_ours };
        let held = if is_ours { last_revision } else { 0 };
        let holds = holds_snapshot || last_revision > 0;
        let routes = convert::held_routes(&record.instance_id, &tables);
        let asking = Asking { record, held, holds, admission, routes };
        let registration = self.membership.join(asking, known).await.map_err(status::join)?;
        let connected = self.membership.instances.clone().connected(registration.who);
        let registered = v1::Registered {
            writer_slot: registration.writer_slot.into(),
            heartbeat_ms: feed::HEARTBEAT.as_millis() as u32,
            report_ms: REPORT.as_millis() as u32,
            lease_ms: LEASE.as_millis() as u32,
            history_id: ours.to_string(),
            readmitted: registration.readmitted,
            admission: registration.admission,
            duplicate: registration.duplicate,
        };
        let (reader, stream) = mpsc::channel(1);
        let first = v1::WatchResponse { kind: Some(Kind::Registered(registered)) };
        // The channel is new and has room for one.
        let _ = reader.try_send(Ok(first));
        let (registry, stop) = (self.membership.registry.clone(), self.stop.clone());
        tokio::spawn(async move {
            feed::feed(registry, held, reader, stop).await;
            drop(connected);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn answer(decision: Decision) -> v1::DecideResponse {
    v1::DecideResponse {
        stage: v1::Stage::from(decision.stage()).into(),
        rung: v1::Rung::from(decision.rung).into(),
        revision: decision.revision,
        reason: v1::Reason::from(decision.reason).into(),
        valid_for_ms: DECISION_VALID.as_millis() as u32,
        no_fallback: decision.no_fallback,
        finish_within_ms: DECISION_FINISHED.as_millis() as u32,
    }
}
