//! A store with a mood that changes while it is used: slow puts, or no answers. Files have no connection that
//! a proxy could delay, and a proxy delays everybody.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use cutover_client::{
    report::ErrorClass,
    store::{
        Copied, Cursor, Estimate, Id, Page, Pressure, Put, Record, Scope, Segment, Store, StoreError, Version,
    },
};
use serde::{Deserialize, Serialize};

/// What a process does, and how its stores behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mood {
    pub active: Active,
    /// Puts take longer by a random time up to this.
    pub source_put_ms: u64,
    pub target_put_ms: u64,
    /// The target refuses everything.
    pub target_down: bool,
}

/// Which operations a service begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Active {
    #[default]
    All,
    Reads,
}

/// The mood of a process, shared by everything that needs it.
#[derive(Clone, Debug, Default)]
pub struct Moods(Arc<Mutex<Mood>>);

impl Moods {
    pub fn now(&self) -> Mood {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, mood: Mood) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Source and target in this mood.
    pub fn stores(&self, source: Arc<dyn Store>, target: Arc<dyn Store>) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let moody = |inner, is_target| Unreliable { inner, moods: self.clone(), is_target };
        (Arc::new(moody(source, false)), Arc::new(moody(target, true)))
    }
}

struct Unreliable {
    inner: Arc<dyn Store>,
    moods: Moods,
    is_target: bool,
}

impl Unreliable {
    fn answers(&self) -> Result<(), StoreError> {
        if self.is_target && self.moods.now().target_down {
            let what = "the target is down".to_owned();
            return Err(StoreError::NotApplied { class: ErrorClass::Connection, what });
        }
        Ok(())
    }

    /// A put is in flight for a while.
    async fn travels(&self) -> Result<(), StoreError> {
        self.answers()?;
        let mood = self.moods.now();
        let most_ms = if self.is_target { mood.target_put_ms } else { mood.source_put_ms };
        if most_ms > 0 {
            tokio::time::sleep(Duration::from_millis(rand::random_range(most_ms / 2..=most_ms))).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Unreliable {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.answers()?;
        self.inner.get(id).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.travels().await?;
        self.inner.put_if_newer(id, record).await
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.travels().await?;
        self.inner.put_if_unchanged(id, record, expected).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        self.answers()?;
        self.inner.get_many(ids).await
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        self.travels().await?;
        self.inner.put_many_if_newer(records).await
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        self.answers()?;
        self.inner.scan(scope, segment, cursor, limit_bytes).await
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.inner.estimate().await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.inner.pressure().await
    }
}
