//! Two stores in memory with injected faults, and a migrator whose rung is set by hand.
// Each test binary uses a part of this.
#![allow(dead_code)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cutover_client::{
    migrator::{Migrator, Options, Parts, Stamper},
    report::{ErrorClass, Event, Recorder},
    routing::{Band, PPM, Policy, Route, Rung, Table},
    store::{Fault, Faulty, Id, MemoryStore, Record, Store, StoreError, Version, now_ms_since_2025},
    watch::Current,
};

pub(crate) const TENANT: &str = "acme";
pub(crate) const KEY: &str = "order-1";

fn migrator(
    current: &Arc<Current>,
    recorder: &Arc<Recorder>,
    source: &Arc<Faulty<MemoryStore>>,
    target: Arc<dyn Store>,
) -> Migrator {
    Migrator::new(Parts {
        current: current.clone(),
        recorder: recorder.clone(),
        migration: "orders".to_owned(),
        stamper: Arc::new(Stamper::new(1).expect("a slot")),
        source: source.clone(),
        target,
        options: Options::default(),
    })
}

pub(crate) struct World {
    pub(crate) current: Arc<Current>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) source: Arc<Faulty<MemoryStore>>,
    pub(crate) target: Arc<Faulty<MemoryStore>>,
    pub(crate) migrator: Migrator,
    policy: Policy,
    revision: AtomicU64,
}

impl World {
    /// Everybody at this rung; no shadow reads.
    pub(crate) fn at(rung: Rung) -> Self {
        Self::with(rung, Policy { shadow_ppm: 0, ..Policy::default() })
    }

    pub(crate) fn with(rung: Rung, policy: Policy) -> Self {
        let current = Arc::new(Current::default());
        let recorder = Arc::new(Recorder::new());
        let source = Arc::new(Faulty::new(Arc::new(MemoryStore::new())));
        let target = Arc::new(Faulty::new(Arc::new(MemoryStore::new())));
        let migrator = migrator(&current, &recorder, &source, target.clone());
        let world = Self { current, recorder, source, target, migrator, policy, revision: 0.into() };
        world.go_to(rung);
        world
    }

    /// From this source to another target; counts apart.
    pub(crate) fn to(&self, target: Arc<dyn Store>) -> Migrator {
        migrator(&self.current, &Arc::default(), &self.source, target)
    }

    /// The controller's next revision: everybody at this rung.
    pub(crate) fn go_to(&self, rung: Rung) {
        self.route(Route { rung, ..Route::DEFAULT });
    }

    pub(crate) fn route(&self, route: Route) {
        let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        let mut snapshot = self.current.snapshot().unwrap_or_default();
        let table = Table::new(revision, "orders", &[Band { upto_ppm: PPM, route }], self.policy);
        snapshot.insert("orders", Ok(Arc::new(table)));
        snapshot.set_revision(revision);
        self.current.replace(snapshot);
    }

    /// Whether every operation begun under an older revision has ended.
    pub(crate) fn quiesced(&self) -> bool {
        self.current.applied_revision() == self.current.received_revision()
    }

    pub(crate) async fn get(&self) -> Option<Vec<u8>> {
        self.migrator.get_bytes(TENANT, KEY).await.expect("readable")
    }

    pub(crate) async fn put(&self, value: &str) -> Version {
        self.migrator.put_bytes(TENANT, KEY, value.into()).await.expect("acknowledged")
    }

    pub(crate) fn count(&self, event: Event) -> u64 {
        self.recorder.total("orders", event)
    }
}

pub(crate) fn id() -> Id {
    Id::new(TENANT, KEY).expect("valid")
}

/// What a store holds.
pub(crate) async fn held(store: &Faulty<MemoryStore>) -> Option<Record> {
    store.inner().get(&id()).await.expect("memory does not fail")
}

/// Stores a record of an hour ago, as if by an older write.
pub(crate) fn seed(store: &Faulty<MemoryStore>, value: Option<&str>) -> Version {
    let version = Version::new(now_ms_since_2025() - 3_600_000, 0, 9).expect("fits");
    store.inner().insert(id(), Record { version, value: value.map(Into::into) });
    version
}

pub(crate) fn down() -> Fault {
    Fault::Refuse(StoreError::NotApplied { class: ErrorClass::Connection, what: "down".to_owned() })
}

pub(crate) fn answer_lost() -> Fault {
    Fault::Lose(StoreError::Indeterminate { class: ErrorClass::Timeout, what: "lost".to_owned() })
}
