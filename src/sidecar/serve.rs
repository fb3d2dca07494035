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
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use prost_reflect::DescriptorError;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::{Status, service::Routes};

use super::{
    instance::Instance,
    listen::{Connection, Listener},
    operations::Operations,
};
use crate::api::{self, Hosts};

/// Connections beyond the limit that get an answer before they are closed, at the same time.
const REFUSED_MAX: usize = 16;
/// How long such a connection has to ask and to be answered.
const REFUSED: Duration = Duration::from_secs(2);
/// How long connections may take to end when the sidecar stops.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after the system refuses a connection, for example because there are too many files.
const PAUSE: Duration = Duration::from_millis(100);

/// What a sidecar answers.
pub(super) fn app(
    services: Routes,
    listener: &Listener,
    instance: Arc<Instance>,
    operations: Arc<Operations>,
) -> Result<Router, DescriptorError> {
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
        Listener::Unix(..) => json,
        Listener::Tcp(_, address) => api::protect(json, Hosts::loopback(address.ip())),
    };
    let grpc = services.into_axum_router().layer(middleware::from_fn(only_http2));
    let health = Router::new().route("/healthz", get(|| ready("ok\n"))).route("/readyz", get(is_ready));
    Ok(grpc.merge(json).merge(health))
}

/// A page in a browser can't speak HTTP/2 to a server without TLS, so gRPC needs no other protection.
async fn only_http2(request: Request, next: Next) -> Response {
    if request.version() == Version::HTTP_2 {
        return next.run(request).await;
    }
    let message = "there is nothing here over HTTP/1.1 but /api/v1, /healthz and /readyz; gRPC needs HTTP/2";
    let body = json!({ "code": "UNIMPLEMENTED", "message": message }).to_string() + "\n";
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
        .into_response()
}

/// The answer to every request on a connection beyond the limit.
fn refusing(connections_max: u32) -> Router {
    let message = format!(
        "{connections_max} connections are open, which is the limit (--connections-max): close some, or keep fewer"
    );
    Router::new().fallback(move |request: Request| {
        let status = Status::resource_exhausted(message.clone());
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        ready(if is_grpc {
            status.into_http()
        } else {
            ([(header::CONNECTION, HeaderValue::from_static("close"))], api::failed(status)).into_response()
        })
    })
}

/// Takes connections and serves them.
pub(super) struct Server {
    pub(super) app: Router,
    pub(super) connections_max: u32,
}

impl Server {
    /// Serves until it is told to stop, and then for as long as open requests take, within a limit.
    pub(super) async fn run(self, listener: Listener, mut stopped: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(self.connections_max as usize));
        let refusals = Arc::new(Semaphore::new(REFUSED_MAX));
        let refusing = refusing(self.connections_max);
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = open.join_next() => continue,
            };
            let connection = match accepted {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::warn!(%error, "could not take a connection");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let stopped = stopped.clone();
            if let Ok(permit) = permits.clone().try_acquire_owned() {
                open.spawn(serve(connection, self.app.clone(), permit, stopped));
            } else if let Ok(permit) = refusals.clone().try_acquire_owned() {
                let refused = serve(connection, refusing.clone(), permit, stopped);
                open.spawn(async move { _ = timeout(REFUSED, refused).await });
            }
        }
        // No further connection comes by this socket.
        drop(listener);
        let _ = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
    }
}

async fn serve(
    connection: Connection,
    app: Router,
    permit: OwnedSemaphorePermit,
    stopped: watch::Receiver<bool>,
) {
    match connection {
        Connection::Unix(stream) => serve_on(stream, app, stopped).await,
        Connection::Tcp(stream) => serve_on(stream, app, stopped).await,
    }
    drop(permit);
}

async fn serve_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    // A caller that breaks off is no failure.
    let is_stopping = tokio::select! {
        _ = connection.as_mut() => false,
        _ = stopped.wait_for(|stopped| *stopped) => true,
    };
    if is_stopping {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
