//! The store in memory keeps the promises of all stores, and fails on demand.

use std::sync::Arc;

use async_trait::async_trait;
use cutover::store::{
    Error, Store, Upkeep,
    memory::{Call, Fault, MemoryStore},
};

use super::Place;
use crate::support::{commit, create, key};

struct Memory(MemoryStore);

#[async_trait]
impl Place for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

super::suite!(Memory(MemoryStore::default()));

#[tokio::test]
async fn a_fault_before_leaves_nothing_and_one_after_leaves_everything() {
    let store = MemoryStore::default();
    let created = commit(None, &key("orders"), &create(), 1);
    store.fail_next(Call::Commit, Fault::Before);
    assert!(matches!(store.commit(&created).await, Err(Error::Unavailable(_))));
    assert_eq!(store.snapshot().await.unwrap().revision, 0);
    store.fail_next(Call::Commit, Fault::Lost);
    assert!(matches!(store.commit(&created).await, Err(Error::Unknown(_))));
    assert_eq!(store.snapshot().await.unwrap().revision, 0);
    store.fail_next(Call::Commit, Fault::After);
    assert!(matches!(store.commit(&created).await, Err(Error::Unknown(_))));
    assert_eq!(store.snapshot().await.unwrap().revision, 1);
    store.fail_by(|call| (call == Call::Keep).then_some(Fault::Before));
    assert!(matches!(store.keep(&Upkeep::default()).await, Err(Error::Unavailable(_))));
    store.ping().await.unwrap();
}
