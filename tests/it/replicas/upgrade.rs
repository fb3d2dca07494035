//! Two versions beside each other: the controllers are replaced one after the other, while services go on.
//!
//! `tests/upgrade REVISION` builds an older version and names its program in `CUTOVER_TEST_OLD`. Without that, both
//! versions are this one.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use cutover_client::store::{MemoryStore, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    process::Command,
    sync::oneshot::{Receiver, error::TryRecvError},
    time::{sleep, timeout},
};

use super::{
    clients::{Service, url},
    is_whole,
    replica::{Replica, Writer, create, leader},
};
use crate::{
    sidecar::client::{empty_tables, is_ready, json_on},
    store::schema::{Kind, Schema},
};

/// A service with the old version's SDK: its sidecar, called until `stop`. Returns how many writes were made.
async fn through_a_sidecar(program: PathBuf, servers: String, mut stop: Receiver<()>) -> usize {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    empty_tables(at, "").await;
    let _sidecar = Command::new(program)
        .args(["sidecar", "--service", "old-api", "--spec", "orders.toml", "--socket", "s"])
        .env("CUTOVER_SERVER", servers)
        .current_dir(at)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let socket = at.join("s");
    while !is_ready(&socket).await {
        sleep(Duration::from_millis(20)).await;
    }
    for number in 0.. {
        let put = json!({ "tenant": "old", "key": format!("order-{number}"), "json": "{\"paid\": true}" });
        let (status, answer) = json_on(&socket, "Put", &put).await;
        assert_eq!(status, 200, "{answer}");
        if stop.try_recv() != Err(TryRecvError::Empty) {
            return number + 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_are_replaced_by_another_version_while_services_go_on() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let new = Path::new(env!("CARGO_BIN_EXE_cutover"));
    let old = std::env::var_os("CUTOVER_TEST_OLD").map_or_else(|| new.to_owned(), PathBuf::from);
    let mut replicas =
        vec![Replica::start_as(&old, &schema.url).await, Replica::start_as(&old, &schema.url).await];
    let leads = leader(&replicas).await;
    create(&replicas[leads]).await;
    replicas[1 - leads].on_standby().await;

    let servers = replicas.iter().map(url).collect::<Vec<_>>().join(",");
    let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new())];
    let mut services = Vec::new();
    for number in 0..4 {
        services.push(Service::start(&servers, number, &stores).await);
    }
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let old_service = tokio::spawn(through_a_sidecar(old.clone(), servers.clone(), stopped));
    let writer = Writer::start(&replicas).await;
    writer.more(5).await;

    replicas[1 - leads].replace(new).await;
    replicas[1 - leads].on_standby().await;
    assert!(replicas[leads].leads().await, "replacing a standby changes nothing");
    writer.more(5).await;

    replicas[leads].replace(new).await;
    writer.more(5).await;
    assert_eq!(leader(&replicas).await, 1 - leads);
    // An old command at a new controller.
    let listed = Command::new(&old).args(["list", "--server", &servers]).output().await.unwrap();
    assert!(
        listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("orders"),
        "{listed:?}"
    );

    // And back, because the new version has a fault: the old one is on standby, and leads again only if the format is
    // unchanged.
    replicas[leads].replace(&old).await;
    let stands_by = async |replica: &Replica| {
        // "another one leads" or, with another format, "can't lead now".
        while !replica.probe("/readyz").await.is_some_and(|(_, words)| words.contains("is on standby")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), stands_by(&replicas[leads])).await.expect("it is on standby");
    writer.more(5).await;

    stop.send(()).unwrap();
    let through_sidecar = old_service.await.unwrap();
    let mut done = 0;
    for service in services {
        done += service.stop().await;
    }
    is_whole(&schema, &writer.stop().await).await;
    eprintln!("{done} decisions and writes, and {through_sidecar} writes of an old SDK; none failed");
    assert!(done > 100 && through_sidecar > 10, "{done} {through_sidecar}");
}
