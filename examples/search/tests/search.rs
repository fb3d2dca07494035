//! The service against a real controller.

#[path = "../../support/controller.rs"]
mod controller;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use controller::Controller;
use cutover_client::{routing::Rung, testing::FakeController};
use cutover_example_search::{App, Index, MIGRATION, router};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

fn index(title: &str) -> Index {
    Index::from([("acme".to_owned(), vec![format!("{title} page"), "other".to_owned()])])
}

async fn get(app: &Arc<App>, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router(app.clone()).oneshot(request).await.expect("it answers");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_customer_that_is_moved_is_searched_in_the_new_index() {
    let mut controller = Controller::start(MIGRATION).await;
    let client = controller.client("search-api").await;
    let app = Arc::new(App { client, old: index("old"), new: index("new") });
    assert_eq!(get(&app, "/readyz").await.0, StatusCode::OK);
    let path = "/customers/acme/search/page";
    let old = (StatusCode::OK, r#"{"index":"old","titles":["old page"]}"#.to_owned());
    assert_eq!(get(&app, path).await, old);
    controller.move_tenant(&app.client, "acme", Rung::TargetFirst).await;
    let new = (StatusCode::OK, r#"{"index":"new","titles":["new page"]}"#.to_owned());
    assert_eq!(get(&app, path).await, new);
    let none = (StatusCode::OK, r#"{"index":"old","titles":[]}"#.to_owned());
    assert_eq!(get(&app, "/customers/other/search/page").await, none, "the others stay");
    assert!(app.client.close().await);
    assert_eq!(get(&app, path).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn without_a_decision_nothing_is_searched() {
    let controller = FakeController::new();
    let app = Arc::new(App { client: controller.client(), old: index("old"), new: index("new") });
    assert_eq!(get(&app, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let path = "/customers/acme/search/page";
    assert_eq!(get(&app, path).await.0, StatusCode::INTERNAL_SERVER_ERROR, "no such migration");
    controller.move_all(MIGRATION, Rung::TargetOnly);
    assert_eq!(get(&app, path).await.0, StatusCode::OK);
    assert_eq!(get(&app, "/customers/a%0Ab/search/page").await.0, StatusCode::BAD_REQUEST);
    controller.expire();
    let (status, body) = get(&app, path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("expired"), "{body}");
}
