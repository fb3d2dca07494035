//! A backup of a running controller, and what a restored one does before it is confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cutover::store::open_store;
use cutover_client::{Client, Options};
use cutover_core::routing::Rung;
use cutover_proto::v1;
use tempfile::TempDir;

use super::{at, ramp, run};
use crate::support::server::Controller;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_moves_nobody_until_somebody_has_looked() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let client = Client::connect(url, "orders-api", Options::default()).await.unwrap();
    let rung = |tenant| client.decide("orders", tenant).unwrap().rung;
    ramp(url, "--mirrored").await;
    let file = dir.path().join("backup.db");
    let backup = format!("backup {}", file.display());
    assert!(at(url, &backup).await.done().contains("backup.db"));
    at(url, &backup).await.fails(&["backup.db exists", "another name"]);
    at(url, "pause orders").await.done();

    let elsewhere = TempDir::new().unwrap();
    let store = format!("sqlite:{}", elsewhere.path().join("cutover.db").display());
    let there = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let file = file.display().to_string();
    run(["restore", &file, "--store", &there]).await.fails(&["in use by another controller"]);
    let restored = run(["restore", &file, "--store", &store]).await.done();
    assert!(restored.contains("cutover confirm"), "{restored}");
    run(["restore", &file, "--store", &store]).await.fails(&["exists", "mv "]);
    let port = controller.port();
    controller.stop().await;
    // It has something to report by now, and nobody to report it to.
    until(async || (!client.status().connected).then_some(())).await;
    let operation = client.begin("orders", "tenant-1").unwrap();
    drop(operation);

    let restored = Controller::start(elsewhere.path(), port).await;
    let url = restored.url.as_str();
    let newest = at(url, "show orders --json").await.object()["revision"].as_u64().unwrap();
    until(async || (client.status().applied_revision == newest).then_some(())).await;
    assert_eq!(rung("tenant-1"), Rung::Mirrored, "goes on as before");
    let refused = Client::connect(url, "orders-api", Options::default()).await.unwrap_err().to_string();
    assert!(refused.contains("restored from a backup: new processes can register in "), "{refused}");
    let status = at(url, "status orders").await.done();
    assert!(status.contains("; new processes can register in "), "{status}");
    let status = at(url, "ramp orders --dual 0 --wait --timeout 200ms").await;
    assert_eq!(status.code, 3, "not even down: {status:?}");
    assert!(status.err.contains("[restored]") && status.err.contains("cutover confirm orders"), "{status:?}");
    let early = at(url, "confirm orders --target-only 10 --reason log").await;
    assert!(early.err.contains("instances may still connect"), "{early:?}");
    at(url, "decide orders tenant-1").await.fails(&["cutover confirm orders"]);
    until(async || {
        let early = at(url, "confirm orders --target-only 10 --reason log").await;
        (!early.err.contains("may still connect")).then_some(())
    })
    .await;
    at(url, "confirm orders --target-only 0").await.misused(&["confirm also needs --reason"]);
    let wrong = at(url, "confirm orders --target-only 10 --reason log").await;
    assert!(wrong.err.contains("--target-only 0 or less"), "an instance knows better: {wrong:?}");
    let confirmed = at(url, "confirm orders --target-only 0 --reason log").await.done();
    assert!(confirmed.contains("cutover resume orders"), "{confirmed}");
    // On hold until it has said that it serves nobody elsewhere.
    let history = at(url, "history orders --export").await.objects();
    let confirmed = history.iter().find(|event| event["change"] == "confirm").unwrap();
    let confirmed = confirmed["revision"].as_u64().unwrap();
    until(async || (client.status().applied_revision > confirmed).then_some(())).await;
    assert_eq!(rung("tenant-1"), Rung::SourceOnly, "where the ramp of the meantime leads");
    client.close().await;
    let history = at(url, "history orders --export").await.objects();
    let changes: Vec<_> = history.iter().map(|event| event["change"].as_str().unwrap().to_owned()).collect();
    assert_eq!(changes[0], "create", "oldest first");
    assert!(
        changes.contains(&"restored".to_owned()) && changes.contains(&"confirm".to_owned()),
        "{changes:?}"
    );
    at(url, "confirm orders --target-only 0 --reason log").await.fails(&["nothing to confirm"]);
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_from_the_future_holds_every_migration() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let watch = |last_revision, history_id: String| v1::WatchRequest {
        instance_id: "a".to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        last_revision,
        history_id,
        ..Default::default()
    };
    let mut routing = controller.routing().await;
    let mut first = routing.watch(watch(0, String::new())).await.unwrap().into_inner();
    let Some(v1::watch_response::Kind::Registered(registered)) = first.message().await.unwrap().unwrap().kind
    else {
        panic!("it is registered first");
    };
    drop(routing.watch(watch(40, "of another store".to_owned())).await.unwrap());
    assert_eq!(at(url, "history orders --export").await.objects().len(), 1, "another history is no future");
    let refused = routing.watch(watch(40, registered.history_id.clone())).await.unwrap_err();
    assert!(refused.message().contains("starts anew"), "{refused:?}");
    // The same address, and a history in which nobody has acknowledged anything.
    let history =
        until(async || Some(at(url, "history orders").await.out).filter(|out| out.contains("restored")))
            .await;
    let back = v1::WatchRequest {
        writer_slot: Some(registered.writer_slot),
        ..watch(1, registered.history_id.clone())
    };
    let mut again = until(async || routing.watch(back.clone()).await.ok()).await.into_inner();
    let Some(v1::watch_response::Kind::Registered(anew)) = again.message().await.unwrap().unwrap().kind
    else {
        panic!("it is registered first");
    };
    assert_ne!(anew.history_id, registered.history_id);
    assert!(
        history.contains("instance a holds revision 40, this store is at 1: was it restored?"),
        "{history}"
    );
    controller.stop().await;
}

