//! One listener for gRPC (HTTP/2), JSON (HTTP/1.1 or 2) and health.

use std::{future::ready, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, Version, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prost_reflect::DescriptorError;
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use tonic::{Status, service};

use super::{instance::Instance, listen::Listener, metrics::Counts, operations::Operations};
use crate::{
    api::{self, Hosts},
    listen::{self, Limits, Routes},
    telemetry::prometheus,
};

/// How long connections may take to end when the sidecar stops.
const GRACE: Duration = Duration::from_secs(3);
/// Requests on one connection of HTTP/2 beyond those that `--operations-max` counts.
const HTTP2_SPARE: u32 = 256;

/// What a sidecar answers.
pub(super) fn app(
    services: service::Routes,
    listener: &Listener,
    instance: Arc<Instance>,
    operations: Arc<Operations>,
    counts: Counts,
) -> Result<Router, DescriptorError> {
    let scrape = {
        let (instance, operations) = (instance.clone(), operations.clone());
        move || {
            ready(([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], counts.text(&instance, &operations)))
        }
    };
    let is_ready = move || {
        let why_not = instance.why_not();
        let why_not = why_not.or_else(|| operations.is_closing().then(|| "it is stopping".to_owned()));
        ready(match why_not {
            None => (StatusCode::OK, "ready\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
        })
    };
    let json = api::sidecar(services.clone())?;
    // No browser reaches a unix socket.
    let json = match listener {
        Listener::Unix(_) => json,
        Listener::Tcp(_, address) => api::protect(json, Hosts::loopback(address.ip())),
    };
    let grpc = services.into_axum_router().layer(middleware::from_fn(only_http2));
    let health = Router::new()
        .route("/healthz", get(|| ready("ok\n")))
        .route("/readyz", get(is_ready))
        .route("/metrics", get(scrape));
    Ok(grpc.merge(json).merge(health))
}

/// A page in a browser can't speak HTTP/2 to a server without TLS, so gRPC needs no other protection.
async fn only_http2(request: Request, next: Next) -> Response {
    if request.version() == Version::HTTP_2 {
        return next.run(request).await;
    }
    let message =
        "there is nothing here over HTTP/1.1 but /api/v1, /healthz, /readyz and /metrics; gRPC needs HTTP/2";
    let body = json!({ "code": "UNIMPLEMENTED", "message": message }).to_string() + "\n";
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
        .into_response()
}

/// What still gets through when all connections are in use: the ends of operations, for which others may wait, and
/// how the sidecar is doing.
const URGENT: [&str; 7] = [
    "/api/v1/End",
    "/api/v1/GetSidecar",
    "/cutover.v1.SidecarService/End",
    "/cutover.v1.SidecarService/GetSidecar",
    "/healthz",
    "/readyz",
    "/metrics",
];

/// The answers on a connection beyond the limit.
fn full(app: Router, connections_max: u32) -> Router {
    let message = format!(
        "{connections_max} connections are open, which is the limit (--connections-max): close some, or keep fewer"
    );
    app.layer(middleware::from_fn(move |request: Request, next: Next| {
        let status = Status::resource_exhausted(message.clone());
        async move {
            let kind = request.headers().get(header::CONTENT_TYPE);
            let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
            if URGENT.contains(&request.uri().path()) {
                next.run(request).await
            } else if is_grpc {
                status.into_http()
            } else {
                api::failed(status)
            }
        }
    }))
}

/// Serves until it is told to stop, and then for as long as open requests take, within a limit.
pub(super) async fn serve(
    app: Router,
    listener: Listener,
    connections_max: u32,
    operations_max: u32,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = Limits {
        connections: connections_max as usize,
        per_address: None,
        // Callers keep connections; one who does not notice that an idle one was closed takes it for a failure.
        head: Duration::from_secs(120),
        body: Duration::from_secs(30),
        unsent: Duration::from_secs(20),
        // Those in flight may wait for an end, so each connection has requests to spare for it.
        http2_requests: Some(operations_max.saturating_add(HTTP2_SPARE)),
    };
    let routes = Routes { full: full(app.clone(), connections_max), open: app };
    let mut later = stopped.clone();
    let stop = async move { _ = stopped.wait_for(|stopped| *stopped).await };
    let serving = async {
        match listener {
            Listener::Unix(listener) => listen::serve(listener, None, routes, limits, stop).await,
            Listener::Tcp(listener, _) => listen::serve(listener, None, routes, limits, stop).await,
        }
    };
    let grace = async {
        let _ = later.wait_for(|stopped| *stopped).await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = serving => {}
        () = grace => {}
    }
}
