//! Where every call passes. It shuts when this process starts anew: connections outlive the server that accepted them,
//! and no call may act by the state from before. A controller that shares its store answers only while it surely leads.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use cutover_core::routing::Mutation;
use tokio::sync::watch;
use tonic::Status;

use crate::store::Lease;

/// Counts the calls that are being answered: each holds a receiver.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Why it is shut. `None`: it is open.
    shut: Arc<watch::Sender<Option<&'static str>>>,
    /// `None`: the store is this controller's alone.
    lease: Option<Arc<Lease>>,
}

impl Gate {
    pub(super) fn new(lease: Option<Arc<Lease>>) -> Self {
        Self { shut: Arc::new(watch::Sender::new(None)), lease }
    }

    /// Ends the calls that are being answered, and refuses every later one. When it returns, none acts any more.
    pub(super) async fn shut(&self, why: &'static str) {
        self.shut.send_replace(Some(why));
        self.shut.closed().await;
    }

    /// Lets the calls of `router` pass until it is shut. `refused` makes the answer to the others.
    pub(super) fn before(&self, router: Router, refused: Refused) -> Router {
        router.layer(from_fn_with_state((self.clone(), refused), pass))
    }
}

/// Makes an answer in the protocol of a router.
pub(super) type Refused = fn(Status) -> Response;

async fn pass(State((gate, refused)): State<(Gate, Refused)>, request: Request, next: Next) -> Response {
    let mut shut = gate.shut.subscribe();
    let is_shut = *shut.borrow();
    // After the request was sent: what the answer grants counts from there, so from before another one could lead.
    let is_deposed = gate.lease.as_ref().is_some_and(|lease| !lease.is_held());
    let is_deposed = (is_deposed && !Mutation::LeaseAtCall.is_left_out()).then_some(DEPOSED);
    if let Some(why) = is_shut.or(is_deposed) {
        return refused(Status::unavailable(format!("{why} Nothing was done: repeat the call")));
    }
    let ends = async {
        // Its sender outlives the call.
        let why = shut.wait_for(Option::is_some).await.ok().and_then(|why| *why);
        why.unwrap_or_default()
    };
    tokio::select! {
        response = next.run(request) => response,
        starts_anew = ends => {
            let why = "Whether this call took effect is unknown: repeat it with the same request_id";
            refused(Status::unavailable(format!("{starts_anew} {why}")))
        }
    }
}

/// The store's history is another one.
pub(super) const PUT_BACK: &str = "The store was put back, and the controller starts anew.";
/// The process ends.
pub(super) const STOPS: &str = "The controller stops.";
/// Another controller may lead.
pub(super) const DEPOSED: &str = "This controller does not lead any more.";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{future::pending, sync::Mutex};

    use async_trait::async_trait;
    use axum::{body::Body, routing::get};
    use tokio::{sync::oneshot, time::advance};
    use tonic::codegen::Service as _;

    use super::*;
    use crate::store::{Error, Seat, SeatStore, TRUSTED, Term};

    /// A store that is away.
    #[derive(Debug)]
    struct Away;

    #[async_trait]
    impl SeatStore for Away {
        async fn read(&self) -> Result<Seat, Error> {
            Err(Error::Unavailable(String::new()))
        }

        async fn take(&self, _: &Seat, _: &str) -> Result<bool, Error> {
            Err(Error::Unavailable(String::new()))
        }

        async fn beat(&self, _: &Term) -> Result<bool, Error> {
            Err(Error::Unavailable(String::new()))
        }

        async fn vacate(&self, _: &Term) -> Result<(), Error> {
            Err(Error::Unavailable(String::new()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_answered_without_the_lease_although_nobody_has_noticed_yet() {
        let lease = Arc::new(Lease::new(Away));
        let router = Router::new().route("/quick", get(async || "done"));
        let router = Gate::new(Some(lease.clone())).before(router, Status::into_http);
        let is_answered = async || {
            let request = Request::get("/quick").body(Body::empty()).unwrap();
            !router.clone().call(request).await.unwrap().headers().contains_key("grpc-status")
        };
        assert!(!is_answered().await, "it has never led");
        lease.join(Term { epoch: 1, holder: "ada".to_owned() });
        assert!(is_answered().await);
        advance(TRUSTED).await;
        assert!(!is_answered().await, "as after a freeze");
    }

    #[tokio::test]
    async fn it_ends_calls_before_it_is_shut_and_refuses_later_ones() {
        let gate = Gate::new(None);
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
        gate.shut(PUT_BACK).await;
        begun.await.expect_err("dropped before the gate is shut");
        for refused in [hanging.await.unwrap(), ask("/quick").await] {
            assert_eq!(refused.unwrap().headers()["grpc-status"], "14", "unavailable");
        }
    }
}
