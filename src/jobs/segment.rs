//! Works on a claimed segment from where it was left to its end: the next page is read while one is written.

mod pace;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover_client::{
    AuthorizedChannel, clock,
    watch::{BeginError, Operation},
};
use cutover_core::outcome::Event;
use cutover_proto::v1::{self, job_service_client::JobServiceClient};
use cutover_store::{Cursor, Page, Scope, Segment, StoreError, Ttl};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use super::{
    Error, Plan, Stores, identity,
    insist::insist,
    page::{Done, Part, add, bytes_of, records_of},
    patience::patiently,
    pressure, quarantine,
    side::Side,
};
use pace::{Pace, lock};

/// Maximum interval between heartbeats of a claim.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// A worker's operations belong to no tenant; this one represents all.
const TENANT: &str = "cutover-worker";

/// What all segments of a worker share.
#[derive(Clone)]
pub(super) struct WorkerContext {
    pub(super) jobs: JobServiceClient<AuthorizedChannel>,
    pub(super) stores: Stores,
    pub(super) plan: Arc<Plan>,
    pub(super) pressure: Arc<pressure::Watch>,
    pub(super) pass: quarantine::JoinedPass,
    pub(super) instance_id: String,
    /// The stores' identities, for claims.
    pub(super) known: Arc<identity::Known>,
    /// One of the lanes has learned that no segment is left.
    pub(super) all_done: Arc<watch::Sender<bool>>,
}

/// A page that was read, and the operation that holds the barrier until it is written.
struct Held {
    operation: Operation,
    after: Option<Cursor>,
    page: Page,
    /// When reading it began.
    read: clock::Instant,
}

