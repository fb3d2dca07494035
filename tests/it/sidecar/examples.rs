//! The callers in examples/sidecar, in Python and JavaScript, at every rung.

use std::path::Path;

use cutover_proto::v1;
use serde_json::json;
use tokio::process::Command;

use super::client::{Place, Sidecar, until};

const RUNGS: [v1::Rung; 5] =
    [v1::Rung::SourceOnly, v1::Rung::Dual, v1::Rung::Mirrored, v1::Rung::TargetFirst, v1::Rung::TargetOnly];

/// Moves the tenant of the examples, and waits until the sidecar knows.
async fn move_acme(place: &Place, sidecar: &Sidecar, rung: v1::Rung) {
    let pin = v1::SetPinRequest {
        mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
        key: "orders".to_owned(),
        tenant: "acme".to_owned(),
        rung: rung.into(),
        wait: true,
        override_gates: vec!["full-pass".to_owned()],
    };
    place.controller.admin().await.set_pin(pin).await.unwrap();
    let is_there =
        || async { sidecar.ok("Decide", &json!({ "tenant": "acme" })).await["rung"] == rung.as_str_name() };
    until(rung.as_str_name(), is_there).await;
}

/// Whether a language is installed. tests/run installs both, and requires them.
async fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().await.is_ok();
    let required = std::env::var("CUTOVER_TEST_SERVERS").is_ok_and(|given| given == "required");
    assert!(is_there || !required, "{program} is missing, and CUTOVER_TEST_SERVERS requires it");
    if !is_there {
        eprintln!("{program} is missing: its example is left out; tests/run installs it");
    }
    is_there
}

/// What a program of the examples prints.
async fn said(place: &Place, program: &str, file: &str, arguments: &[&str]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sidecar").join(file);
    let mut command = Command::new(program);
    command.arg(file).arg("orders.sock").args(arguments).current_dir(place.dir.path());
    let ran = command.env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true).output().await;
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn python_and_node_read_and_write_at_every_rung() {
    if !(has("python3").await && has("node").await) {
        return;
    }
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    for rung in RUNGS {
        move_acme(&place, &sidecar, rung).await;
        let name = rung.as_str_name();
        let python = said(&place, "python3", "orders.py", &[]).await;
        let expected = format!(
            "acme is at {name}\norder-1: {{'items': 3, 'total': 12.5}}\norder-1: {{'items': 4, 'total': 12.5}}\n\
             order-1: None\nrefused, retry: False\n"
        );
        assert_eq!(python, expected);
        let node = said(&place, "node", "orders.mjs", &[]).await;
        let expected = format!(
            "acme is at {name}\norder-1: {{\"items\":3,\"total\":12.5}}\norder-1: {{\"items\":4,\"total\":12.5}}\n\
             order-1: null\nrefused: NOT_APPLIED\n"
        );
        assert_eq!(node, expected);
    }
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn a_service_with_stores_of_its_own_agrees_with_the_sidecar_at_every_rung() {
    if !has("python3").await {
        return;
    }
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    let mut grpc = sidecar.grpc().await;
    let get = |key: &str| v1::GetRequest {
        tenant: "acme".to_owned(),
        key: key.to_owned(),
        raw: true,
        ..Default::default()
    };
    for rung in RUNGS {
        move_acme(&place, &sidecar, rung).await;
        // A record of its own, and one that it overwrites at each rung.
        for key in [rung.as_str_name(), "shared"] {
            let value = format!("of {}", rung.as_str_name());
            let said = said(&place, "python3", "own_stores.py", &["old.db", "new.db", key, &value]).await;
            let done = "OPERATION_OUTCOME_DONE";
            assert_eq!(said, format!("write: {done}\nread: {done} b'{value}'\n"), "{key}");
            let got = grpc.get(get(key)).await.unwrap().into_inner();
            assert_eq!(got.raw.as_deref(), Some(value.as_bytes()), "{key} at {}", rung.as_str_name());
        }
    }
    let state = sidecar.ok("GetSidecar", &json!({})).await;
    assert_eq!(state["operations"], 0, "everything was ended: {state}");
    // What it counted reached the controller: puts to both stores at three rungs.
    until("its writes are counted", || async {
        let progress = v1::GetProgressRequest { key: "orders".to_owned(), ..Default::default() };
        let points = place.controller.admin().await.get_progress(progress).await.unwrap().into_inner().points;
        points.iter().map(|point| point.totals.as_ref().unwrap().both_ok).sum::<u64>() == 6
    })
    .await;
    sidecar.stop().await;
    place.controller.stop().await;
}