/// What is there in the end.
async fn until<T>(mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_changes_are_committed_is_of_one_moment() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    let url = controller.url.as_str();
    at(url, "create orders --source ddb --target mysql").await.done();
    let mut admin = controller.admin().await;
    let pinning = tokio::spawn(async move {
        for n in 0.. {
            let pin = v1::SetPinRequest {
                key: "orders".to_owned(),
                tenant: format!("tenant-{}", n % 50),
                rung: if n % 3 == 0 { v1::Rung::SourceOnly } else { v1::Rung::Dual }.into(),
                wait: true,
                ..Default::default()
            };
            admin.set_pin(pin).await.unwrap();
        }
    });
    let mut revisions = BTreeSet::new();
    for n in 0..8 {
        let file = dir.path().join(format!("backup-{n}.db"));
        at(url, &format!("backup {}", file.display())).await.done();
        let store = open_store(&format!("sqlite:{}", file.display())).await.unwrap();
        let (state, events) = (store.snapshot().await.unwrap(), store.changes(0, 100_000).await.unwrap());
        let [migration] = state.migrations.as_slice() else { panic!("one is there") };
        let newest = events.last().unwrap();
        assert_eq!((state.revision, migration.revision), (newest.revision, newest.revision), "backup {n}");
        assert_eq!(Some(&*migration.document), newest.document.as_ref(), "backup {n}");
        let mut tenants = BTreeMap::new();
        for (tenant, row) in events.iter().flat_map(|event| &event.rows) {
            match row {
                Some(row) => tenants.insert(tenant.clone(), *row),
                None => tenants.remove(tenant),
            };
        }
        let stored: BTreeMap<_, _> =
            migration.tenants.iter().map(|(tenant, row)| (tenant.clone(), *row)).collect();
        assert_eq!(stored, tenants, "backup {n}");
        revisions.insert(state.revision);
    }
    assert!(revisions.len() > 4, "changes were committed meanwhile: {revisions:?}");
    pinning.abort();
    controller.stop().await;
}
