//! Operations that callers have begun and not ended, and a bound for everything in flight.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cutover_client::{clock::Instant, report, watch::Operation};
use cutover_store::spec::RESIDUAL_MS;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tonic::Status;

use super::failure;
use crate::config::duration;

/// The longest that a sidecar can be told to let its callers take.
pub(super) const FINISH_WITHIN_MAX: Duration = Duration::from_secs(60);
/// The shortest: a caller has to make a few store calls within it.
const FINISH_WITHIN_MIN: Duration = Duration::from_millis(100);
/// How often overdue operations are released.
const LOOK: Duration = Duration::from_millis(200);
/// How often a sidecar that stops looks whether everything has ended.
const STOPPING: Duration = Duration::from_millis(20);

/// Parses `--finish-within`.
pub(super) fn finish_within(text: &str) -> Result<Duration, String> {
    let given = duration::parse(text)?;
    let is_fine = (FINISH_WITHIN_MIN..=FINISH_WITHIN_MAX).contains(&given);
    if is_fine { Ok(given) } else { Err("give 100ms to 60s".to_owned()) }
}

/// Parses `--residual`.
pub(super) fn residual(text: &str) -> Result<Duration, String> {
    let given = duration::parse(text)?;
    if given <= RESIDUAL_MAX { Ok(given) } else { Err("give at most 10m".to_owned()) }
}

/// Longest residual time of migrations without a spec.
const RESIDUAL_MAX: Duration = Duration::from_secs(600);
/// How late a call that was sent in time can still land in a store without a spec: as in a spec that does not say.
pub(super) const RESIDUAL: Duration = Duration::from_millis(RESIDUAL_MS);

/// An operation that a caller has begun. The sidecar quiesces for no newer revision while this exists.
pub(super) struct Held {
    pub(super) operation: Operation,
    pub(super) migration: String,
    pub(super) tenant: String,
    pub(super) kind: report::Operation,
    /// The caller makes no store call after this. It counts from an earlier moment.
    pub(super) deadline: Instant,
    /// From the deadline until it is released although nobody ended it. A put that was sent in time has landed by then;
    /// so has one of a caller that was frozen just before it sent it.
    pub(super) residual: Duration,
    pub(super) permit: OwnedSemaphorePermit,
}

/// How late a call to a store that was sent in time can still land.
pub(super) struct Residuals {
    /// By migration, of those that have a spec.
    pub(super) of_specs: BTreeMap<String, Duration>,
    /// Of all others.
    pub(super) others: Duration,
}

impl Residuals {
    pub(super) fn longest(&self) -> Duration {
        self.of_specs.values().copied().fold(self.others, Duration::max)
    }
}

/// All of them.
pub(super) struct Operations {
    /// Begins every id. Another process knows none of them.
    process: u64,
    held: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
    abandoned: AtomicU64,
    in_flight: Arc<Semaphore>,
    max: u32,
    /// How long a caller may make store calls for an operation, from when it sent `Begin`.
    pub(super) finish_within: Duration,
    residuals: Residuals,
    closing: AtomicBool,
}

impl Operations {
    pub(super) fn new(max: u32, residuals: Residuals, finish_within: Duration) -> Self {
        Self {
            process: rand::random(),
            held: Mutex::default(),
            next: AtomicU64::new(1),
            abandoned: AtomicU64::new(0),
            in_flight: Arc::new(Semaphore::new(max as usize)),
            max,
            finish_within,
            residuals,
            closing: AtomicBool::new(false),
        }
    }

    /// Admits a call or an operation; it counts until the permit is dropped.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, Status> {
        if self.closing.load(Ordering::Acquire) {
            return Err(failure::not_begun("the sidecar is stopping: retry with the next one"));
        }
        self.in_flight.clone().try_acquire_owned().map_err(|_| {
            failure::exhausted(format!(
                "{0} calls and operations are in flight, and {0} is the limit (--operations-max): retry later, and end every operation that was begun",
                self.max
            ))
        })
    }

    /// How late a call to the stores of a migration can land.
    pub(super) fn residual(&self, migration: &str) -> Duration {
        self.residuals.of_specs.get(migration).copied().unwrap_or(self.residuals.others)
    }

    /// Holds an operation until it is taken. Returns its id.
    pub(super) fn hold(&self, held: Held) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.held().insert(number, held);
        format!("{:016x}-{number}", self.process)
    }

    /// Removes an operation. `None`: it is not of this process, has been ended, or was released.
    pub(super) fn take(&self, id: &str) -> Option<Held> {
        let number = self.number(id)?;
        self.held().remove(&number)
    }

    /// Looks at an operation.
    pub(super) fn with<T>(&self, id: &str, look: impl FnOnce(&Held) -> T) -> Option<T> {
        let number = self.number(id)?;
        self.held().get(&number).map(look)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (process, number) = id.split_once('-')?;
        let is_ours = process.len() == 16 && u64::from_str_radix(process, 16) == Ok(self.process);
        if is_ours { number.parse().ok() } else { None }
    }

    /// How many are begun and not ended, how many of these are past their deadline, and how many nobody ever ended.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let (held, now) = (self.held(), Instant::now());
        let overdue = held.values().filter(|held| held.deadline <= now).count();
        (held.len() as u64, overdue as u64, self.abandoned.load(Ordering::Relaxed))
    }

    /// Calls and operations that count against the limit.
    pub(super) fn in_flight(&self) -> u64 {
        u64::from(self.max).saturating_sub(self.in_flight.available_permits() as u64)
    }

    pub(super) const fn max(&self) -> u32 {
        self.max
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Releases operations whose callers seem to have died, until it is canceled.
    pub(super) async fn release_overdue(&self) {
        loop {
            sleep(LOOK).await;
            self.release(|held| held.residual);
        }
    }

    /// Releases what is past its deadline by more than `late`.
    fn release(&self, late: fn(&Held) -> Duration) {
        let now = Instant::now();
        let is_over = |held: &Held| now.saturating_duration_since(held.deadline) > late(held);
        let released: Vec<Held> =
            self.held().extract_if(|_, held| is_over(held)).map(|(_, held)| held).collect();
        self.abandoned.fetch_add(released.len() as u64, Ordering::Relaxed);
        for held in &released {
            let Held { migration, tenant, .. } = held;
            tracing::warn!(
                migration,
                tenant,
                "an operation was begun and never ended: its outcome is unknown. Did its caller die?"
            );
        }
    }

    /// Admits nothing more, and waits until everything has ended or is past its deadline.
    pub(super) async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        loop {
            // The process is about to end, so nobody waits for the residual time of these. The goodbye says so.
            self.release(|_| Duration::ZERO);
            if self.in_flight.available_permits() == self.max as usize {
                return;
            }
            sleep(STOPPING).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
