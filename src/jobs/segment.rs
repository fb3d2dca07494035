//! One claimed segment from where it was left to its end: the next page is read while one is written.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cutover_client::{
    Client,
    report::Event,
    store::{Cursor, Page, Scope, Segment, StoreError},
    watch::{BeginError, Operation},
};
use cutover_proto::v1::{self, job_service_client::JobServiceClient};
use futures::TryFutureExt as _;
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;

use super::{
    Error, Plan, Stores, identity,
    pace::{Chunk, Rates},
    page::{Done, Part, Side, add, bytes_of, records_of},
    pressure, quarantine,
    worker::insist,
};

/// A claim is kept alive at least so often.
const HEARTBEAT: Duration = Duration::from_secs(2);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_secs(5);
/// A worker's operations are no tenant's; this one stands for all.
const TENANT: &str = "cutover-worker";

/// What all segments of a worker share.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) client: Arc<Client>,
    pub(super) jobs: JobServiceClient<Channel>,
    pub(super) stores: Stores,
    pub(super) plan: Arc<Plan>,
    pub(super) pressure: Arc<pressure::Watch>,
    pub(super) pass: quarantine::Pass,
    pub(super) instance_id: String,
    /// Which tables the stores are, for claims.
    pub(super) known: Arc<identity::Known>,
    /// One of the lanes has heard that no segment is left.
    pub(super) all_done: Arc<watch::Sender<bool>>,
}

/// One segment's pace, changed while it runs.
struct Pace {
    began: Instant,
    chunk: Chunk,
    rates: Rates,
    paused: bool,
    /// Why it is slow; empty: it is not.
    note: String,
}

/// A page that was read, and the operation that holds the barrier until it is written.
struct Held {
    operation: Operation,
    after: Option<Cursor>,
    page: Page,
}

