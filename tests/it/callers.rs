//! Callers without an SDK are waited for, whatever becomes of the migration that they asked about.

use std::{sync::Arc, time::Duration};

use cutover::{
    domain::{Change, Deletion, Principal},
    service::{Decider, Instances, Registry},
    store::{InstanceRecord, Store, memory::MemoryStore},
};

use crate::support::{create, key, make};

/// Deletes it and creates it again.
async fn again(store: &dyn Store, registry: &Registry) {
    make(store, &key("orders"), &Change::Delete(Deletion::default())).await;
    make(store, &key("orders"), &create()).await;
    registry.catch_up().await.unwrap();
}

fn waits_for_callers(registry: &Registry) -> bool {
    let callers = registry.state().entry(&key("orders")).unwrap().callers();
    callers.is_some_and(|callers| callers.waited_for > Duration::ZERO)
}

async fn load(store: &Arc<dyn Store>) -> Decider {
    let (registry, kept) = Registry::load(store.clone()).await.unwrap();
    let (instances, queue) = Instances::new(store.clone(), &registry, kept.instances);
    let (registry, instances) = (Arc::new(registry), Arc::new(instances));
    let keeping = instances.clone();
    tokio::spawn(async move { keeping.keep(queue).await });
    Decider { registry, instances }
}

async fn asked(decider: &Decider) {
    decider.decide(&Principal::anybody(), "orders", &["tenant-1".to_owned()]).await.unwrap();
}

/// Found by a review: the answer was made from the new one, and the caller was noted at the old one.
#[tokio::test(start_paused = true)]
async fn a_migration_that_is_created_again_while_the_store_notes_a_caller_waits_for_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    make(&*store, &key("orders"), &create()).await;
    let (registry, kept) = Registry::load(store.clone()).await.unwrap();
    let (instances, queue) = Instances::new(store.clone(), &registry, kept.instances);
    let (registry, instances) = (Arc::new(registry), Arc::new(instances));
    let decider = Decider { registry: registry.clone(), instances: instances.clone() };
    let asking = tokio::spawn(async move { asked(&decider).await });
    while queue.is_empty() {
        tokio::task::yield_now().await;
    }
    again(&*store, &registry).await;
    assert!(!waits_for_callers(&registry), "nobody has an answer yet");
    tokio::spawn(async move { instances.keep(queue).await });
    asking.await.unwrap();
    assert!(waits_for_callers(&registry));
}

#[tokio::test(start_paused = true)]
async fn answers_from_before_a_deletion_are_waited_for_after_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    make(&*store, &key("orders"), &create()).await;
    let decider = load(&store).await;
    asked(&decider).await;
    // More than once, and in one batch of events or in several.
    again(&*store, &decider.registry).await;
    make(&*store, &key("orders"), &Change::Delete(Deletion::default())).await;
    decider.registry.catch_up().await.unwrap();
    make(&*store, &key("orders"), &create()).await;
    decider.registry.catch_up().await.unwrap();
    assert!(waits_for_callers(&decider.registry));
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(!waits_for_callers(&decider.registry), "they have expired");
}

#[tokio::test(start_paused = true)]
async fn so_are_those_from_before_a_restart_in_between() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    make(&*store, &key("orders"), &create()).await;
    asked(&load(&store).await).await;
    make(&*store, &key("orders"), &Change::Delete(Deletion::default())).await;
    let decider = load(&store).await;
    make(&*store, &key("orders"), &create()).await;
    decider.registry.catch_up().await.unwrap();
    assert!(waits_for_callers(&decider.registry));
    // The store has forgotten the callers with the migration: the next one has to be recorded anew.
    asked(&decider).await;
    assert_eq!(store.snapshot().await.unwrap().instances, [InstanceRecord::callers(&key("orders"))]);
}
