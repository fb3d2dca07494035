//! Streams, and requests that are being received, beyond small limits.

use axum::{body::Bytes, routing::post};
use futures::{StreamExt as _, stream};
use tonic::codegen::Service as _;

use super::*;

const WATCH: &str = "/cutover.v1.RoutingService/Watch";
const UPLOAD: &str = "/cutover.v1.AdminService/ImportPins";
const CALL: &str = "/cutover.v1.AdminService/SetPin";
const REPORT: &str = "/cutover.v1.TelemetryService/Report";
const HEALTH: &str = "/grpc.health.v1.Health/Watch";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const URGENT: [&str; 3] = [
    "/cutover.v1.AdminService/Rollback",
    "/cutover.v1.AdminService/Pause",
    "/cutover.v1.TelemetryService/Goodbye",
];

fn bounds(streams: Shares, received: Shares) -> Arc<Bounds> {
    let config = Config::load(crate::config::Serve::default()).expect("defaults");
    let bounds = Bounds::new(&config, Arc::default());
    let of = |_| panic!("nobody else has it");
    let Bounds { calls, open_streams: _, counts, warned, .. } = Arc::try_unwrap(bounds).unwrap_or_else(of);
    let open_streams = Shares::new(1, 1);
    Arc::new(Bounds { calls, streams, open_streams, received, counts, warned })
}

/// Answers streams that do not end, and says how long a request was.
fn router(bounds: &Arc<Bounds>) -> Router {
    let streams = async || Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
    let length = async |request: Request| match request.into_body().collect().await {
        Ok(body) => body.to_bytes().len().to_string(),
        Err(error) => error.to_string(),
    };
    let streaming =
        [WATCH, HEALTH].into_iter().fold(Router::new(), |router, path| router.route(path, post(streams)));
    let router = [UPLOAD, CALL, REPORT, CHECK]
        .into_iter()
        .chain(URGENT)
        .fold(streaming, |router, path| router.route(path, post(length)));
    bounds.within(router, Status::into_http)
}

async fn ask(router: &Router, path: &str, from: u8, body: Body) -> Response {
    let mut request = Request::post(path).body(body).expect("a request");
    request.extensions_mut().insert(Peer([10, 0, 0, from].into()));
    router.clone().call(request).await.expect("an answer")
}

fn code(response: &Response) -> Option<&str> {
    response.headers().get("grpc-status").and_then(|code| code.to_str().ok())
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("it ends");
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}

#[tokio::test]
async fn streams_beyond_a_limit_are_refused_until_others_end() {
    let bounds = bounds(Shares::new(2, 1), Shares::new(9, 9));
    let router = router(&bounds);
    let watch = async |from| ask(&router, WATCH, from, Body::empty()).await;
    let first = watch(1).await;
    assert_eq!(code(&first), None);
    let refused = watch(1).await;
    assert_eq!(code(&refused), Some("8"), "resource exhausted");
    assert_eq!(refused.headers()[PUSHBACK_HEADER], AGAIN_MS);
    let second = watch(2).await;
    assert_eq!([code(&second), code(&watch(3).await)], [None, Some("8")]);
    assert_eq!(bounds.counts.refused()[2], ("streams", 2));
    assert!(
        bounds.counts.last().borrow().as_ref().is_some_and(|last| last.address == Some([10, 0, 0, 3].into()))
    );
    drop(first);
    assert_eq!(code(&watch(1).await), None, "there is room again");
}

#[tokio::test]
async fn requests_that_are_received_have_a_limit_together() {
    let bounds = bounds(Shares::new(9, 9), Shares::new(10, 6));
    let router = router(&bounds);
    let send =
        async |from, bytes: usize| text(ask(&router, CALL, from, Body::from("x".repeat(bytes))).await).await;
    assert_eq!(send(1, 6).await, "6");
    let refused = send(1, 7).await;
    assert!(refused.contains("MiB of requests are being received from 10.0.0.1"), "{refused}");
    // It has sent a part, and says no more.
    let part = stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"12345"))]).chain(stream::pending());
    let mut stalled = Box::pin(ask(&router, CALL, 1, Body::from_stream(part)));
    assert!(futures::poll!(stalled.as_mut()).is_pending());
    assert!(send(1, 2).await.contains("from 10.0.0.1"));
    assert!(send(2, 6).await.contains("of requests are being received, which is the limit"));
    assert_eq!(send(2, 5).await, "5", "another address has its part");
    for path in [UPLOAD, REPORT].into_iter().chain(URGENT) {
        let sent = ask(&router, path, 1, Body::from("x".repeat(100))).await;
        assert_eq!(text(sent).await, "100", "{path} is not stopped by it");
    }
    drop(stalled);
    assert_eq!(send(1, 6).await, "6");
    assert_eq!(bounds.counts.refused()[3], ("memory", 3));
}

#[tokio::test]
async fn calls_without_a_token_take_no_places_from_services() {
    let bounds = bounds(Shares::new(1, 1), Shares::new(9, 9));
    let router = router(&bounds);
    let stranger = ask(&router, HEALTH, 1, Body::empty()).await;
    assert_eq!([code(&stranger), code(&ask(&router, HEALTH, 1, Body::empty()).await)], [None, Some("8")]);
    assert!(bounds.counts.last().borrow().is_none(), "no process was refused");
    let service = ask(&router, WATCH, 1, Body::empty()).await;
    assert_eq!(code(&service), None);
    let part =
        stream::iter([Ok::<_, axum::Error>(Bytes::from_static(b"123456789"))]).chain(stream::pending());
    let mut stalled = Box::pin(ask(&router, CHECK, 1, Body::from_stream(part)));
    assert!(futures::poll!(stalled.as_mut()).is_pending());
    assert_eq!(text(ask(&router, CALL, 1, Body::from("x".repeat(9))).await).await, "9");
    for path in [CHECK].into_iter().chain(URGENT) {
        let long = ask(&router, path, 1, Body::from("x".repeat(SMALL_REQUEST_BYTES + 1))).await;
        assert!(text(long).await.contains("the request is longer than 16 KiB"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_arrive_is_given_up_but_an_upload_may_take_its_time() {
    let bounds = bounds(Shares::new(9, 9), Shares::new(9, 9));
    let router = router(&bounds);
    let silent = || Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
    let said = text(ask(&router, CALL, 1, silent()).await).await;
    assert!(said.contains("did not arrive within 30 s"), "{said}");
    let upload = tokio::time::timeout(Duration::from_secs(3_600), ask(&router, UPLOAD, 1, silent()));
    upload.await.expect_err("it waits");
}