/// Ends with its owner.
struct Ahead(JoinHandle<Result<Held, Error>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bench {
    /// Works on a segment to its end. Also ends, without having finished it, when somebody else has it.
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
            let Held { operation, after, page } = held;
            let part = Part { side, segment, after: after.as_ref(), page: &page };
            let more = page.next.clone().map(|next| self.read_ahead(side, segment, Some(next), &pace));
            let write = self.write(&part, &pace);
            let Some(mut done) = self.alive(write, &mut checkpoint, &pace).await? else { return Ok(()) };
            if operation.overtaken(self.client.current(), &self.plan.migration, TENANT) {
                return Err(Error::Overtaken);
            }
            self.count(&operation, &done);
            drop(operation);
            add(checkpoint.counts.get_or_insert_default(), &done.counts);
            checkpoint.samples = done.samples;
            checkpoint.witness = done.witness;
            let left = done.left.take();
            let next = left.clone().or(page.next);
            checkpoint.done = next.is_none();
            checkpoint.cursor = next.map(|next| next.0).unwrap_or_default();
            if !self.tell(&mut checkpoint, &pace).await? {
                return Ok(());
            }
            if left.is_some() {
                ahead = self.read_ahead(side, segment, left, &pace);
            } else if let Some(more) = more {
                ahead = more;
            }
        }
        Ok(())
    }

    /// Waits for something while the claim is kept. `None`: it was lost.
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

    /// Tells the controller how far the segment is, and hears of limits. False: it is lost.
    async fn tell(&self, checkpoint: &mut v1::CheckpointRequest, pace: &Mutex<Pace>) -> Result<bool, Error> {
        checkpoint.note.clone_from(&lock(pace).note);
        let request = checkpoint.clone();
        let told = insist(&self.jobs, |mut jobs| {
            let request = request.clone();
            async move { jobs.checkpoint(request).await }
        });
        let told = told.await?;
        checkpoint.samples.clear();
        checkpoint.witness = None;
        lock(pace).tune(told.claimed, told.tuning.unwrap_or_default());
        Ok(!told.lost)
    }

    /// Reads the next page beside whatever else is done, once the pace allows it.
    fn read_ahead(
        &self,
        side: Side,
        segment: Segment,
        cursor: Option<Cursor>,
        pace: &Arc<Mutex<Pace>>,
    ) -> Ahead {
        let (bench, pace) = (self.clone(), pace.clone());
        Ahead(tokio::spawn(async move {
            bench.wait(&pace).await;
            let limit_bytes = {
                let pace = lock(&pace);
                pace.rates.cut(pace.chunk.bytes())
            };
            let operation = bench.begin().await?;
            let (store, after) = (bench.stores.side(side), cursor);
            let failed = |error| Error::Store { store: side.name(), error };
            let scan = || store.scan(&Scope::All, segment, after.as_ref(), limit_bytes).map_err(failed);
            let page = patiently(bench.plan.limits.patience, &pace, scan).await?;
            // Now, not once it is written: the next one is read meanwhile.
            lock(&pace).rates.spend(records_of(&page), bytes_of(&page.records));
            Ok(Held { operation, after, page })
        }))
    }

    /// An operation, so that no barrier settles from here to the end of the write.
    async fn begin(&self) -> Result<Operation, Error> {
        loop {
            match self.client.begin(&self.plan.migration, TENANT) {
                Ok(operation) => return Ok(operation),
                Err(BeginError::Routing(error)) => {
                    return Err(tonic::Status::not_found(error.to_string()).into());
                }
                // The controller will be back.
                Err(_) => tokio::time::sleep(BACKOFF_FIRST).await,
            }
        }
    }

    /// Waits until limits, an operator and both stores let the next chunk begin.
    async fn wait(&self, pace: &Mutex<Pace>) {
        loop {
            let wait = lock(pace).wait(self.pressure.reason());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn write(&self, part: &Part<'_>, pace: &Mutex<Pace>) -> Result<Done, Error> {
        let began = Instant::now();
        let done =
            patiently(self.plan.limits.patience, pace, || self.stores.page(&self.plan, &self.pass, part))
                .await?;
        let took = began.elapsed().saturating_sub(done.waited);
        let (records, bytes) = (records_of(part.page), bytes_of(&part.page.records));
        let mut pace = lock(pace);
        pace.chunk.took(bytes as usize, took);
        // What was read of the other store beside it.
        let beside = (done.counts.scanned.saturating_sub(records), done.counts.bytes.saturating_sub(bytes));
        pace.rates.spend(beside.0, beside.1);
        drop(pace);
        Ok(done)
    }

    fn count(&self, operation: &Operation, done: &Done) {
        let moved = match self.plan.kind {
            v1::PassKind::Full | v1::PassKind::Reverse => Event::Backfill,
            _ => Event::Repaired,
        };
        let (recorder, revision) = (self.client.recorder(), operation.decision.revision);
        recorder.count_many(&self.plan.migration, revision, moved, done.counts.copied);
    }
}

impl Pace {
    fn new(plan: &Plan) -> Self {
        Self {
            began: Instant::now(),
            chunk: Chunk::new(plan.limits.chunk, plan.limits.chunk_bytes),
            rates: Rates::default(),
            paused: false,
            note: String::new(),
        }
    }

    /// Takes this segment's share of the limits of all.
    fn tune(&mut self, sharing: u32, tuning: v1::Tuning) {
        let now = self.began.elapsed();
        let share = f64::from(sharing.max(1));
        self.rates.limit(tuning.records_per_s as f64 / share, tuning.bytes_per_s as f64 / share, now);
        self.paused = tuning.paused;
    }

    /// How long to wait before looking again; zero: go on. Notes why.
    fn wait(&mut self, pressure: String) -> Duration {
        let now = self.began.elapsed();
        let budget = self.rates.wait(now);
        let look_again = Duration::from_millis(100);
        let (note, wait) = match (self.paused, pressure.is_empty(), budget.is_zero()) {
            (true, _, _) => ("paused by an operator".to_owned(), look_again),
            (_, false, _) => (pressure, look_again),
            (_, _, false) => ("at the limit that was set".to_owned(), budget.min(look_again)),
            _ => (String::new(), Duration::ZERO),
        };
        self.note = note;
        wait
    }
}

/// Tries again what may be tried again: for ever while a store says that it is overloaded, and for
/// `patience` while it fails.
async fn patiently<T, F>(patience: Duration, pace: &Mutex<Pace>, attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut failing_since: Option<Instant> = None;
    let mut backoff = BACKOFF_FIRST;
    loop {
        let (store, error) = match attempt().await {
            Err(Error::Store { store, error }) => (store, error),
            done => return done,
        };
        match error {
            StoreError::Permanent { .. } => return Err(Error::Store { store, error }),
            StoreError::Throttled { retry_after, .. } => {
                backoff = backoff.max(retry_after);
                lock(pace).chunk.shrink();
            }
            _ => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    return Err(Error::Store { store, error });
                }
            }
        }
        lock(pace).note = format!("the {store}: {error}");
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}

fn lock(pace: &Mutex<Pace>) -> std::sync::MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}
