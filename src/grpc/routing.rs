//! `RoutingService`.

use cutover_core::routing::Decision;
use cutover_proto::v1::{self, routing_service_server::RoutingService};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{caller::principal, sdk, status};
use crate::{
    domain::Violation,
    service::{DECISION_FINISHED, DECISION_VALID, Decider, Membership},
};

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
        let who = principal(&request)?;
        let v1::DecideRequest { migration, tenant, look_up_only } = request.into_inner();
        if look_up_only {
            let decision = self.decider.look_up(&who, &migration, &tenant).map_err(status::decide)?;
            let not_to_act_on =
                v1::DecideResponse { valid_for_ms: 0, finish_within_ms: 0, ..answer(decision) };
            return Ok(Response::new(not_to_act_on));
        }
        let mut decisions = self.decider.decide(&who, &migration, &[tenant]).await.map_err(status::decide)?;
        let decision = decisions.pop().ok_or_else(|| Status::internal("no decision for a tenant"))?;
        Ok(Response::new(answer(decision)))
    }

    async fn decide_batch(
        &self,
        request: Request<v1::DecideBatchRequest>,
    ) -> Result<Response<v1::DecideBatchResponse>, Status> {
        let who = principal(&request)?;
        let v1::DecideBatchRequest { migration, tenants } = request.into_inner();
        if tenants.len() > BATCH_MAX {
            let message = format!("{} tenants: give at most {BATCH_MAX}", tenants.len());
            return Err(status::invalid(Violation::new("tenants", message)));
        }
        let decisions = self.decider.decide(&who, &migration, &tenants).await.map_err(status::decide)?;
        let decisions = decisions.into_iter().map(answer).collect();
        Ok(Response::new(v1::DecideBatchResponse { decisions }))
    }

    type WatchStream = sdk::Watching;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let who = principal(&request)?;
        sdk::watch(&self.membership, &self.stop, who, request.into_inner()).await.map(Response::new)
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
