//! The baseline: tonic without anything behind it. Its messages are the controller's, so the difference is
//! the controller's own cost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cutover_core::{
    routing::{Policy, Reason, Route, Rung, Table},
    wire,
};
use cutover_proto::v1::{
    self,
    routing_service_server::{RoutingService, RoutingServiceServer},
    watch_response::Kind,
};
use futures::{Stream, StreamExt as _, stream};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::wrappers::BroadcastStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::{KEY, child::Asks};

/// Serves until the bench is over.
pub(super) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let asks = Asks::ready(&format!("http://{}", listener.local_addr()?));
    let bare = Bare { revision: AtomicU64::new(1), deltas: broadcast::Sender::new(64) };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving =
        Server::builder().add_service(RoutingServiceServer::new(bare)).serve_with_incoming(incoming);
    tokio::select! {
        served = serving => Ok(served?),
        () = asks.only_usage() => Ok(()),
    }
}

struct Bare {
    revision: AtomicU64,
    deltas: broadcast::Sender<Arc<v1::Update>>,
}

type Responses = std::pin::Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl RoutingService for Bare {
    /// The echo: an answer as long as the controller's.
    async fn decide(&self, _: Request<v1::DecideRequest>) -> Result<Response<v1::DecideResponse>, Status> {
        Ok(Response::new(v1::DecideResponse {
            stage: v1::Stage::Dual.into(),
            rung: v1::Rung::Dual.into(),
            revision: 2,
            reason: v1::Reason::Rollout.into(),
            valid_for_ms: 5_000,
            no_fallback: false,
            finish_within_ms: 10_000,
        }))
    }

    /// The change: pins the first tenant, and notifies every stream.
    async fn decide_batch(
        &self,
        request: Request<v1::DecideBatchRequest>,
    ) -> Result<Response<v1::DecideBatchResponse>, Status> {
        let tenants = request.into_inner().tenants;
        let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        // Without streams there is nobody to notify.
        let _ = self.deltas.send(Arc::new(update(revision, tenants.first())));
        let decision = v1::DecideResponse { revision, ..Default::default() };
        Ok(Response::new(v1::DecideBatchResponse { decisions: vec![decision] }))
    }

    type WatchStream = Responses;

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Responses>, Status> {
        let deltas = BroadcastStream::new(self.deltas.subscribe()).map(|delta| match delta {
            Ok(delta) => Ok(Kind::Delta(v1::Update::clone(&delta))),
            Err(lagged) => Err(Status::data_loss(lagged.to_string())),
        });
        let snapshot = Kind::Snapshot(update(self.revision.load(Ordering::Relaxed), None));
        let kinds = stream::iter([Ok(snapshot)]).chain(deltas);
        Ok(Response::new(Box::pin(kinds.map(|kind| Ok(v1::WatchResponse { kind: Some(kind?) })))))
    }
}

/// An update like the controller's.
fn update(revision: u64, pinned: Option<&String>) -> v1::Update {
    let table = Table::new(revision, "a1b2c3d4", &[], Policy::default());
    let route = Route { rung: Rung::SourceOnly, reason: Reason::Pin, no_fallback: false };
    let pinned = pinned.map(|tenant| (tenant.as_str(), route));
    let tables = wire::parts(KEY, &table, pinned, std::iter::empty()).collect();
    v1::Update { revision, tables, removed: Vec::new(), last: true, seal: String::new() }
}
