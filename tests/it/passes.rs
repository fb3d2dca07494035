//! Passes: shared by workers, continued after deaths, and reported truthfully.

mod compare;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
mod connections;
#[cfg(feature = "sqlite")]
mod expiring;
mod hooked;
mod kept;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
mod ledger;
mod limits;
mod misfits;
mod no_room;
mod order;
#[cfg(feature = "sqlite")]
mod record_types;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod refused;
mod retried;
mod sharing;
mod source_versions;
mod source_wins;
mod tables;
#[cfg(feature = "sqlite")]
mod target_only;
mod unversioned;
mod witness;

use std::{sync::Arc, time::Duration};

use cutover::jobs::{self, Limits, Plan, Stores, worker};
use cutover_proto::v1;
use cutover_store::{Id, MemoryStore, Record, Store, Version};
use tempfile::TempDir;

use crate::support::server::Controller;

const KEY: &str = "orders";
const RECORDS: u64 = 3_000;

fn plan(kind: v1::PassKind) -> Plan {
    Plan {
        migration: KEY.to_owned(),
        kind,
        repair: false,
        remove_extra: false,
        source_wins: false,
        new_tables: Default::default(),
        values: None,
        reason: String::new(),
        sample_ppm: 1_000_000,
        expected: None,
        source_first: true,
        fingerprint: "f".to_owned(),
        prefixes: Default::default(),
        segments: 4,
        on_target: match kind {
            v1::PassKind::Verify | v1::PassKind::Sample => 2,
            v1::PassKind::Reverse | v1::PassKind::Sweep => 4,
            _ => 0,
        },
        parallel: 2,
        statements: 2,
        way_back: None,
        ttl: None,
        residual: Duration::ZERO,
        tuning: v1::Tuning::default(),
        limits: Limits { chunk_bytes: 16 << 10, ..Limits::default() },
        actor: "operator:ada".to_owned(),
        access: cutover_client::Access::default(),
    }
}

fn id(n: u64) -> Id {
    Id::new(&format!("shop-{}", n % 7), &format!("order-{n}")).unwrap()
}

fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(vec![b'x'; 100]) }
}

fn tombstone(version: u64) -> Record {
    Record { version: Version(version), value: None }
}

/// Two stores, and the settings of a pass.
struct World {
    source: Arc<MemoryStore>,
    target: Arc<MemoryStore>,
    quarantine: Arc<MemoryStore>,
}

impl World {
    fn new() -> Self {
        let store = || Arc::new(MemoryStore::new());
        Self { source: store(), target: store(), quarantine: store() }
    }

    fn stores(&self) -> Stores {
        Stores {
            source: self.source.clone(),
            target: self.target.clone(),
            quarantine: Some(self.quarantine.clone()),
        }
    }
}

fn filled() -> World {
    let world = World::new();
    for n in 0..RECORDS {
        world.source.insert(id(n), if n % 10 == 0 { tombstone(n + 1) } else { record(n + 1) });
    }
    world
}

async fn create(controller: &Controller) {
    let mutation = v1::Mutation { actor: "operator:ada".to_owned(), ..Default::default() };
    let request = v1::CreateMigrationRequest {
        mutation: Some(mutation),
        key: KEY.to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        ..Default::default()
    };
    controller.admin().await.create_migration(request).await.unwrap();
}

/// A controller with the migration in it.
async fn started() -> (TempDir, Controller) {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    create(&controller).await;
    (dir, controller)
}

/// Stops a worker cleanly once its job is in this state.
async fn run_until(controller: &Controller, stores: &Stores, plan: &Plan, is_it: fn(&v1::Job) -> bool) {
    let (seen, mut sees) = tokio::sync::watch::channel(false);
    let told = move |job: &v1::Job| _ = seen.send_replace(is_it(job));
    let stop = async { _ = sees.wait_for(|seen| *seen).await };
    let stopped = worker::run(&controller.url, stores, plan, told, stop).await;
    assert!(matches!(stopped, Err(jobs::Error::Stopped)), "{stopped:?}");
}

async fn run(controller: &Controller, stores: &Stores, plan: &Plan) -> Result<v1::Evidence, jobs::Error> {
    worker::run(&controller.url, stores, plan, |_| {}, std::future::pending()).await
}

/// The counts of a pass, or zeros.
fn counts(evidence: &v1::Evidence) -> v1::PassCounts {
    evidence.counts.unwrap_or_default()
}

fn found(evidence: &v1::Evidence) -> v1::Differences {
    counts(evidence).found.unwrap_or_default()
}

async fn get(store: &MemoryStore, n: u64) -> Option<Record> {
    store.get(&id(n)).await.unwrap()
}
