//! Where every call passes. It shuts when this process starts anew on another history: connections outlive the
//! server that accepted them, and no call may act by the state from before.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tokio::sync::watch;
use tonic::Status;

/// Counts the calls that are being answered: each holds a receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Ends the calls that are being answered, and refuses every later one. When it returns, none acts any more.
    pub(super) async fn shut(&self) {
        self.0.send_replace(true);
        self.0.closed().await;
    }

    /// Lets the calls of `router` pass until it is shut. `refused` makes the answer to the others.
    pub(super) fn before(&self, router: Router, refused: Refused) -> Router {
        router.layer(from_fn_with_state((self.clone(), refused), pass))
    }
}

/// Makes an answer in the protocol of a router.
pub(super) type Refused = fn(Status) -> Response;

async fn pass(State((gate, refused)): State<(Gate, Refused)>, request: Request, next: Next) -> Response {
    let mut shut = gate.0.subscribe();
    if *shut.borrow() {
        return refused(Status::unavailable(format!("{STARTS_ANEW} Nothing was done: repeat the call")));
    }
    tokio::select! {
        response = next.run(request) => response,
        _ = shut.wait_for(|shut| *shut) => {
            let why = "Whether this call took effect is unknown: repeat it with the same request_id";
            refused(Status::unavailable(format!("{STARTS_ANEW} {why}")))
        }
    }
}

const STARTS_ANEW: &str = "The store was put back, and the controller starts anew.";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{future::pending, sync::Mutex};

    use axum::{body::Body, routing::get};
    use tokio::sync::oneshot;
    use tonic::codegen::Service as _;

    use super::*;

    #[tokio::test]
    async fn it_ends_calls_before_it_is_shut_and_refuses_later_ones() {
        let gate = Gate::default();
        let (acting, begun) = oneshot::channel::<()>();
        let acting = Arc::new(Mutex::new(Some(acting)));
        let hangs = get(async move || {
            let _acting = acting.lock().unwrap().take(); // Dropped with the call.
            pending::<()>().await;
        });
        let router = Router::new().route("/hangs", hangs).route("/quick", get(async || "done"));
        let router = gate.before(router, Status::into_http);
        let ask = |path: &str| router.clone().call(Request::get(path).body(Body::empty()).unwrap());
        assert!(ask("/quick").await.unwrap().headers().get("grpc-status").is_none(), "it passes");
        let hanging = tokio::spawn(ask("/hangs"));
        tokio::task::yield_now().await; // The call begins.
        gate.shut().await;
        begun.await.expect_err("dropped before the gate is shut");
        for refused in [hanging.await.unwrap(), ask("/quick").await] {
            assert_eq!(refused.unwrap().headers()["grpc-status"], "14", "unavailable");
        }
    }
}
