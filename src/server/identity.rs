//! What a controller says of itself to whoever asks for its health, without a token: which history its store has. A client
//! with several addresses compares them, so that it does not take another installation's controller for one of these.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderValue,
    middleware::{Next, from_fn_with_state},
    response::Response,
};

use cutover_core::servers::HISTORY_HEADER;

use crate::service::Registry;

/// Adds the history of a leader's store to answers about health.
pub(super) fn of_leader(router: Router, registry: Arc<Registry>) -> Router {
    shown(router, move || Some(registry.state().history_id.clone()))
}

/// Says which history a store has. `None`: it is not known now.
pub(super) type History = dyn Fn() -> Option<Arc<str>> + Send + Sync;

/// Adds the history to answers about health.
pub(super) fn shown(
    router: Router,
    history: impl Fn() -> Option<Arc<str>> + Send + Sync + 'static,
) -> Router {
    router.layer(from_fn_with_state(Arc::new(history) as Arc<History>, show))
}

async fn show(State(history): State<Arc<History>>, request: Request, next: Next) -> Response {
    let is_asked = is_health(request.uri().path());
    let mut response = next.run(request).await;
    if is_asked
        && let Some(history) = history()
        && let Ok(history) = HeaderValue::from_str(&history)
    {
        response.headers_mut().insert(HISTORY_HEADER, history);
    }
    response
}

/// Whether a call asks for health.
pub(super) fn is_health(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.")
}
