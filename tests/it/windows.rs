//! What was reported survives restarts: exactly, or with what is counted as lost.

mod killed;

use std::sync::{Arc, LazyLock};

use cutover::{
    domain::{Change, Deletion, Scale},
    service::{Registry, WindowQuery, Windows, windows},
    store::{
        Store,
        memory::{Call, Fault, MemoryStore},
        sqlite::SqliteStore,
    },
    telemetry::{Ingest, Known, now_ms},
};
use cutover_core::histogram::Histogram;
use cutover_proto::v1;
use tempfile::TempDir;

use crate::support::{create, describe, key, make};

/// A half hour that is over and still stored, in milliseconds of Unix time.
static NOON: LazyLock<u64> = LazyLock::new(|| (now_ms() / 1_800_000 - 1) * 1_800_000);

/// A controller's telemetry without its network: it can be stopped or killed at any point.
struct World {
    dir: TempDir,
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    ingest: Arc<Ingest>,
    windows: Windows,
}

impl World {
    async fn fresh() -> Self {
        Self::open(TempDir::new().unwrap()).await
    }

    async fn open(dir: TempDir) -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir.path().join("cutover.db")).await.unwrap());
        let (registry, kept) = Registry::load(store.clone()).await.unwrap();
        let registry = Arc::new(registry);
        let ingest = Arc::new(windows::ingest(kept.heard, ["a", "b"].into_iter()));
        let windows = Windows::new(store.clone(), registry.clone(), ingest.clone());
        Self { dir, store, registry, ingest, windows }
    }

    /// Kill -9, and a restart.
    async fn killed(self) -> Self {
        Self::open(self.dir).await
    }

    async fn make(&self, change: &Change) {
        make(&*self.store, &key("orders"), change).await;
        self.registry.catch_up().await.unwrap();
    }

    fn report(&self, sequence: u64, cells: Vec<v1::Cell>, now_ms: u64) -> bool {
        let report = v1::ReportRequest { instance_id: "a".to_owned(), sequence, cells, ..Default::default() };
        let known = |key: &str| windows::known(&self.registry, key);
        self.ingest.accept_known(&report, self.registry.state().revision, known, now_ms).is_new
    }

    async fn hits(&self, scale: Scale) -> Vec<(u64, u64)> {
        let query = WindowQuery { key: key("orders"), scale, from: 0, before: u64::MAX };
        let windows = self.windows.windows(&query).await.unwrap();
        windows.into_iter().map(|(at, counts)| (at, counts.events.hit)).collect()
    }
}

fn cell(revision: u64, hit: u64) -> v1::Cell {
    let mut latency = Histogram::default();
    (0..hit).for_each(|_| latency.record_us(5_000));
    let calls = v1::StoreCalls {
        store: v1::StoreRole::Target.into(),
        operation: v1::Operation::Read.into(),
        calls: hit,
        latency_us: Some(v1::Histogram::from(&latency)),
        ..Default::default()
    };
    v1::Cell { migration: "orders".to_owned(), revision, hit, stores: vec![calls], ..Default::default() }
}

#[tokio::test]
async fn counts_are_the_same_by_second_minute_and_half_hour_over_restarts() {
    let mut world = World::fresh().await;
    world.make(&create()).await;
    let mut sequence = 0;
    for part in 0..4 {
        for second in 0..45 {
            sequence += 1;
            assert!(world.report(sequence, vec![cell(1, 2)], *NOON + (part * 45 + second) * 1_000 + 500));
            if second % 7 == 0 {
                // In the middle of seconds, minutes and half hours, and with reads in between.
                world.windows.save().await.unwrap();
                world.hits(Scale::Minute).await;
            }
        }
        world.windows.save().await.unwrap();
        world = world.killed().await;
    }
    let noon_s = *NOON / 1_000;
    assert_eq!(world.hits(Scale::HalfHour).await, [(noon_s, 360)]);
    let minutes = [(noon_s, 120), (noon_s + 60, 120), (noon_s + 120, 120)];
    assert_eq!(world.hits(Scale::Minute).await, minutes);
    assert_eq!(world.hits(Scale::Revision).await, [(1, 360)]);
    assert_eq!(world.windows.since(&key("orders"), 1).await.unwrap().calls[2].calls, 360);
}

#[tokio::test]
async fn a_save_that_is_dropped_loses_nothing_and_counts_nothing_twice() {
    let world = World::fresh().await;
    world.make(&create()).await;
    assert!(world.report(1, vec![cell(1, 7)], *NOON));
    for _ in 0..3 {
        let dropped = tokio::time::timeout(std::time::Duration::ZERO, world.windows.save()).await;
        drop(dropped);
    }
    world.windows.save().await.unwrap();
    let world = world.killed().await;
    assert_eq!(world.hits(Scale::Revision).await, [(1, 7)]);
}

#[tokio::test]
async fn what_a_step_has_shown_since_its_revision_is_the_same_after_a_restart() {
    let world = World::fresh().await;
    world.make(&create()).await;
    world.make(&describe("a step")).await;
    world.make(&describe("another")).await;
    world.report(1, vec![cell(1, 1), cell(2, 10), cell(3, 100)], *NOON);
    world.windows.save().await.unwrap();
    // Counted, but not stored yet.
    world.report(2, vec![cell(2, 20), cell(3, 200)], *NOON);
    let since = async |world: &World, revision| {
        world.windows.since(&key("orders"), revision).await.unwrap().events.hit
    };
    for (revision, hit) in [(0, 331), (1, 331), (2, 330), (3, 300), (4, 0)] {
        assert_eq!(since(&world, revision).await, hit, "since {revision}");
    }
    world.windows.save().await.unwrap();
    let world = world.killed().await;
    assert_eq!((since(&world, 2).await, since(&world, 3).await), (330, 300));
}

