//! The service against a real controller, with stores of its spec and with stores that fail.

#[path = "../../support/controller.rs"]
mod controller;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use controller::Controller;
use cutover_client::{
    Client,
    routing::Rung,
    spec::{Missing, Spec},
    store::Id,
    testing::{FakeController, Fault, Faulty, MemoryStore, Verb, down, lost, memory},
};
use cutover_example_orders::{App, RETRY_FOR, router};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

const ORDER: &str = "/customers/acme/orders/1";
const LINES: &str = "/customers/acme/orders/1/lines";

async fn call(app: &App, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("Idempotency-Key", "a1");
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = router(app.clone()).oneshot(request).await.expect("it answers");
    let status = response.status();
    let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(response.headers().contains_key("retry-after"), unavailable);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn an_order_is_the_same_at_every_stage() {
    let mut controller = Controller::start("orders").await;
    let client = controller.client("orders-api").await;
    let dir = TempDir::new().expect("a temporary directory");
    let at = |file: &str| format!("sqlite:{}", dir.path().join(file).display());
    let text = include_str!("../orders.toml")
        .replace("sqlite:source.db", &at("source.db"))
        .replace("sqlite:target.db", &at("target.db"));
    let file = dir.path().join("orders.toml");
    std::fs::write(&file, &text).expect("written");
    let spec: Spec = text.parse().expect("valid");
    spec.source.open(Missing::Create, |_| None).await.expect("created");
    let target = spec.target.open(Missing::Create, |_| None).await.expect("created");
    let orders = client.migrator_from_spec(&file).await.expect("opened");
    let app = App { orders, retry_for: RETRY_FOR };

    for rung in [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst] {
        if rung > Rung::SourceOnly {
            controller.move_tenant(&client, "acme", rung).await;
        }
        assert_eq!(call(&app, Method::GET, ORDER, "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(call(&app, Method::POST, LINES, r#"{"article":"pen","count":2}"#).await.0, 404);
        let put = call(&app, Method::PUT, ORDER, r#"{"total":"12.50","note":"ring twice"}"#).await;
        assert_eq!(put, (StatusCode::NO_CONTENT, String::new()));
        for _ in 0..2 {
            let added = call(&app, Method::POST, LINES, r#"{"article":"pen","count":2}"#).await;
            assert_eq!(added.0, StatusCode::NO_CONTENT);
        }
        let (status, read) = call(&app, Method::GET, ORDER, "").await;
        let line = r#"{"article":"pen","count":2,"request":"a1"}"#;
        let order = format!(r#"{{"total":"12.5","note":"ring twice","lines":[{line}]}}"#);
        assert_eq!((status, read), (StatusCode::OK, order), "added once");
        let held = target.get(&Id::new("acme", "1").expect("valid")).await.expect("readable");
        assert_eq!(held.is_some_and(|record| !record.is_tombstone()), rung >= Rung::Dual);
        assert_eq!(call(&app, Method::DELETE, ORDER, "").await.0, StatusCode::NO_CONTENT);
    }
    let (status, why) = call(&app, Method::PUT, ORDER, r#"{"total":12.5}"#).await;
    assert!(status == StatusCode::BAD_REQUEST && why.contains("invalid"), "{why}");
    assert!(client.close().await);
    assert_eq!(call(&app, Method::GET, ORDER, "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

struct World {
    controller: FakeController,
    _client: Client,
    source: Arc<Faulty<MemoryStore>>,
    target: Arc<Faulty<MemoryStore>>,
    app: App,
}

impl World {
    fn at(rung: Rung, retry_for: Duration) -> Self {
        let controller = FakeController::at("orders", rung);
        let client = controller.client();
        let (source, target) = (memory(), memory());
        let orders = client.migrator("orders", source.clone(), target.clone());
        Self { controller, _client: client, source, target, app: App { orders, retry_for } }
    }

    async fn put(&self) -> (StatusCode, String) {
        call(&self.app, Method::PUT, ORDER, r#"{"total":"1"}"#).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_retried_and_then_told_as_that() {
    let world = World::at(Rung::Mirrored, RETRY_FOR);
    world.target.next(Verb::Put, Fault::Lose(lost()));
    assert_eq!(world.put().await.0, StatusCode::NO_CONTENT, "the second attempt");
    world.target.always(Verb::Put, Fault::Refuse(down()));
    let (status, body) = world.put().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""error":"unknown_outcome""#), "{body}");
    world.target.heal();
    assert_eq!(world.put().await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_begun_or_not_applied_may_be_repeated() {
    let world = World::at(Rung::Hold, Duration::ZERO);
    let retry = |(status, body): (StatusCode, String)| {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains(r#""error":"retry""#), "{body}");
    };
    retry(world.put().await);
    world.controller.move_all("orders", Rung::Dual);
    world.source.always(Verb::Put, Fault::Refuse(down()));
    world.source.always(Verb::Get, Fault::Refuse(down()));
    retry(world.put().await);
    retry(call(&world.app, Method::GET, ORDER, "").await);
    world.controller.expire();
    retry(call(&world.app, Method::GET, ORDER, "").await);
}

#[tokio::test]
async fn what_a_retry_does_not_mend_is_no_503() {
    let world = World::at(Rung::Dual, Duration::ZERO);
    let text = br#"{"total":{"S":"one"}}"#.to_vec();
    world.app.orders.put_bytes("acme", "1", text).await.expect("acknowledged");
    let (status, body) = call(&world.app, Method::GET, ORDER, "").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("total: text (S) where a number is needed"), "{body}");
    let (status, _) = call(&world.app, Method::GET, "/customers/a%0Ab/orders/1", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    world.controller.remove("orders");
    assert_eq!(world.put().await.0, StatusCode::INTERNAL_SERVER_ERROR);
}
