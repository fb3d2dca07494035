//! Callers that wait for an operation's end never keep others from it.

use cutover_proto::v1;
use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::json;

use super::client::{Place, Sidecar, json_on, request, until};

/// A sidecar on hold until the returned operation is ended.
async fn on_hold(place: &Place, flags: &[&str]) -> (Sidecar, serde_json::Value) {
    let sidecar = place.sidecar(flags).await;
    place.at_target_first().await;
    sidecar.until_at("RUNG_TARGET_FIRST").await;
    let begun = sidecar.begin_write().await;
    place.roll_back().await;
    sidecar.until_at("RUNG_HOLD").await;
    (sidecar, begun)
}

#[tokio::test]
async fn an_end_gets_through_although_callers_that_wait_hold_all_connections() {
    let place = Place::new(1_000).await;
    let (sidecar, begun) = on_hold(&place, &["--connections-max", "3"]).await;
    let socket = &sidecar.socket;
    let begin = json!({ "tenant": "acme", "operation": "OPERATION_READ" });
    let waiting = (0..3).map(|_| {
        let (socket, begin) = (socket.clone(), begin.clone());
        tokio::spawn(async move {
            loop {
                // Connections that have ended may count for a moment longer.
                let (status, answer) = json_on(&socket, "Begin", &begin).await;
                if status != 429 {
                    return (status, answer);
                }
            }
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let decide = json!({ "tenant": "acme" });
    until("all connections are held", || async { json_on(socket, "Decide", &decide).await.0 == 429 }).await;
    for path in ["/healthz", "/readyz", "/api/v1/GetSidecar"] {
        let (status, text) = request(socket, "GET", path, String::new()).await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
    }
    assert_eq!(sidecar.end(&begun).await, "OPERATION_OUTCOME_DONE");
    for waited in join_all(waiting).await {
        let (status, read) = waited.unwrap();
        assert_eq!((status, &read["rung"]), (200, &json!("RUNG_DUAL")), "{read}");
        assert_eq!(sidecar.end(&read).await, "OPERATION_OUTCOME_DONE");
    }
    sidecar.signal(Signal::SIGKILL);
    place.controller.stop().await;
}

#[tokio::test]
async fn an_end_gets_through_on_the_connection_that_others_wait_on() {
    let place = Place::new(1_000).await;
    let (sidecar, begun) = on_hold(&place, &[]).await;
    let mut grpc = sidecar.grpc().await;
    let waiting = (0..300).map(|_| {
        let mut grpc = grpc.clone();
        let begin = v1::BeginRequest {
            tenant: "acme".to_owned(),
            operation: v1::Operation::Read.into(),
            ..Default::default()
        };
        tokio::spawn(async move { grpc.begin(begin).await })
    });
    let waiting: Vec<_> = waiting.collect();
    // They are sent in this order, on one connection.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let id = begun["id"].as_str().unwrap().to_owned();
    let end = v1::EndRequest { id, outcome: v1::OperationOutcome::Done.into(), ..Default::default() };
    let ended = grpc.end(end).await.unwrap().into_inner();
    assert_eq!(ended.outcome(), v1::OperationOutcome::Done, "{ended:?}");
    for waited in join_all(waiting).await {
        assert_eq!(waited.unwrap().unwrap().into_inner().rung(), v1::Rung::Dual);
    }
    sidecar.signal(Signal::SIGKILL);
    place.controller.stop().await;
}
