//! A migration that is blocked costs nothing until something changes.

use cutover_core::routing::{PPM, Rung};

use super::*;
use crate::{
    domain::{Ask, Policy, Shares},
    service::instances::{Acknowledging, Asking, Fenced, Who},
    store::{InstanceRecord, memory::MemoryStore},
};

/// A controller's parts, and an instance that acknowledges what it is told to.
pub(in crate::service) struct World {
    pub(in crate::service) key: Key,
    pub(in crate::service) registry: Arc<Registry>,
    pub(in crate::service) instances: Arc<Instances>,
    pub(in crate::service) operate: Arc<Operate>,
    who: Who,
    admission: u64,
}

impl World {
    /// Everybody is at source-only.
    pub(in crate::service) async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (registry, kept) = Registry::load(store.clone()).await.expect("read");
        let registry = Arc::new(registry);
        let (instances, queue) = Instances::new(store.clone(), &registry, kept.instances);
        let instances = Arc::new(instances);
        let keeping = instances.clone();
        tokio::spawn(async move { keeping.keep(queue).await });
        let operate = Arc::new(Operate::new(store, registry.clone(), instances.clone()));
        let record = InstanceRecord {
            instance_id: "a".to_owned(),
            service: "orders-api".to_owned(),
            incarnation: 1,
            ..InstanceRecord::default()
        };
        let registered = instances
            .register(Asking { record, ..Asking::default() }, Fenced::default())
            .await
            .expect("a slot");
        let key = Key::parse("orders").expect("a key");
        let (who, admission) = (registered.who, registered.admission);
        let world = Self { key, registry, instances, operate, who, admission };
        let [salt, description, confirm] = [const { String::new() }; 3];
        let [source, target] = ["a", "b"].map(str::to_owned);
        let policy = Policy::default();
        world.change(&Change::Create { salt, source, target, description, policy, confirm }).await;
        world
    }

    pub(in crate::service) async fn change(&self, change: &Change) {
        self.operate.change(&self.key, change, &RequestMeta::default()).await.expect("legal");
    }

    /// The instance has quiesced for the newest revision.
    pub(in crate::service) fn acknowledge(&self) {
        let newest = self.registry.state().revision;
        let said =
            Acknowledging { received: newest, applied: newest, admission: self.admission, fences: newest };
        self.instances.acknowledge("a", self.who.incarnation, &said).expect("a member");
    }
}

#[tokio::test]
async fn a_blocked_step_is_not_judged_again_and_remembers_why_it_failed() {
    let world = World::new().await;
    world.acknowledge();
    let dual = Shares { dual_ppm: Some(PPM), ..Shares::default() };
    let mirrored = Shares { mirrored_ppm: Some(PPM), ..Shares::default() };
    for shares in [dual, mirrored] {
        let ask = Ask { wait: true, overrides: Vec::new() };
        world.change(&Change::SetRollout { shares, ask }).await;
    }
    let rung =
        || world.registry.state().entry(&world.key).expect("there").migration.document.bands.of(0).rung;
    assert_eq!(rung(), Rung::Dual, "the instance has not heard of it");
    let mut blocked = HashMap::new();
    assert!(world.operate.ready(&mut blocked).is_empty());
    // A look replaces what the last one left.
    blocked.get_mut(&world.key).expect("it is blocked").seen = "the disk is full".to_owned();
    for _ in 0..3 {
        assert!(world.operate.ready(&mut blocked).is_empty());
        assert_eq!(blocked[&world.key].seen, "the disk is full", "nobody looked");
    }
    world.acknowledge();
    let ready = world.operate.ready(&mut blocked);
    let [Ready { key, failed, .. }] = ready.as_slice() else { panic!("it can go on") };
    assert_eq!((key, failed.as_str()), (&world.key, "the disk is full"), "or each attempt would be logged");
}
