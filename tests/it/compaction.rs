//! The history is kept within bounds, behind commits, and nobody misses what was dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cutover::{
    config::{Config, Serve},
    domain::{Change, Deletion},
    service::{HistoryLimits, Registry, compaction},
    store::{
        Commit, CursorRecord, Dropped, HistoryQuery, InstanceRecord, Store, Upkeep,
        memory::{Call, Fault, MemoryStore},
        open_store,
    },
};
use cutover_proto::v1;
use tempfile::TempDir;

use crate::support::{commit, create, describe, key, make, server::Controller};

/// Commits events up to a revision, the newest of them half a day old and each a day older than the next.
async fn fill(store: &dyn Store, upto: u64) {
    let now_ms = cutover_clock::now_ms();
    let mut migration = None;
    for revision in 1..=upto {
        let change = if revision == 1 { create() } else { describe(format!("change {revision}")) };
        let Commit { expected, mut event } = commit(migration.as_ref(), &key("orders"), &change, revision);
        event.at_ms = now_ms - (2 * (upto - revision) + 1) * 12 * 3_600 * 1_000;
        event.request_id = format!("r-{revision}");
        store.commit(&Commit { expected, event: event.clone() }).await.unwrap();
        let document = event.document.unwrap();
        migration = Some(cutover::domain::Migration::new(revision, document, Default::default()));
    }
}

async fn first_kept(store: &dyn Store) -> u64 {
    store.changes(store.dropped().await.unwrap().through, 1).await.unwrap()[0].revision
}

