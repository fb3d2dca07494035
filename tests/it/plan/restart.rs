//! The controller is killed half-way: the plan continues from where it was, once.

use std::{path::Path, process::Stdio};

use cutover::{
    domain::Scale,
    service::WindowQuery,
    store::{WindowStore as _, sqlite::SqliteStore},
};
use cutover_proto::v1::admin_service_client::AdminServiceClient;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::*;
use crate::support::key;

async fn serve(store: &str, grpc: &str) -> (String, Child) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["serve", "--store", store, "--grpc", grpc, "--http", "127.0.0.1:0"]);
    let mut child = command.env_remove("RUST_LOG").stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = told.next_line().await.unwrap().unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
    let address = line.split("grpc=\"").nth(1).and_then(|rest| rest.split('"').next());
    (address.expect("it says where it serves").to_owned(), child)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_survives_kill_9_and_no_step_is_taken_twice_nor_baked_anew() {
    let dir = TempDir::new().unwrap();
    let store = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let (address, mut child) = serve(&store, "127.0.0.1:0").await;
    let url = format!("http://{address}");
    let mut admin = AdminServiceClient::connect(url.clone()).await.unwrap();
    create(&mut admin).await;
    let service = Service::start(&url, "one", MANY).await;
    let (dual, mirrored) = (v1::Rung::Dual, v1::Rung::Mirrored);
    let ramp = [share(dual, 10, 0), share(dual, 50, 4_000), share(dual, 100, 0), share(mirrored, 100, 0)];
    admin.start_plan(apply(plan(ramp))).await.unwrap();
    let before = until(&mut admin, |view| view.taken.len() == 2 && view.taken[1].shown_at_ms > 0).await;
    // From here on nobody reports a call: what was shown has to be remembered.
    service.says.calls.store(0, Relaxed);
    child.kill().await.unwrap();

    let (_, mut child) = serve(&store, &address).await;
    let mut admin = AdminServiceClient::connect(url.clone()).await.unwrap();
    let after = until(&mut admin, |view| view.taken.len() == 3).await;
    assert_eq!(after.taken[..2], before.taken[..], "when it began, settled and had shown is remembered");
    let baked_ms = after.taken[2].at_ms - before.taken[1].settled_at_ms;
    assert!(baked_ms >= 4_000, "{baked_ms} ms since it settled");
    child.kill().await.unwrap();

    let (_, mut child) = serve(&store, &address).await;
    service.says.calls.store(MANY, Relaxed);
    let mut admin = AdminServiceClient::connect(url).await.unwrap();
    until(&mut admin, |view| view.status() == v1::PlanStatus::Done).await;
    assert_eq!(steps(&mut admin).await, ["step 1", "step 2", "step 3", "step 4"]);
    child.kill().await.unwrap();
}

/// Number of read calls that the step still needs.
fn wanted(view: &v1::PlanView) -> Option<u64> {
    view.missing
        .iter()
        .find_map(|missing| missing.what.strip_suffix(" more read calls to the target")?.parse().ok())
}

/// Reads of the target that the store has for the last step taken.
async fn kept(path: &Path, view: &v1::PlanView) -> u64 {
    let from = view.taken.last().expect("it has begun").revision;
    let query = WindowQuery { key: key("orders"), scale: Scale::Revision, from, before: u64::MAX };
    let windows = SqliteStore::open(path).await.unwrap().windows(&query).await.unwrap();
    windows.iter().map(|(_, counts)| counts.calls[2].calls).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_were_counted_before_kill_9_count_for_the_step() {
    /// Enough calls to show an error rate below 0.1 %.
    const ENOUGH: u64 = 4_603;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("cutover.db");
    let store = format!("sqlite:{}", path.display());
    let (address, mut child) = serve(&store, "127.0.0.1:0").await;
    let url = format!("http://{address}");
    let mut admin = AdminServiceClient::connect(url.clone()).await.unwrap();
    create(&mut admin).await;
    let service = Service::start(&url, "one", 100).await;
    admin.start_plan(apply(plan([share(v1::Rung::Dual, 100, 0)]))).await.unwrap();
    until(&mut admin, |view| wanted(view).is_some_and(|calls| calls < ENOUGH / 2)).await;
    service.says.calls.store(0, Relaxed);
    let before = loop {
        let view = view(&mut admin).await;
        let calls = wanted(&view).expect("they are not complete");
        if kept(&path, &view).await == ENOUGH - calls {
            break calls;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    child.kill().await.unwrap();

    let (_, mut child) = serve(&store, &address).await;
    let mut admin = AdminServiceClient::connect(url).await.unwrap();
    assert_eq!(wanted(&view(&mut admin).await), Some(before), "only these are still wanted");
    service.says.calls.store(before, Relaxed);
    let done = until(&mut admin, |view| view.status() == v1::PlanStatus::Done).await;
    assert_eq!(done.taken.len(), 1);
    child.kill().await.unwrap();
}
