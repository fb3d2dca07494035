//! What is bounded, and who is refused.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::client::{Place, is_ready, json_on, request, until};
use crate::api::client::send;

#[tokio::test]
async fn operations_connections_and_messages_are_bounded() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&["--operations-max", "2", "--connections-max", "3"]).await;
    let (first, _second) = (sidecar.begin_write().await, sidecar.begin_write().await);
    let (status, refused) = sidecar.json("Get", &json!({ "tenant": "acme", "key": "a" })).await;
    assert_eq!((status, &refused["code"]), (429, &json!("RESOURCE_EXHAUSTED")), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("--operations-max"), "{refused}");
    assert_eq!(sidecar.end(&first).await, "OPERATION_OUTCOME_DONE");
    sidecar.ok("Get", &json!({ "tenant": "acme", "key": "a" })).await;

    let large =
        json!({ "tenant": "acme", "key": "a", "json": format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20)) });
    let (status, refused) = sidecar.json("Put", &large).await;
    assert_eq!(
        (status, refused["message"].as_str().unwrap().contains("4194304 bytes")),
        (413, true),
        "{refused}"
    );

    // Connections that have ended may count for a moment longer, so a few more are opened.
    let (mut open, decide) = (Vec::new(), json!({ "tenant": "acme" }));
    let is_refused = async || {
        let (status, refused) = json_on(&sidecar.socket, "Decide", &decide).await;
        let message = refused["message"].as_str().unwrap_or_default().to_owned();
        let decide =
            cutover_proto::v1::SidecarDecideRequest { tenant: "acme".to_owned(), ..Default::default() };
        let by_grpc = sidecar.grpc().await.decide(decide).await;
        let by_grpc = by_grpc.is_err_and(|refused| refused.code() == tonic::Code::ResourceExhausted);
        status == 429 && message.contains("--connections-max") && by_grpc
    };
    for _ in 0..12 {
        open.push(UnixStream::connect(&sidecar.socket).await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
        if open.len() >= 3 && is_refused().await {
            break;
        }
    }
    assert!(is_refused().await, "{} connections are open", open.len());
    open.clear();
    until("there is room again", || async { is_ready(&sidecar.socket).await }).await;
    sidecar.signal(nix::sys::signal::Signal::SIGKILL);
    place.controller.stop().await;
}

#[tokio::test]
async fn a_socket_belongs_to_its_user_and_to_one_sidecar() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&["--socket-mode", "640"]).await;
    let mode = std::fs::metadata(&sidecar.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let second = place.refused(&["--socket", "orders.sock"]).await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another sidecar takes calls on orders.sock"), "{said}");
    sidecar.ok("Decide", &json!({ "tenant": "acme" })).await;
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn a_command_line_that_others_could_use_or_nobody_is_refused() {
    let place = Place::new(1_000).await;
    for (flags, code, part) in [
        (&["--listen", "0.0.0.0:0"][..], 64, "not a loopback address"),
        (&["--listen", "127.0.0.1:0", "--socket", "a.sock"], 64, "not both"),
        (&[], 64, "also needs"),
        (&["--socket", "a.sock", "--socket-mode", "999"], 64, "octal"),
        (&["--socket", "a.sock", "--spec", "orders.toml"], 64, "one spec for each migration"),
        (&["--socket", "a.sock", "--spec", "none.toml"], 65, "none.toml"),
        (&["--socket", "none/a.sock"], 1, "its directory must exist"),
    ] {
        let refused = place.refused(flags).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && said.contains(part), "{flags:?}: {said}");
    }
    place.controller.stop().await;
}

#[tokio::test]
async fn on_loopback_pages_of_strangers_are_refused() {
    let place = Place::new(1_000).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut child = place.command(&["--listen", &free.to_string()]).spawn().unwrap();
    until("it listens", || async { tokio::net::TcpStream::connect(free).await.is_ok() }).await;
    let json = ("content-type", "application/json");
    let body = json!({ "tenant": "acme" }).to_string();
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        send(free, "POST", path, headers, body.clone()).await.status().as_u16()
    };
    until("it is ready", || async { ask("/api/v1/Decide", &[json]).await == 200 }).await;
    assert_eq!(ask("/api/v1/Decide", &[json, ("host", "evil.example")]).await, 421);
    assert_eq!(ask("/api/v1/Decide", &[json, ("origin", "http://evil.example")]).await, 403);
    assert_eq!(ask("/api/v1/Decide", &[]).await, 415);
    let grpc = [("content-type", "application/grpc")];
    assert_eq!(ask("/cutover.v1.SidecarService/Decide", &grpc).await, 404, "not over HTTP/1.1");
    let url = format!("http://{free}");
    let mut grpc =
        cutover_proto::v1::sidecar_service_client::SidecarServiceClient::connect(url).await.unwrap();
    let sidecar = grpc.get_sidecar(cutover_proto::v1::GetSidecarRequest {}).await.unwrap().into_inner();
    assert!(sidecar.ready && sidecar.migrations == ["orders"], "{sidecar:?}");
    child.kill().await.unwrap();
    place.controller.stop().await;
}

#[tokio::test]
async fn without_a_controller_it_is_alive_and_not_ready() {
    let place = Place::new(1_000).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let sidecar = place.starting(&["--server", &url]);
    let get = async |path: &str| request(&sidecar.socket, "GET", path, String::new()).await;
    until("it answers", || async { get("/healthz").await.is_some_and(|(status, _)| status == 200) }).await;
    let (status, why) = get("/readyz").await.unwrap();
    assert!(status == 503 && why.contains("no snapshot"), "{why}");
    let (status, refused) = sidecar.json("Put", &json!({ "tenant": "a", "key": "a", "json": "{}" })).await;
    assert_eq!((status, &refused["reason"]), (503, &json!("NOT_APPLIED")), "{refused}");
    let told: Value = serde_json::from_str(&get("/api/v1/GetSidecar").await.unwrap().1).unwrap();
    assert_eq!(told["ready"], false, "{told}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    sidecar.stop().await;
    place.controller.stop().await;
}
