//! A store that breaks its promises.

use std::sync::Arc;

use async_trait::async_trait;
use cutover_client::store::{
    Copied, Cursor, Estimate, Id, Page, Pressure, Put, Record, Scope, Segment, Store, StoreError, Version,
};

pub struct Careless {
    inner: Arc<dyn Store>,
    /// Writes over newer versions.
    unconditional: bool,
    /// Deletes leave no tombstone.
    forgets: bool,
}

impl Careless {
    pub fn unconditional(inner: Arc<dyn Store>) -> Self {
        Self { inner, unconditional: true, forgets: false }
    }

    pub fn without_tombstones(inner: Arc<dyn Store>) -> Self {
        Self { inner, unconditional: false, forgets: true }
    }

    fn seen(&self, record: Option<Record>) -> Option<Record> {
        record.filter(|record| !(self.forgets && record.is_tombstone()))
    }
}

#[async_trait]
impl Store for Careless {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        Ok(self.seen(self.inner.get(id).await?))
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        let put = self.inner.put_if_newer(id, record).await?;
        let Put::Stale(current) = put else { return Ok(put) };
        let forgotten = self.forgets && self.inner.get(id).await?.is_some_and(|there| there.is_tombstone());
        if self.unconditional || forgotten {
            return self.inner.put_if_unchanged(id, record, Some(current)).await;
        }
        Ok(put)
    }

    async fn put_if_unchanged(
        &self,
        id: &Id,
        record: &Record,
        expected: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.inner.put_if_unchanged(id, record, expected).await
    }

    async fn get_many(&self, ids: &[Id]) -> Result<Vec<Option<Record>>, StoreError> {
        let records = self.inner.get_many(ids).await?;
        Ok(records.into_iter().map(|record| self.seen(record)).collect())
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        let mut copied = Vec::with_capacity(records.len());
        for (id, record) in records {
            copied.push(match self.put_if_newer(id, record).await? {
                Put::Applied => Copied::Written,
                Put::Present => Copied::Present,
                Put::Stale(current) => Copied::Stale(current),
            });
        }
        Ok(copied)
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        let page = self.inner.scan(scope, segment, cursor, limit_bytes).await?;
        let kept = page.records.into_iter().filter(|(_, record)| !(self.forgets && record.is_tombstone()));
        Ok(Page { records: kept.collect(), ..page })
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        self.inner.estimate().await
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.inner.pressure().await
    }
}
