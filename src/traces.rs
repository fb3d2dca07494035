//! Traces by OTLP (docs/metrics.md#traces): off unless an address is given.
//!
//! A call is a span, below the caller's if its header `traceparent` names one; so is each change, which has the events of
//! the log. Calls that processes make all the time are left out.

mod exporter;
mod queue;

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use cutover_core::text::shown_address;
use hyper::Uri;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig as _, WithTonicConfig as _, tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Instrument as _, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use queue::Queue;

/// The header that names a call's parent.
const PARENT: &str = "traceparent";
/// How long the last spans may take when the process ends.
const LAST: Duration = Duration::from_secs(2);

/// Why traces can't be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces can't be sent to {address}: {why}")]
pub struct TracesError {
    /// The address.
    address: String,
    /// The library's error.
    why: String,
}

/// Checks an address of the command line. An empty one is none.
pub fn address(text: &str) -> Result<String, String> {
    let is_scheme = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    let uri = text.parse::<Uri>().ok().filter(is_scheme);
    match uri.is_some_and(|uri| uri.host().is_some_and(|host| !host.is_empty())) || text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("give the address of a collector's gRPC port, like http://127.0.0.1:4317".to_owned()),
    }
}

/// Sends spans.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends them to a collector. Only inside of a Tokio runtime, which has to outlive this.
    pub fn to(address: &str) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(address);
        let exporter = match address.starts_with("https:") {
            true => exporter.with_tls_config(ClientTlsConfig::new().with_native_roots()),
            false => exporter,
        };
        let shown = shown_address(address);
        let exporter = exporter.build().map_err(|error| {
            let why = error.to_string().replace('\n', " ");
            TracesError { address: shown.clone(), why }
        })?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let named = Resource::builder().with_attribute(version);
        let named = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => named,
            None => named.with_service_name("cutover"),
        };
        let provider = SdkTracerProvider::builder().with_resource(named.build());
        Ok(Self(provider.with_span_processor(Queue::to(exporter, shown)).build()))
    }

    /// What takes the program's spans.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("cutover"));
        let layer =
            layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(Targets::new().with_target("cutover", tracing::Level::INFO))
    }

    /// Sends the last ones.
    pub fn finish(self) {
        // Why they can't be sent was logged.
        _ = self.0.shutdown_with_timeout(LAST);
    }
}

/// What a call with this path is called. `None`: it is not traced.
pub type SpanName = fn(&str) -> Option<&'static str>;

/// Makes a span of each call of `router`.
pub fn traced(router: Router, name: SpanName) -> Router {
    router.layer(from_fn_with_state(name, trace))
}

async fn trace(State(name): State<SpanName>, request: Request, next: Next) -> Response {
    let Some(name) = name(request.uri().path()) else { return next.run(request).await };
    let span = tracing::info_span!(
        "call",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.response.status_code = Empty,
        rpc.grpc.status_code = Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // It has not begun yet.
    _ = span.set_parent(parent);
    let response = next.run(request).instrument(span.clone()).await;
    answered(&span, &response);
    response
}

fn answered(span: &Span, response: &Response) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    // An answer of gRPC that is an error has no body, so its status is among the headers.
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<u16>().ok());
    if let Some(code) = code {
        span.record("rpc.grpc.status_code", code);
    }
    if status.is_server_error() || status.is_client_error() || code.is_some_and(|code| code > 0) {
        span.record("otel.status_code", "ERROR");
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    /// Not `tracestate`, which is as long as the caller likes and would be in each span.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(Some(key).filter(|key| *key == PARENT)?)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_with_an_example() {
        for wrong in ["collector", "collector:4317", "ftp://collector", "http://", "4317"] {
            assert!(address(wrong).is_err_and(|why| why.contains("http://127.0.0.1:4317")), "{wrong}");
        }
        for right in ["http://127.0.0.1:4317", "https://collector.example.com", ""] {
            assert_eq!(address(right).as_deref(), Ok(right));
        }
    }
}
