//! A service that says what it is told to say: it acknowledges everything, and reports calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use cutover_proto::v1::{
    self, routing_service_client::RoutingServiceClient, telemetry_service_client::TelemetryServiceClient,
};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

/// Interval between its reports.
const PERIOD: Duration = Duration::from_millis(25);

/// What it reports for each period.
#[derive(Debug, Default)]
pub struct Says {
    /// Reads and writes, each in both stores.
    pub calls: AtomicU64,
    /// Of the writes: those that the target failed.
    pub failed: AtomicU64,
}

/// It ends with the test.
pub struct Service {
    pub says: Arc<Says>,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    /// Registers, and reports `calls` per period from then on; continues when the controller is back.
    pub async fn start(url: &str, instance_id: &str, calls: u64) -> Self {
        let says = Arc::new(Says { calls: calls.into(), failed: 0.into() });
        let request = v1::WatchRequest {
            instance_id: instance_id.to_owned(),
            service: "orders-api".to_owned(),
            incarnation: 1,
            ..Default::default()
        };
        let mut routing = RoutingServiceClient::connect(url.to_owned()).await.unwrap();
        let mut watched = routing.watch(request).await.unwrap().into_inner();
        watched.message().await.unwrap();
        let channel = Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
        let telemetry = TelemetryServiceClient::new(channel);
        let task = tokio::spawn(report(telemetry, watched, instance_id.to_owned(), says.clone()));
        Self { says, task }
    }
}

async fn report(
    mut telemetry: TelemetryServiceClient<tonic::transport::Channel>,
    _watched: tonic::Streaming<v1::WatchResponse>,
    instance_id: String,
    says: Arc<Says>,
) {
    let (mut revision, mut sequence) = (0, 0);
    loop {
        sequence += 1;
        let calls = says.calls.load(Relaxed);
        let cells = if calls > 0 && revision > 0 { vec![cell(revision, calls, &says)] } else { Vec::new() };
        let request = v1::ReportRequest {
            instance_id: instance_id.clone(),
            incarnation: 1,
            sequence,
            applied_revision: revision,
            received_revision: revision,
            cells,
            ..Default::default()
        };
        if let Ok(answer) = telemetry.report(request).await {
            revision = answer.into_inner().newest_revision;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn cell(revision: u64, calls: u64, says: &Says) -> v1::Cell {
    let failed = says.failed.load(Relaxed).min(calls);
    let store = |store: v1::StoreRole, operation: v1::Operation, failed: u64| v1::StoreCalls {
        store: store.into(),
        operation: operation.into(),
        calls,
        answered: if operation == v1::Operation::Read && store == v1::StoreRole::Source { calls } else { 0 },
        errors: (failed > 0).then(|| v1::ErrorCounts { server: failed, ..Default::default() }),
        ..Default::default()
    };
    let (read, write) = (v1::Operation::Read, v1::Operation::Write);
    v1::Cell {
        migration: "orders".to_owned(),
        revision,
        stores: vec![
            store(v1::StoreRole::Source, read, 0),
            store(v1::StoreRole::Target, read, 0),
            store(v1::StoreRole::Source, write, 0),
            store(v1::StoreRole::Target, write, failed),
        ],
        compared: calls,
        both_ok: calls - failed,
        only_target_failed: failed,
        read_pairs: Some(v1::ReadPairs { calls, ..Default::default() }),
        ..Default::default()
    }
}