#[tokio::test]
async fn a_report_is_counted_once_whenever_the_controller_dies() {
    let world = World::fresh().await;
    world.make(&create()).await;
    world.ingest.registered("a", 77, *NOON);
    (1..=4).for_each(|sequence| assert!(world.report(sequence, vec![cell(1, 1)], *NOON)));
    world.windows.save().await.unwrap();
    (5..=8).for_each(|sequence| assert!(world.report(sequence, vec![cell(1, 1)], *NOON)));
    let world = world.killed().await;
    world.ingest.registered("a", 77, *NOON);
    assert!(!world.report(4, vec![cell(1, 1)], *NOON), "its answer was lost, its counts are kept");
    assert!(world.report(8, vec![cell(1, 1)], *NOON), "its counts went with the process");
    assert!(!world.report(8, vec![cell(1, 1)], *NOON));
    assert_eq!(world.ingest.view(*NOON).lost_reports, 3, "5, 6 and 7 were acknowledged and are lost");
    assert_eq!(world.hits(Scale::Revision).await, [(1, 5)], "8 reports, less those 3");
}

#[tokio::test]
async fn a_deleted_migrations_windows_are_gone_and_late_reports_do_not_bring_them_back() {
    let world = World::fresh().await;
    world.make(&create()).await;
    world.report(1, vec![cell(1, 5)], *NOON);
    world.windows.save().await.unwrap();
    world.report(2, vec![cell(1, 5)], *NOON);
    world.make(&Change::Delete(Deletion::default())).await;
    world.windows.forget("orders").await;
    world.report(3, vec![cell(1, 5)], *NOON);
    assert!(world.hits(Scale::HalfHour).await.is_empty());
    world.make(&create()).await;
    // Decided under an earlier migration with this key.
    world.report(4, vec![cell(1, 5), cell(2, 5)], *NOON);
    world.windows.save().await.unwrap();
    assert_eq!((world.hits(Scale::HalfHour).await, world.ingest.keys().len()), (vec![], 0));
    world.report(5, vec![cell(3, 7)], *NOON);
    world.windows.save().await.unwrap();
    assert_eq!(world.hits(Scale::Revision).await, [(3, 7)]);
    assert_eq!(world.ingest.view(*NOON).unknown_cells, 3);
}

#[tokio::test]
async fn counts_that_the_store_may_have_taken_are_counted_at_most_once_and_shown_as_dropped() {
    let dropped = async |fails: fn(Call) -> Option<Fault>| {
        let store = Arc::new(MemoryStore::default());
        let shared: Arc<dyn Store> = store.clone();
        make(&*shared, &key("orders"), &create()).await;
        let registry = Arc::new(Registry::load(shared.clone()).await.unwrap().0);
        let ingest = Arc::new(Ingest::default());
        let windows = Windows::new(shared, registry.clone(), ingest.clone());
        let report = |sequence| {
            let cells = vec![cell(1, 7)];
            let report =
                v1::ReportRequest { instance_id: "a".to_owned(), sequence, cells, ..Default::default() };
            assert!(ingest.accept_known(&report, 1, |key| windows::known(&registry, key), *NOON).is_new);
        };
        report(1);
        store.fail_by(fails);
        assert!(windows.save().await.is_err());
        store.fail_by(|_| None);
        report(2);
        windows.save().await.unwrap();
        (windows.since(&key("orders"), 1).await.unwrap().events.hit, ingest.dropped_cells())
    };
    // Of the migration's revision, a second, a minute and a half hour.
    assert_eq!(dropped(|_| Some(Fault::After)).await, (14, 4), "the answer was lost");
    assert_eq!(dropped(|_| Some(Fault::Lost)).await, (7, 4), "it was not done");
    assert_eq!(dropped(|_| panic!("as asked for")).await, (7, 4));
    assert_eq!(dropped(|_| Some(Fault::Before)).await, (14, 0), "it is sent again");
}

#[test]
fn a_clock_that_jumps_breaks_no_count() {
    let ingest = Ingest::default();
    let known = |_: &str| Some(Known::default());
    let times = [*NOON, *NOON - 3_600_000, 0, *NOON + 9, u64::MAX, 5, *NOON];
    for (at, now_ms) in times.into_iter().enumerate() {
        let sequence = at as u64 + 1;
        let cells = vec![cell(1, 1)];
        let report = v1::ReportRequest { instance_id: "a".to_owned(), sequence, cells, ..Default::default() };
        assert!(ingest.accept_known(&report, 1, known, now_ms).is_new);
        assert!(ingest.rates("orders", now_ms)[0].calls_per_s >= 0.1);
        if at % 2 == 1 {
            let taken = ingest.take().windows;
            let hits = taken.iter().filter(|(id, _)| id.scale == Scale::Second);
            assert_eq!(hits.map(|(_, counts)| counts.events.hit).sum::<u64>(), 2, "at {now_ms}");
        }
    }
}
