//! A store in memory that a story can interfere with.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Cursor, Estimate, Id, Identity, MemoryStore, Page, Pressure, Put, Record, ScanOrder, Scope,
    Segment, Store, StoreError, Unreadable, Version,
};

pub struct Hooked {
    pub inner: Arc<MemoryStore>,
    /// Reads and writes of many records.
    pub reads: AtomicUsize,
    pub puts: AtomicUsize,
    pub scans: AtomicUsize,
    /// Why a batch is not written.
    pub refuses: fn(&[(Id, Record)]) -> Option<StoreError>,
    /// Why a record can't be read.
    pub unreadable: fn(&Id) -> Option<StoreError>,
    /// Scans of more bytes never arrive in time; 0: all do.
    pub arrives_bytes: usize,
    /// The identity that it reports.
    pub table: Option<&'static str>,
    /// How many records it reports, if not all that it has.
    pub estimate: Option<Estimate>,
    /// Its order, if that is not the one of bytes.
    pub order: Option<&'static str>,
    /// Whether it has another order now than when it was opened.
    pub is_reordered: AtomicBool,
    /// Called before the n-th read of many records, from 1.
    pub before_read: fn(&MemoryStore, usize),
    /// Called before each write of many records.
    pub before_puts: fn(&MemoryStore),
}

impl Hooked {
    pub fn new(inner: &Arc<MemoryStore>) -> Self {
        Self {
            inner: inner.clone(),
            reads: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            scans: AtomicUsize::new(0),
            refuses: |_| None,
            unreadable: |_| None,
            arrives_bytes: 0,
            table: None,
            estimate: None,
            order: None,
            is_reordered: AtomicBool::new(false),
            before_read: |_, _| {},
            before_puts: |_| {},
        }
    }
}

#[async_trait]
impl Store for Hooked {
    async fn get(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        self.inner.get(id).await
    }

    async fn put_if_newer(&self, id: &Id, record: &Record) -> Result<Put, StoreError> {
        self.inner.put_if_newer(id, record).await
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
        (self.before_read)(&self.inner, self.reads.fetch_add(1, Ordering::SeqCst) + 1);
        match ids.iter().find_map(self.unreadable) {
            Some(error) => Err(error),
            None => self.inner.get_many(ids).await,
        }
    }

    async fn put_many_if_newer(&self, records: &[(Id, Record)]) -> Result<Vec<Copied>, StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        (self.before_puts)(&self.inner);
        match (self.refuses)(records) {
            Some(error) => Err(error),
            None => self.inner.put_many_if_newer(records).await,
        }
    }

    async fn scan(
        &self,
        scope: &Scope,
        segment: Segment,
        cursor: Option<&Cursor>,
        limit_bytes: usize,
    ) -> Result<Page, StoreError> {
        self.scans.fetch_add(1, Ordering::SeqCst);
        if self.arrives_bytes > 0 && limit_bytes > self.arrives_bytes {
            let what = "it did not answer in time".to_owned();
            return Err(StoreError::NotApplied { class: ErrorClass::Timeout, what });
        }
        let mut page = self.inner.scan(scope, segment, cursor, limit_bytes).await?;
        for (id, _) in page.records.extract_if(.., |(id, _)| (self.unreadable)(id).is_some()) {
            let error = (self.unreadable)(&id).unwrap();
            page.unreadable.push(Unreadable { tenant: id.tenant, key: id.key, error });
        }
        Ok(page)
    }

    fn scan_order(&self) -> ScanOrder {
        self.order.map_or_else(|| self.inner.scan_order(), |order| ScanOrder::Own(order.to_owned()))
    }

    async fn identity(&self) -> Result<Option<Identity>, StoreError> {
        if self.is_reordered.load(Ordering::SeqCst) {
            let (field, what) = ("table".to_owned(), "another order".to_owned());
            return Err(StoreError::Permanent { class: ErrorClass::Other, field, what });
        }
        Ok(self.table.map(|table| Identity::of_table(table.to_owned(), format!("table {table}"))))
    }

    async fn estimate(&self) -> Result<Estimate, StoreError> {
        match self.estimate {
            Some(estimate) => Ok(estimate),
            None => self.inner.estimate().await,
        }
    }

    async fn pressure(&self) -> Result<Pressure, StoreError> {
        self.inner.pressure().await
    }
}
