//! What a sidecar counts of its calls: for `/metrics`, and for the last line of its log.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use axum::http::{Request, Response};
use cutover_proto::v1::OperationOutcome;
use futures::future::BoxFuture;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{MetricType, counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use tonic::{Code, Status, body::Body, codegen::Service, server::NamedService};

use super::{instance::Instance, operations::Operations};

/// Calls of a sidecar. Others are `other`, so that nobody can make up labels.
const METHODS: [&str; 10] =
    ["Decide", "Get", "Put", "PutIf", "Delete", "Transact", "Begin", "Stamp", "End", "GetSidecar"];

/// Those that write records.
const WRITES: [&str; 4] = ["Put", "PutIf", "Delete", "Transact"];

type Labels = [(&'static str, &'static str); 2];

/// Since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    calls: Family<Labels, Counter>,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Counts {
    /// An operation was ended, and this is what its caller may say of it.
    pub(super) fn ended(&self, outcome: OperationOutcome) {
        self.ended.get_or_create(&[("outcome", name_of(outcome))]).inc();
    }

    fn called(&self, method: &'static str, code: Code) {
        self.calls.get_or_create(&[("method", method), ("code", code_name(code))]).inc();
    }

    /// The last line of the log. `abandoned`: operations that nobody has ended.
    pub(super) fn log_all(&self, abandoned: u64) {
        let of = |method, is_ok: bool| {
            let codes = CODES.iter().filter(|(code, _)| (*code == Code::Ok) == is_ok);
            let count =
                |name| self.calls.get(&[("method", method), ("code", name)]).map_or(0, |count| count.get());
            codes.map(|(_, name)| count(name)).sum::<u64>()
        };
        let ended = |outcome| self.ended.get(&[("outcome", name_of(outcome))]).map_or(0, |count| count.get());
        tracing::info!(
            gets = of("Get", true),
            writes = WRITES.iter().map(|method| of(method, true)).sum::<u64>(),
            failed_gets = of("Get", false),
            failed_writes = WRITES.iter().map(|method| of(method, false)).sum::<u64>(),
            done = ended(OperationOutcome::Done),
            not_applied = ended(OperationOutcome::NotApplied),
            indeterminate = ended(OperationOutcome::Indeterminate),
            abandoned,
            "stopped; done, not_applied and indeterminate are operations that callers have ended"
        );
    }

    /// One scrape.
    pub(super) fn text(&self, instance: &Arc<Instance>, operations: &Arc<Operations>) -> String {
        let mut registry = Registry::with_prefix("cutover_sidecar");
        registry.register("calls", "Calls by method and by the code of the answer", self.calls.clone());
        let help = "Operations that callers have begun and ended, by what may be said of them";
        registry.register("ended_operations", help, self.ended.clone());
        let now = Now { instance: instance.clone(), operations: operations.clone() };
        registry.register_collector(Box::new(now));
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

/// What is read at each scrape.
struct Now {
    instance: Arc<Instance>,
    operations: Arc<Operations>,
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now").finish_non_exhaustive()
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (begun, overdue, abandoned) = self.operations.counts();
        let status = self.instance.started().ok().map(|started| started.client.status());
        let is_ready = status.is_some() && !self.operations.is_closing();
        let status = status.as_ref();
        let gauges = [
            ("ready", "1: it holds a snapshot and takes calls", is_ready.into()),
            (
                "connected",
                "1: a stream from the controller is open",
                status.map_or(0, |it| it.connected.into()),
            ),
            ("revision", "Newest revision received", status.map_or(0, |it| it.revision)),
            (
                "quiesced_revision",
                "Every operation begun under an older one has ended",
                status.map_or(0, |it| it.applied_revision),
            ),
            ("operations", "Operations begun and not ended", begun),
            ("overdue_operations", "Of these, past their deadline", overdue),
            ("in_flight", "Calls and operations that --operations-max counts", self.operations.in_flight()),
            ("in_flight_limit", "The limit: --operations-max", self.operations.max().into()),
        ];
        for (name, help, value) in gauges {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(family)?;
        }
        let help = "Since the controller was last heard";
        let silent = status.map_or(0.0, |it| it.age.as_secs_f64());
        ConstGauge::new(silent).encode(encoder.encode_descriptor(
            "silent_seconds",
            help,
            None,
            MetricType::Gauge,
        )?)?;
        let help = "Operations that nobody has ended";
        let family = encoder.encode_descriptor("abandoned_operations", help, None, MetricType::Counter)?;
        ConstCounter::new(abandoned).encode(family)
    }
}

/// Counts the calls of a service, by gRPC or as JSON.
#[derive(Clone, Debug)]
pub(super) struct Counting<S> {
    pub(super) inner: S,
    pub(super) counts: Counts,
}

impl<S: NamedService> NamedService for Counting<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let (answer, counts) = (self.inner.call(request), self.counts.clone());
        Box::pin(async move {
            let answer = answer.await?;
            // An answer that is only a status has it in its head.
            let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code());
            counts.called(method, code);
            Ok(answer)
        })
    }
}

const fn name_of(outcome: OperationOutcome) -> &'static str {
    match outcome {
        OperationOutcome::Done => "done",
        OperationOutcome::NotApplied => "not_applied",
        OperationOutcome::Indeterminate | OperationOutcome::Unspecified => "indeterminate",
    }
}

/// Those that a sidecar answers with.
const CODES: [(Code, &str); 11] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
];

fn code_name(code: Code) -> &'static str {
    CODES.iter().find(|(known, _)| *known == code).map_or("OTHER", |(_, name)| name)
}
