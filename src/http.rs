//! HTTP: `/healthz`, `/readyz` and `/metrics` for probes and scrapes, and the web console.

pub mod console;
mod limits;

use std::{future::ready, sync::Arc};

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use futures::future::BoxFuture;

pub use limits::{full, limits};

use crate::telemetry::prometheus;

/// Whether the controller can serve, or one line why not.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// All routes. `metrics` returns the text of a scrape.
pub fn router(metrics: impl Fn() -> String + Clone + Send + Sync + 'static, ready_now: Ready) -> Router {
    let scrape = move || ready(([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], metrics()));
    let is_ready = move || {
        let asked = ready_now();
        async move {
            match asked.await {
                Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, one_line(&why)),
            }
        }
    };
    Router::new()
        .route("/healthz", get(|| ready("ok\n")))
        .route("/readyz", get(is_ready))
        .route("/metrics", get(scrape))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ") + "\n"
}
