//! A commit that happened is never answered as failed, and a caller that has gone delays nobody.

use std::{
    future::{Future as _, poll_fn},
    sync::Arc,
    task::Poll,
};

use cutover::{
    service::{Instances, Operate, Registry, operate, operate::RequestMeta},
    store::{
        Error, Store,
        memory::{Call, Fault, MemoryStore},
    },
};

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
