//! At level linearizable a rollback goes through `hold`, where nobody is served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover::{
    domain::{Ask, Change, Gate, Policy, Shares},
    service::{Acknowledging, Asking, Fenced, Instances, Operate, Registry, operate::RequestMeta},
    store::{InstanceRecord, Store, memory::MemoryStore},
};
use cutover_core::routing::{Level, PPM, Rung};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{create, key};

const DRAIN: Duration = Duration::from_secs(20);

struct World {
    registry: Arc<Registry>,
    instances: Arc<Instances>,
    operate: Arc<Operate>,
}

impl World {
    /// A controller as it runs, with a migration at level linearizable.
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (registry, kept) = Registry::load(store.clone()).await.unwrap();
        let registry = Arc::new(registry);
        let (instances, queue) = Instances::new(store.clone(), &registry, kept.instances);
        let instances = Arc::new(instances);
        let operate = Arc::new(Operate::new(store, registry.clone(), instances.clone()));
        let world = Self { registry, instances, operate };
        let (instances, registry, operate) =
            (world.instances.clone(), world.registry.clone(), world.operate.clone());
        tokio::spawn({
            let instances = instances.clone();
            async move { instances.keep(queue).await }
        });
        tokio::spawn(async move { instances.watch_leases(&registry, |_| {}).await });
        tokio::spawn(async move { operate.take_steps().await });
        let Change::Create { salt, source, target, description, confirm, .. } = create() else {
            panic!("it creates one")
        };
        let policy = Policy { level: Level::Linearizable, fence_after_ms: 5_000, ..Policy::default() };
        world.ask(Change::Create { salt, source, target, description, policy, confirm }).await;
        world
    }

    async fn ask(&self, change: Change) {
        let by = RequestMeta { reason: "a test".to_owned(), ..RequestMeta::default() };
        self.operate.change(&key("orders"), &change, &by).await.unwrap();
    }

    fn rung(&self) -> Rung {
        self.registry.state().entry(&key("orders")).unwrap().migration.document.bands.of(0).rung
    }

    async fn until(&self, is_there: impl Fn(Rung) -> bool) {
        let wait = async {
            while !is_there(self.rung()) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(120), wait).await.expect("in the end");
    }

    /// An instance that acknowledges everything at once, until it crashes.
    async fn instance(&self, id: &'static str) -> Arc<AtomicBool> {
        let record = InstanceRecord {
            instance_id: id.to_owned(),
            service: "orders-api".to_owned(),
            incarnation: 1,
            drain_ms: DRAIN.as_millis() as u32,
            ..InstanceRecord::default()
        };
        let at = {
            let state = self.registry.state();
            Fenced { revision: state.revision, has_fence: state.fences.newest.is_some() }
        };
        let registered = self.instances.register(Asking { record, ..Asking::default() }, at).await.unwrap();
        let connected = self.instances.clone().connected(registered.who.clone());
        let crashed = Arc::new(AtomicBool::new(false));
        let (registry, instances, has_crashed) =
            (self.registry.clone(), self.instances.clone(), crashed.clone());
        tokio::spawn(async move {
            while !has_crashed.load(SeqCst) {
                let revision = registry.state().revision;
                let said = Acknowledging {
                    received: revision,
                    applied: revision,
                    admission: registered.admission,
                    fences: revision,
                };
                instances.acknowledge(id, 1, &said).unwrap();
                sleep(Duration::from_millis(500)).await;
            }
            drop(connected);
        });
        crashed
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_crashed_keeps_nobody_there_longer_than_its_right_to_act_lasts() {
    let world = World::new().await;
    let _alive = world.instance("alive").await;
    let crashes = world.instance("crashes").await;
    let shares = Shares { target_first_ppm: Some(PPM), ..Shares::default() };
    let ask = Ask { wait: true, overrides: vec![Gate::FullPass] };
    world.ask(Change::SetRollout { shares, ask }).await;
    world.until(|rung| rung == Rung::TargetFirst).await;
    // Everybody has acknowledged that step when it crashes.
    sleep(Duration::from_secs(2)).await;
    crashes.store(true, SeqCst);
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    world.ask(Change::Rollback { tenant: None }).await;
    assert_eq!(world.rung(), Rung::Hold);
    world.until(|rung| rung != Rung::Hold).await;
    let held = began.elapsed();
    assert_eq!(world.rung(), Rung::Dual);
    // It was last heard up to 1.5 s before. Its last calls may take so long after its lease.
    let counted_out = Duration::from_secs(10) + DRAIN;
    assert!(held > counted_out - Duration::from_secs(2), "it might still have acted: {held:?}");
    assert!(held < counted_out + Duration::from_secs(2), "{held:?}");
}