/// Ends with its owner.
struct Ahead(JoinHandle<Result<Held, Error>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl WorkerContext {
    /// Works on a segment to its end. Returns early, without finishing it, if another worker has it.
    pub(super) async fn segment(
        &self,
        claimed: v1::Segment,
        sharing: u32,
        tuning: v1::Tuning,
    ) -> Result<(), Error> {
        let v1::Segment { index, of, cursor, counts, claim } = claimed;
        let (side, segment) = self.plan.scans(index, of);
        let pace = Arc::new(Mutex::new(Pace::new(&self.plan)));
        lock(&pace).tune(sharing, tuning);
        let mut checkpoint = v1::CheckpointRequest {
            id: self.pass.id.clone(),
            instance_id: self.instance_id.clone(),
            segment: index,
            cursor,
            counts: Some(counts.unwrap_or_default()),
            claim,
            ..Default::default()
        };
        let at = (!checkpoint.cursor.is_empty()).then(|| Cursor(checkpoint.cursor.clone()));
        let mut ahead = self.read_ahead(side, segment, at, &pace);
        while !checkpoint.done {
            let read = async { (&mut ahead.0).await.unwrap_or(Err(Error::Stopped)) };
            let Some(held) = self.alive(read, &mut checkpoint, &pace).await? else { return Ok(()) };
            let Held { operation, after, page, read } = held;
            let part = Part { side, segment, after: after.as_ref(), page: &page };
            let more = page.next.clone().map(|next| self.read_ahead(side, segment, Some(next), &pace));
            let write = self.write(&operation, &part, read, &pace);
            let Some(done) = self.alive(write, &mut checkpoint, &pace).await? else { return Ok(()) };
            let Some(mut done) = done else {
                drop(operation);
                ahead = self.read_ahead(side, segment, after, &pace);
                continue;
            };
            if operation.overtaken(self.pass.client.current(), &self.plan.migration, TENANT) {
                return Err(Error::Overtaken);
            }
            self.count(&operation, &done);
            drop(operation);
            // A cursor that was read in another order may be past records that come later in the pass's.
            let stores = async { self.identities().await.map(drop) };
            let Some(()) = self.alive(stores, &mut checkpoint, &pace).await? else { return Ok(()) };
            add(checkpoint.counts.get_or_insert_default(), &done.counts);
            checkpoint.findings = done.findings.0;
            checkpoint.witness = done.witness;
            let left = done.left.take();
            let next = left.clone().or(page.next);
            checkpoint.done = next.is_none();
            checkpoint.cursor = next.map(|next| next.0).unwrap_or_default();
            if !self.tell(&mut checkpoint, &pace).await? {
                return Ok(());
            }
            if side == Side::Source && left.is_none() {
                page.records
                    .iter()
                    .for_each(|(id, record)| self.pass.source_versions.add(id, record.version));
            }
            if left.is_some() {
                ahead = self.read_ahead(side, segment, left, &pace);
            } else if let Some(more) = more {
                ahead = more;
            }
        }
        Ok(())
    }

    /// Waits for something while keeping the claim. `None`: the claim was lost.
    async fn alive<T>(
        &self,
        something: impl Future<Output = Result<T, Error>>,
        checkpoint: &mut v1::CheckpointRequest,
        pace: &Mutex<Pace>,
    ) -> Result<Option<T>, Error> {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return done.map(Some),
                () = tokio::time::sleep(HEARTBEAT) => {
                    if !self.tell(checkpoint, pace).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reports progress to the controller, and receives limits. False: the segment was lost.
    async fn tell(&self, checkpoint: &mut v1::CheckpointRequest, pace: &Mutex<Pace>) -> Result<bool, Error> {
        checkpoint.note = lock(pace).why();
        let request = checkpoint.clone();
        let told = insist(&self.jobs, |mut jobs| {
            let request = request.clone();
            async move { jobs.checkpoint(request).await }
        });
        let told = told.await?;
        checkpoint.findings.clear();
        checkpoint.witness = None;
        lock(pace).tune(told.claimed, told.tuning.unwrap_or_default());
        self.pass.source_versions.clear_if(told.lost);
        Ok(!told.lost)
    }

    /// Reads the next page in the background, once the pace allows it.
    fn read_ahead(
        &self,
        side: Side,
        segment: Segment,
        cursor: Option<Cursor>,
        pace: &Arc<Mutex<Pace>>,
    ) -> Ahead {
        let (context, pace) = (self.clone(), pace.clone());
        Ahead(tokio::spawn(async move {
            context.wait(&pace).await;
            let operation = context.begin(&pace).await?;
            let (store, after) = (context.stores.side(side), cursor);
            let failed = |error| Error::Store { store: side.name(), error };
            lock(&pace).reading = Some((side.name(), Instant::now()));
            let scan = || async {
                let (limit_bytes, began) = (lock(&pace).page_bytes(), Instant::now());
                let read = clock::Instant::now();
                let page = store.scan(&Scope::All, segment, after.as_ref(), limit_bytes).await;
                Ok((page.map_err(failed)?, began.elapsed(), read))
            };
            let less = |store, error: &StoreError| lock(&pace).read_failed(store, error);
            let scanned = patiently(context.plan.limits.patience, less, scan).await;
            lock(&pace).reading = None;
            let (page, took, read) = scanned?;
            // Now, not once it is written: the next page is read meanwhile.
            let mut pace = lock(&pace);
            let bytes = bytes_of(&page.records);
            pace.rates.spend(records_of(&page), bytes);
            pace.reads.took(bytes as usize, took);
            drop(pace);
            Ok(Held { operation, after, page, read })
        }))
    }

    /// An operation, so that no barrier settles from here to the end of the write.
    async fn begin(&self, pace: &Mutex<Pace>) -> Result<Operation, Error> {
        let waits = |error: &BeginError| lock(pace).note = format!("waiting for the controller: {error}");
        self.pass.begin(&self.plan.migration, TENANT, waits).await
    }

    /// Waits until limits, an operator and both stores allow the next chunk.
    async fn wait(&self, pace: &Mutex<Pace>) {
        loop {
            let wait = lock(pace).wait(self.pressure.reason());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Processes a page. `None`: it was read too long ago, and has to be read again.
    async fn write(
        &self,
        operation: &Operation,
        part: &Part<'_>,
        read: clock::Instant,
        pace: &Mutex<Pace>,
    ) -> Result<Option<Done>, Error> {
        let began = Instant::now();
        let store = match self.plan.kind {
            v1::PassKind::Full | v1::PassKind::Reverse => self.plan.writes().name(),
            _ => "stores",
        };
        lock(pace).writing = Some((store, began));
        let noted = |store, error: &StoreError| lock(pace).failed(store, error);
        let attempt = || self.stores.page(&self.plan, &self.pass, part);
        let attempts = patiently(self.plan.limits.patience, noted, attempt);
        let attempts = self.pass.in_time(operation, attempts);
        let done = match self.plan.is_urgent() {
            true => clock::before(read + Ttl::CALLS_WITHIN, attempts).await,
            false => Some(attempts.await),
        };
        lock(pace).writing = None;
        let Some(done) = done else {
            lock(pace).chunk.shrink();
            return Ok(None);
        };
        let done = done??;
        let took = began.elapsed().saturating_sub(done.waited);
        let (records, bytes) = (records_of(part.page), bytes_of(&part.page.records));
        let mut pace = lock(pace);
        pace.chunk.took(bytes as usize, took);
        // What was also read from the other store.
        let beside = (done.counts.scanned.saturating_sub(records), done.counts.bytes.saturating_sub(bytes));
        pace.rates.spend(beside.0, beside.1);
        drop(pace);
        Ok(Some(done))
    }

    fn count(&self, operation: &Operation, done: &Done) {
        let moved = match self.plan.kind {
            v1::PassKind::Full | v1::PassKind::Reverse => Event::Backfill,
            _ => Event::Repaired,
        };
        let (recorder, revision) = (self.pass.client.recorder(), operation.decision.revision);
        recorder.count_many(&self.plan.migration, revision, moved, done.counts.copied);
    }
}
