//! What was acknowledged survives `kill -9`; everything else is there as a whole or not at all.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use cutover::store::{Store, sqlite::SqliteStore};
use cutover_core::routing::Rung;
use rand::RngExt;

use crate::support::{commit, create, key, make, pin, plain, replay};

const PATH: &str = "CUTOVER_TEST_CRASH_PATH";
const ROWS: usize = 20;

/// Not a test by itself: the process that is killed. It prints each revision once it is committed.
#[tokio::test]
async fn child() {
    let Some(path) = env::var_os(PATH) else { return };
    let store = SqliteStore::open(path).await.unwrap();
    let orders = key("orders");
    if store.snapshot().await.unwrap().revision == 0 {
        make(&store, &orders, &create()).await;
    }
    let mut migration = store.snapshot().await.unwrap().migrations.remove(0);
    loop {
        let revision = migration.revision + 1;
        let tenants = (0..ROWS).map(|n| format!("{revision}-{n}"));
        let change = commit(Some(&migration), &orders, &pin(tenants, Rung::Mirrored), revision);
        store.commit(&change).await.unwrap();
        writeln!(std::io::stdout(), "committed {revision}").unwrap();
        let event = change.event;
        migration.replay(revision, event.document.unwrap(), &event.rows);
    }
}

#[tokio::test]
async fn acknowledged_commits_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cutover.db");
    let mut acknowledged = 0;
    for round in 0..8 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut committed =
            lines.filter_map(|line| line.split("committed ").nth(1)?.trim().parse::<u64>().ok());
        // It keeps committing while these are read: the kill falls anywhere in a commit.
        for _ in 0..rand::rng().random_range(1..40) {
            acknowledged = committed.next().expect("the child commits until it is killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = committed.last().unwrap_or(acknowledged);

        let store = SqliteStore::open(&path).await.unwrap();
        let state = store.snapshot().await.unwrap();
        assert!(
            (acknowledged..=acknowledged + 1).contains(&state.revision),
            "round {round}: acknowledged {acknowledged}, found {}",
            state.revision
        );
        let events = store.changes(0, u32::MAX).await.unwrap();
        assert!(events.iter().map(|event| event.revision).eq(1..=state.revision), "no holes");
        assert_eq!(state.migrations[0].tenants.len() as u64, (state.revision - 1) * ROWS as u64, "none half");
        assert_eq!(replay(&events), plain(&state.migrations));
    }
}
