//! Traces, as a collector gets them.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, routing_service_client::RoutingServiceClient,
    telemetry_service_client::TelemetryServiceClient,
};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};

use crate::support::process::Process;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps everything.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Serves at an address, which is returned.
    async fn start(&self, at: &str) -> String {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        format!("http://{address}")
    }

    /// Of the controller: its attributes, and all spans.
    fn got(&self) -> (HashMap<String, String>, Vec<Span>) {
        let (mut of, mut spans) = (HashMap::new(), Vec::new());
        for batch in self.0.lock().unwrap().iter().flat_map(|request| request.resource_spans.clone()) {
            of.extend(attributes(&batch.resource.unwrap().attributes));
            spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        (of, spans)
    }
}

fn attributes(of: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &KeyValue| match value.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|value| (value.key.clone(), text(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

async fn create(url: &str, key: &str, traced: bool) -> Result<(), Status> {
    let channel = Channel::from_shared(url.to_owned()).unwrap().connect().await.unwrap();
    let mut request = Request::new(v1::CreateMigrationRequest {
        key: key.to_owned(),
        source: "old".to_owned(),
        target: "new".to_owned(),
        ..Default::default()
    });
    if traced {
        let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
        request.metadata_mut().insert("traceparent", parent);
    }
    AdminServiceClient::new(channel).create_migration(request).await.map(drop)
}

#[tokio::test]
async fn a_call_its_change_and_its_commit_are_spans_of_the_callers_trace() {
    let (dir, collector) = (TempDir::new().unwrap(), Collector::default());
    let address = collector.start("127.0.0.1:0").await;
    let controller = Process::start_with(dir.path(), &["--otlp-endpoint", &address], &[]).await;
    create(&controller.url, "orders", true).await.unwrap();
    create(&controller.url, "orders", false).await.unwrap_err();
    let channel = Channel::from_shared(controller.url.clone()).unwrap().connect().await.unwrap();
    let report = v1::ReportRequest { instance_id: "nobody".to_owned(), ..Default::default() };
    _ = TelemetryServiceClient::new(channel).report(report).await;
    controller.end(Signal::SIGTERM).await;

    let (of, spans) = collector.got();
    assert_eq!(of["service.name"], "cutover");
    assert_eq!(of["service.version"], env!("CARGO_PKG_VERSION"));
    let calls = named(&spans, "CreateMigration");
    assert_eq!(calls.len(), 2);
    let (made, refused) = (calls[0], calls[1]);
    assert_eq!((hex(&made.trace_id).as_str(), hex(&made.parent_span_id).as_str()), (TRACE, PARENT));
    assert_eq!(made.kind(), SpanKind::Server);
    assert_eq!(attributes(&made.attributes)["http.response.status_code"], "200");
    assert_ne!(hex(&refused.trace_id), TRACE, "it begins a trace of its own");
    assert_eq!(refused.status.clone().unwrap().code(), StatusCode::Error);
    assert_eq!(attributes(&refused.attributes)["rpc.grpc.status_code"], "6");

    let change = named(&spans, "change").into_iter().find(|span| span.trace_id == made.trace_id).unwrap();
    assert_eq!(change.parent_span_id, made.span_id);
    let about = attributes(&change.attributes);
    assert_eq!((about["migration.key"].as_str(), about["change"].as_str()), ("orders", "create"));
    let commit = named(&spans, "commit").into_iter().find(|span| span.trace_id == made.trace_id).unwrap();
    assert_eq!(commit.parent_span_id, change.span_id);
    assert_eq!(attributes(&commit.attributes)["revision"], "1");
    assert!(named(&spans, "Report").is_empty(), "processes report all the time");
}

#[tokio::test]
async fn a_collector_that_is_away_is_warned_of_once_and_delays_nothing() {
    let dir = TempDir::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let often = [("OTEL_BSP_SCHEDULE_DELAY", Path::new("100"))];
    let flags = ["--otlp-endpoint", &format!("http://{free}")];
    let controller = Process::start_with(dir.path(), &flags, &often).await;
    let soon = |said: &'static str| {
        let controller = &controller;
        async move {
            while !controller.said(said) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    create(&controller.url, "orders", false).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), soon("traces can't be sent")).await.expect("a warning");
    // The collector comes.
    let collector = Collector::default();
    collector.start(&free).await;
    let back = async {
        for number in 0.. {
            create(&controller.url, &format!("users-{number}"), false).await.unwrap();
            if controller.said("traces are sent again") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it goes on");
    assert!(!collector.got().1.is_empty());
    controller.end(Signal::SIGTERM).await;
}

#[tokio::test]
async fn nothing_of_who_is_refused_is_traced() {
    let (dir, collector) = (TempDir::new().unwrap(), Collector::default());
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let root = cutover::server::create_admin(&store, "root", "operator:test", "").await.unwrap();
    let root = format!("Bearer {}", root.expose_secret());
    let address = collector.start("127.0.0.1:0").await;
    let controller = Process::start_with(dir.path(), &["--otlp-endpoint", &address], &[]).await;
    let channel = Channel::from_shared(controller.url.clone()).unwrap().connect().await.unwrap();
    let with = |token: &str| {
        let mut request = Request::new(v1::ListMigrationsRequest {});
        let headers = request.metadata_mut();
        headers.insert("authorization", token.parse().unwrap());
        headers.insert("traceparent", format!("00-{TRACE}-{PARENT}-01").parse().unwrap());
        headers.insert("tracestate", "vendor=value".parse().unwrap());
        request
    };
    let mut admin = AdminServiceClient::new(channel.clone());
    admin.list_migrations(with("Bearer cutover_00")).await.unwrap_err();
    admin.list_migrations(with(&root)).await.unwrap();
    // Services ask for decisions all the time.
    let mut decide = Request::new(v1::DecideRequest::default());
    decide.metadata_mut().insert("authorization", root.parse().unwrap());
    _ = RoutingServiceClient::new(channel).decide(decide).await;
    controller.end(Signal::SIGTERM).await;

    let (_, spans) = collector.got();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["ListMigrations"]);
    assert_eq!((hex(&spans[0].trace_id).as_str(), spans[0].trace_state.as_str()), (TRACE, ""));
}
