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

super::suite!(Some(Memory(MemoryStore::default())));

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

#[tokio::test]
async fn a_restored_copy_has_a_history_of_its_own_and_says_so_until_it_is_heard() {
    let store = MemoryStore::new("first");
    store.commit(&commit(None, &key("orders"), &create(), 1)).await.unwrap();
    let backup = store.restored("second", "it was restored");
    store.commit(&commit(None, &key("customers"), &create(), 2)).await.unwrap();
    let state = backup.snapshot().await.unwrap();
    assert_eq!((state.revision, state.history_id.as_str()), (1, "second"));
    assert_eq!(state.restored.as_deref(), Some("it was restored"));
    backup.keep(&Upkeep { forget_restored: true, ..Upkeep::default() }).await.unwrap();
    assert_eq!(backup.snapshot().await.unwrap().restored, None);
    assert_eq!(store.snapshot().await.unwrap().restored, None, "only the copy");
}
