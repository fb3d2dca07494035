//! A controller that does what a test tells it to, on its own port.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover_client::{
    routing::{Band, PPM, Policy, Reason, Route, Rung, Table},
    wire,
};
use cutover_proto::v1::{
    self,
    routing_service_server::{RoutingService, RoutingServiceServer},
    telemetry_service_server::{TelemetryService, TelemetryServiceServer},
    watch_response::Kind,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::{
    Stream,
    wrappers::{TcpListenerStream, UnboundedReceiverStream},
};
use tonic::{Request, Response, Status, transport::Server};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controller, from the test's view.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    told: Arc<Told>,
    watches: mpsc::UnboundedReceiver<Watching>,
    reports: mpsc::UnboundedReceiver<v1::ReportRequest>,
    goodbyes: mpsc::UnboundedReceiver<String>,
    server: JoinHandle<()>,
}

/// One stream, from the controller's end.
pub(crate) struct Watching {
    pub(crate) request: v1::WatchRequest,
    to: mpsc::UnboundedSender<Result<v1::WatchResponse, Status>>,
}

/// How the next report is answered.
pub(crate) enum Answer {
    /// It is counted, but the answer is lost.
    Lost,
    /// It is not counted.
    Refuse(Status),
}

#[derive(Default)]
struct Told {
    is_on_standby: AtomicBool,
    answers: Mutex<VecDeque<Answer>>,
    /// What was counted, by sequence number: a repetition is not counted again.
    accepted: Mutex<BTreeMap<u64, v1::ReportRequest>>,
}