/// Until so much is dropped. The compaction runs by itself, and time is paused.
async fn dropped(store: &dyn Store, through: u64) {
    while store.dropped().await.unwrap().through != through {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_expires_is_dropped_in_parts_and_commits_go_between() {
    let store = MemoryStore::default();
    fill(&store, 3_000).await;
    let compactions = Arc::new(AtomicU64::new(0));
    let counted = compactions.clone();
    // Every third one fails, before or after it was done.
    store.fail_by(move |call| match (call, counted.load(Ordering::Relaxed) % 6) {
        (Call::Compact, at) => {
            counted.fetch_add(1, Ordering::Relaxed);
            [None, None, Some(Fault::Before), None, None, Some(Fault::After)][at as usize]
        }
        _ => None,
    });
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let registry = Arc::new(Registry::load(shared.clone()).await.unwrap().0);
    let limits = HistoryLimits { days: 10_000, events: 1_200 };
    let running = tokio::spawn(compaction::run(shared, registry.clone(), limits));
    dropped(&store, 500).await;
    make(&store, &key("orders"), &describe("in between")).await;
    registry.catch_up().await.unwrap();
    dropped(&store, 1_801).await;
    assert_eq!(first_kept(&store).await, 1_802);
    assert!(compactions.load(Ordering::Relaxed) >= 5, "in parts");
    // By age: days that pass without a commit.
    running.abort();
    let (registry, _) = Registry::load(Arc::new(store.clone())).await.unwrap();
    let limits = HistoryLimits { days: 400, events: 1_200 };
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let running = tokio::spawn(compaction::run(shared, Arc::new(registry), limits));
    dropped(&store, 2_600).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_says_where_its_history_begins_and_keeps_what_is_needed() {
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite:{}", dir.path().join("cutover.db").display());
    let store = open_store(&url).await.unwrap();
    fill(&*store, 2_000).await;
    // An endpoint that nobody listens to any more has got this far.
    let cursor = CursorRecord { endpoint: "ops".to_owned(), revision: 700 };
    store.keep(&Upkeep { put_cursors: vec![cursor], ..Upkeep::default() }).await.unwrap();
    let webhook = vec!["ops=http://127.0.0.1:9/hook".to_owned()];
    let flags = Serve { keep_history_events: Some(1_000), webhook, ..Serve::default() };
    let limited = Serve { webhook: Vec::new(), ..flags.clone() };

    let controller = Controller::start_with(dir.path(), 0, flags).await;
    let through = async |at: u64| {
        while store.dropped().await.unwrap().through < at {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        store.dropped().await.unwrap().through
    };
    // Kinds that are not told move the cursor on: 'update' is not one of those that are.
    let held = through(700).await;
    let cursor = store.snapshot().await.unwrap().cursors[0].revision;
    assert!(held <= cursor, "{held} was dropped, {cursor} was told");
    controller.stop().await;

    let controller = Controller::start_with(dir.path(), 0, limited).await;
    assert_eq!(through(1_600).await, 1_600, "400 days are less than 1,000 changes here");
    let Dropped { through, at_ms } = store.dropped().await.unwrap();
    let mut admin = controller.admin().await;
    let request = v1::ListHistoryRequest { page_size: 1_000, ..Default::default() };
    let page = admin.list_history(request.clone()).await.unwrap().into_inner();
    assert_eq!((page.dropped_through, page.dropped_at_ms, page.next), (through, at_ms, 0));
    assert_eq!(page.events.last().unwrap().revision, through + 1);
    let oldest_first = v1::ListHistoryRequest { oldest_first: true, ..request };
    let page = admin.list_history(oldest_first).await.unwrap().into_inner();
    assert_eq!((page.dropped_through, page.events[0].revision), (through, through + 1));

    let again = async |request_id: &str| {
        let request_id = request_id.to_owned();
        let mutation = Some(v1::Mutation { request_id, ..Default::default() });
        let description = Some("again".to_owned());
        let key = "orders".to_owned();
        let request = v1::UpdateMigrationRequest { mutation, key, description, ..Default::default() };
        controller.admin().await.update_migration(request).await.unwrap().into_inner()
    };
    assert!(again("r-1900").await.repeated, "its event is kept");
    assert!(!again("r-100").await.repeated, "its event was dropped: it is a new request");
    let status = v1::GetMigrationRequest { key: "orders".to_owned() };
    assert_eq!(admin.get_migration(status).await.unwrap().into_inner().description, "again");
    let all = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    assert_eq!(store.history(&all).await.unwrap()[0].revision, 2_001);
    controller.stop().await;
}

#[tokio::test]
async fn callers_of_a_deleted_migration_are_forgotten_at_the_next_start() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    for name in ["orders", "users"] {
        make(&*store, &key(name), &create()).await;
        let put_instances = vec![InstanceRecord::callers(&key(name))];
        store.keep(&Upkeep { put_instances, ..Upkeep::default() }).await.unwrap();
    }
    make(&*store, &key("users"), &Change::Delete(Deletion::default())).await;
    let (registry, _) = Registry::load(store.clone()).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().instances, [InstanceRecord::callers(&key("orders"))]);
    assert!(registry.state().entry(&key("orders")).unwrap().is_known_to_be_asked());
}

#[test]
fn limits_that_are_too_low_are_refused() {
    let days = Serve { keep_history_days: Some(0), ..Serve::default() };
    let events = Serve { keep_history_events: Some(999), ..Serve::default() };
    let connections = Serve { http_connections_per_address: Some(0), ..Serve::default() };
    let grpc = Serve { grpc_connections_per_address: Some(0), ..Serve::default() };
    let calls = Serve { calls_per_address: Some(0), ..Serve::default() };
    for (serve, says) in [
        (grpc, "--grpc-connections-per-address must be at least 1; got 0"),
        (calls, "--calls-per-address must be at least 1; got 0"),
        (connections, "--http-connections-per-address must be at least 1; got 0"),
        (days, "--keep-history-days must be at least 1; got 0"),
        (events, "--keep-history-events must be at least 1000; got 999"),
    ] {
        assert_eq!(Config::load(serve).unwrap_err().to_string(), says);
    }
    let defaults = Config::load(Serve::default()).unwrap();
    assert_eq!((defaults.keep_history_days, defaults.keep_history_events), (400, 1_000_000));
    assert_eq!(defaults.calls_per_address, None, "nobody is refused by it unless it is given");
}
