//! Answers on a connection that is not served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// Answers over HTTP/1.1 or HTTP/2, as the client begins. Whether it made a call that `is_known` knows.
pub(super) async fn answer(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    is_known: fn(&str) -> bool,
    limit: Duration,
) -> bool {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().keep_alive(false);
    let app = TowerToHyperService::new(router);
    let known = Arc::new(AtomicBool::new(false));
    let noted = known.clone();
    let app = service_fn(move |request: Request<Incoming>| {
        noted.fetch_or(is_known(request.uri().path()), Ordering::Relaxed);
        app.call(request)
    });
    let served = http.serve_connection(TokioIo::new(connection), app);
    let _ = timeout(limit, served).await;
    known.load(Ordering::Relaxed)
}