struct Service {
    told: Arc<Told>,
    watches: mpsc::UnboundedSender<Watching>,
    reports: mpsc::UnboundedSender<v1::ReportRequest>,
    goodbyes: mpsc::UnboundedSender<String>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// At a given address; port 0 takes a free one.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let told = Arc::<Told>::default();
        let (watches_to, watches) = mpsc::unbounded_channel();
        let (reports_to, reports) = mpsc::unbounded_channel();
        let (goodbyes_to, goodbyes) = mpsc::unbounded_channel();
        let service = Arc::new(Service {
            told: told.clone(),
            watches: watches_to,
            reports: reports_to,
            goodbyes: goodbyes_to,
        });
        let serving = Server::builder()
            .add_service(RoutingServiceServer::from_arc(service.clone()))
            .add_service(TelemetryServiceServer::from_arc(service.clone()))
            .add_service(HealthServer::from_arc(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.expect("served") });
        Self { address, told, watches, reports, goodbyes, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says of itself, as a controller that does not say its history.
    pub(crate) fn stand_by(&self, is_on_standby: bool) {
        self.told.is_on_standby.store(is_on_standby, SeqCst);
    }

    /// The next stream that a client opens.
    pub(crate) async fn watch(&mut self) -> Watching {
        timeout(PATIENCE, self.watches.recv()).await.expect("a client watches").expect("serving")
    }

    /// The next report that is as wanted.
    pub(crate) async fn report(&mut self, wanted: impl Fn(&v1::ReportRequest) -> bool) -> v1::ReportRequest {
        let found = async {
            loop {
                let report = self.reports.recv().await.expect("serving");
                if wanted(&report) {
                    return report;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("such a report comes")
    }

    /// Checks that no report so far is like this.
    pub(crate) fn no_report(&mut self, unwanted: impl Fn(&v1::ReportRequest) -> bool) {
        while let Ok(report) = self.reports.try_recv() {
            assert!(!unwanted(&report), "{report:?}");
        }
    }

    pub(crate) async fn goodbye(&mut self) -> String {
        timeout(PATIENCE, self.goodbyes.recv()).await.expect("a goodbye").expect("serving")
    }

    pub(crate) fn said_goodbye(&mut self) -> bool {
        self.goodbyes.try_recv().is_ok()
    }

    pub(crate) fn answer_next_report(&self, answer: Answer) {
        lock(&self.told.answers).push_back(answer);
    }

    /// What was counted, by sequence number.
    pub(crate) fn accepted(&self) -> Vec<v1::ReportRequest> {
        lock(&self.told.accepted).values().cloned().collect()
    }

    /// Dies with all its connections.
    pub(crate) async fn stop(self) {
        self.server.abort();
        let _ = self.server.await;
    }
}

impl Watching {
    pub(crate) fn send(&self, kind: Kind) {
        self.to.send(Ok(v1::WatchResponse { kind: Some(kind) })).expect("the client listens");
    }

    pub(crate) fn register(&self, registered: v1::Registered) {
        self.send(Kind::Registered(registered));
    }

    pub(crate) fn snapshot(&self, revision: u64, rung: Rung) {
        self.tables(revision, &[("orders", table(revision, rung))]);
    }

    pub(crate) fn tables(&self, revision: u64, tables: &[(&str, Table)]) {
        let parts: Vec<_> =
            tables.iter().flat_map(|(key, table)| wire::parts(key, table, table.overrides(), [])).collect();
        for update in wire::updates(revision, parts, vec![]) {
            self.send(Kind::Snapshot(update));
        }
    }

    /// Everybody's rung, and one tenant's.
    pub(crate) fn delta(&self, revision: u64, rung: Rung, tenant: &str, pinned: Rung) {
        let table = table(revision, rung);
        let pin = Route { rung: pinned, reason: Reason::Pin, no_fallback: false };
        let parts: Vec<_> = wire::parts("orders", &table, [(tenant, pin)], []).collect();
        for update in wire::updates(revision, parts, vec![]) {
            self.send(Kind::Delta(update));
        }
    }

    pub(crate) fn heartbeat(&self, revision: u64) {
        self.send(Kind::Heartbeat(v1::Heartbeat { revision }));
    }

    pub(crate) fn fail(&self, status: Status) {
        self.to.send(Err(status)).expect("the client listens");
    }

    /// Waits until the client has left this stream.
    pub(crate) async fn left(&self) {
        timeout(PATIENCE, self.to.closed()).await.expect("the client leaves");
    }
}

/// A registration with times short enough for tests.
pub(crate) fn registered() -> v1::Registered {
    v1::Registered {
        writer_slot: 7,
        heartbeat_ms: 60_000,
        report_ms: 50,
        lease_ms: 10_000,
        history_id: "history-1".to_owned(),
        admission: 1,
        ..Default::default()
    }
}

pub(crate) fn table(revision: u64, rung: Rung) -> Table {
    let route = Route { rung, reason: Reason::Rollout, no_fallback: false };
    Table::new(revision, "orders", &[Band { upto_ppm: PPM, route }], Policy::default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with it held")
}

impl Service {
    fn leads(&self) -> Result<(), Status> {
        match self.told.is_on_standby.load(SeqCst) {
            true => Err(Status::unavailable("this controller is on standby")),
            false => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let status = match self.told.is_on_standby.load(SeqCst) {
            true => ServingStatus::NotServing,
            false => ServingStatus::Serving,
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

#[tonic::async_trait]
impl RoutingService for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (to, stream) = mpsc::unbounded_channel();
        // Nobody listens any more when a test ends.
        let _ = self.watches.send(Watching { request: request.into_inner(), to });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(stream))))
    }

    async fn decide(&self, _: Request<v1::DecideRequest>) -> Result<Response<v1::DecideResponse>, Status> {
        Err(Status::unimplemented("SDKs decide in process"))
    }

    async fn decide_batch(
        &self,
        _: Request<v1::DecideBatchRequest>,
    ) -> Result<Response<v1::DecideBatchResponse>, Status> {
        Err(Status::unimplemented("SDKs decide in process"))
    }
}

#[tonic::async_trait]
impl TelemetryService for Service {
    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        self.leads()?;
        let request = request.into_inner();
        let answer = lock(&self.told.answers).pop_front();
        let sequence = {
            let mut accepted = lock(&self.told.accepted);
            if !matches!(answer, Some(Answer::Refuse(_))) {
                let first = accepted.entry(request.sequence).or_insert_with(|| request.clone());
                assert_eq!(*first, request, "a repetition has the same content");
            }
            accepted.last_key_value().map_or(0, |(sequence, _)| *sequence)
        };
        let _ = self.reports.send(request);
        match answer {
            None => Ok(Response::new(v1::ReportResponse { sequence, ..Default::default() })),
            Some(Answer::Lost) => Err(Status::unavailable("the answer was lost")),
            Some(Answer::Refuse(status)) => Err(status),
        }
    }

    async fn record_outcomes(
        &self,
        _: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        Err(Status::unimplemented("for callers without an SDK"))
    }

    async fn goodbye(
        &self,
        request: Request<v1::GoodbyeRequest>,
    ) -> Result<Response<v1::GoodbyeResponse>, Status> {
        self.leads()?;
        let _ = self.goodbyes.send(request.into_inner().instance_id);
        Ok(Response::new(v1::GoodbyeResponse {}))
    }
}
