//! A commit that happened is never answered as failed, and a caller that has gone delays nobody.

use std::{
    future::{Future as _, poll_fn},
    sync::Arc,
    task::Poll,
};

use cutover::{
    service::{
        Acknowledging, Asking, Guards, Instances, Known, Membership, Operate, Passes, Registry, operate,
        operate::RequestMeta,
    },
    store::{
        Error, InstanceRecord, Store,
        memory::{Call, Fault, MemoryStore},
    },
    telemetry::Ingest,
};
use tokio::time::{Duration, sleep, timeout};

use crate::support::{create, describe, key};

struct World {
    store: MemoryStore,
    registry: Arc<Registry>,
    operate: Arc<Operate>,
}

impl World {
    async fn new() -> Self {
        let memory = MemoryStore::default();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (registry, kept) = Registry::load(store.clone()).await.unwrap();
        let registry = Arc::new(registry);
        let (instances, _) = Instances::new(store.clone(), &registry, kept.instances);
        let operate = Operate::new(store, registry.clone(), Arc::new(instances));
        let world = Self { store: memory, registry, operate: Arc::new(operate) };
        world.operate.change(&key("orders"), &create(), &RequestMeta::default()).await.unwrap();
        world
    }

    async fn describe(&self, text: &str, request_id: &str) -> Result<operate::ChangeOutcome, operate::Error> {
        let by = RequestMeta { request_id: request_id.to_owned(), ..RequestMeta::default() };
        self.operate.change(&key("orders"), &describe(text), &by).await
    }

    fn published(&self) -> String {
        self.registry.state().entry(&key("orders")).unwrap().migration.document.description.clone()
    }
}

#[tokio::test]
async fn what_is_committed_but_not_published_is_answered_as_committed() {
    let world = World::new().await;
    world.store.fail_next(Call::Changes, Fault::Before);
    let outcome = world.describe("new", "").await.unwrap();
    assert_eq!((outcome.revision, world.registry.state().revision), (2, 1));
    world.registry.catch_up().await.unwrap();
    assert_eq!(world.published(), "new", "the next look publishes it");
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found() {
    let world = World::new().await;
    world.store.fail_next(Call::Commit, Fault::After);
    assert_eq!(world.describe("new", "").await.unwrap().revision, 2);
    assert_eq!(world.published(), "new");
}

#[tokio::test]
async fn an_unknown_outcome_is_resolved_by_a_retry_with_the_same_request_id() {
    let world = World::new().await;
    world.store.fail_next(Call::Commit, Fault::After);
    world.store.fail_next(Call::Changes, Fault::Before);
    let unknown = world.describe("new", "r-1").await.unwrap_err();
    assert!(matches!(unknown, operate::Error::Store(Error::Unknown(_))), "{unknown}");
    assert!(unknown.to_string().contains("retry it with the same --request-id"), "{unknown}");
    let again = world.describe("new", "r-1").await.unwrap();
    assert_eq!((again.revision, again.repeated), (2, true));
}

#[tokio::test]
async fn what_was_not_committed_is_not_answered_as_committed() {
    let world = World::new().await;
    world.store.fail_next(Call::Commit, Fault::Before);
    let failed = world.describe("new", "r-1").await.unwrap_err();
    assert!(matches!(failed, operate::Error::Store(Error::Unavailable(_))), "{failed}");
    let again = world.describe("new", "r-1").await.unwrap();
    assert_eq!((again.revision, again.repeated), (2, false));
}

#[tokio::test]
async fn a_call_that_is_dropped_publishes_all_the_same() {
    let world = World::new().await;
    let mut revisions = world.registry.subscribe();
    let mut call = Box::pin(world.describe("new", ""));
    // It is polled once: far enough to hand the commit over.
    let is_pending = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await;
    assert!(is_pending, "it is dropped in the middle");
    drop(call);
    revisions.changed().await.unwrap();
    assert_eq!(world.published(), "new");
}

/// Until its registration has ended, a process is neither heard nor counted out.
#[tokio::test]
async fn a_registration_whose_call_is_dropped_ends_all_the_same() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (registry, kept) = Registry::load(store.clone()).await.unwrap();
    let registry = Arc::new(registry);
    let (instances, queue) = Instances::new(store.clone(), &registry, kept.instances);
    let instances = Arc::new(instances);
    let operate = Arc::new(Operate::new(store.clone(), registry.clone(), instances.clone()));
    let ingest = Arc::new(Ingest::default());
    let (guards, _) = Guards::new(registry.clone(), operate.clone(), instances.clone(), ingest.clone());
    let passes = Arc::new(Passes::new(store, registry.clone(), operate.clone(), Vec::new()));
    let guards = Arc::new(guards);
    let history_id = registry.state().history_id.to_string();
    let membership = Membership { registry, operate, instances: instances.clone(), guards, passes, ingest };

    let record = InstanceRecord {
        instance_id: "api-1".to_owned(),
        service: "orders-api".to_owned(),
        incarnation: 1,
        ..InstanceRecord::default()
    };
    let known = Known { revision: 0, history_id, is_genuine: true };
    let mut call = Box::pin(membership.join(Asking { record, ..Asking::default() }, known));
    let is_pending = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await;
    assert!(is_pending, "the store has not answered");
    drop(call);
    // Only now does the store take it.
    let keeping = instances.clone();
    tokio::spawn(async move { keeping.keep(queue).await });
    let heard = async {
        while instances.acknowledge("api-1", 1, &Acknowledging::default()).is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), heard).await.expect("it is a member");
}
