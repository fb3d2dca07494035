//! The newest snapshot of this process, and the operations in flight under it and its predecessors: what is
//! needed to acknowledge a revision truthfully.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::begin::BeginError;
use super::lease::Lease;
use crate::{
    clock::Instant,
    guard::Failing,
    persisted::FileLock,
    routing::{self, Decision, Mutation, Policy, Snapshot, coexist},
};

/// The newest snapshot, shared within a process. Deciding takes no lock and reads no clock.
#[derive(Debug)]
pub struct Current {
    epoch: ArcSwapOption<Epoch>,
    live: Mutex<Live>,
    /// Newest revision received.
    received: watch::Sender<u64>,
    /// Notified when the last operation of a replaced epoch ends.
    ended: Arc<Notify>,
    /// Increases when the controller had forgotten this instance; see [`Operation::overtaken`].
    admission: AtomicU64,
    started: Instant,
    /// Milliseconds after `started` at which the controller was last heard; below 0: before.
    heard_ms: AtomicI64,
    lease: Lease,
    closed: AtomicBool,
}

/// What may still have operations.
#[derive(Debug, Default)]
struct Live {
    /// Oldest first; the newest is the last.
    epochs: Vec<(u64, Weak<Epoch>)>,
    /// Until this is closed.
    file: Option<Arc<FileLock>>,
}

/// A snapshot while it is the newest, and for as long as an operation runs under it.
#[derive(Debug)]
struct Epoch {
    snapshot: Snapshot,
    /// What the local guard has changed in it.
    gone_back: Vec<GoneBack>,
    ended: Arc<Notify>,
    /// No other process may use the snapshot file while an operation runs.
    file: Option<Arc<FileLock>>,
}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.file = None;
        self.ended.notify_one();
    }
}

/// A change by the local guard: a migration's tenants at target-first are at mirrored in this process, until
/// it receives a newer revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneBack {
    /// The migration's key.
    pub migration: String,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub failing: Failing,
}

impl GoneBack {
    pub(crate) fn now(migration: &str, failing: Failing) -> Self {
        Self { migration: migration.to_owned(), since: Instant::now(), failing }
    }
}

/// One operation, from its decision to its end. Drop it when the last store call has ended, and not before:
/// the instance quiesces for a step only when every older operation has been dropped.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Held because its drop signals the end of the operation.
    _epoch: Arc<Epoch>,
    admission: u64,
    /// The decision.
    pub decision: Decision,
    /// The migration's policy at that moment.
    pub policy: Policy,
}

impl Default for Current {
    fn default() -> Self {
        Self {
            epoch: ArcSwapOption::empty(),
            live: Mutex::default(),
            received: watch::Sender::new(0),
            ended: Arc::default(),
            admission: AtomicU64::new(0),
            started: Instant::now(),
            heard_ms: AtomicI64::new(0),
            lease: Lease::default(),
            closed: AtomicBool::new(false),
        }
    }
}

impl Current {
    /// Of a process that keeps a file.
    pub(crate) fn of_file(file: Option<Arc<FileLock>>) -> Self {
        Self { live: Mutex::new(Live { epochs: Vec::new(), file }), ..Self::default() }
    }

    /// Decides without beginning an operation: to show a decision, not to call a store.
    #[inline]
    pub fn decide(&self, migration: &str, tenant: &str) -> Result<Decision, BeginError> {
        match &*self.epoch.load() {
            Some(epoch) => Ok(epoch.snapshot.decide(migration, tenant)?),
            None => Err(BeginError::NoSnapshot),
        }
    }

    /// Decides and begins an operation, which holds the snapshot until it is dropped.
    pub fn begin(&self, migration: &str, tenant: &str) -> Result<Operation, BeginError> {
        let admission = self.admission.load(Ordering::Acquire);
        let epoch = self.epoch.load_full().ok_or(BeginError::NoSnapshot)?;
        let table = epoch.snapshot.table(migration)?;
        let policy = table.policy();
        self.lease.check(&policy)?;
        let decision = routing::decide(table, tenant).map_err(BeginError::Routing)?;
        Ok(Operation { admission, decision, policy, _epoch: epoch })
    }

    /// Installs a newer snapshot. Operations in flight keep theirs.
    pub fn replace(&self, snapshot: Snapshot) {
        let revision = snapshot.revision();
        let Some(epoch) = self.begin_epoch(snapshot, Vec::new()) else { return };
        self.epoch.store(Some(epoch));
        // If it was closed meanwhile, either closing found this snapshot, or this check finds that it was
        // closed.
        if self.closed.load(Ordering::SeqCst) {
            self.epoch.store(None);
        }
        self.received.send_replace(revision);
    }

    /// Routes by a changed snapshot of the same revision, until a newer one arrives. False: there was nothing
    /// to change, or another snapshot arrived meanwhile.
    pub(crate) fn go_back(&self, gone: GoneBack, change: impl FnOnce(&Snapshot) -> Option<Snapshot>) -> bool {
        let before = self.epoch.load_full();
        let Some(epoch) = &before else { return false };
        let Some(snapshot) = change(&epoch.snapshot) else { return false };
        let gone_back = epoch.gone_back.iter().cloned().chain([gone]).collect();
        let Some(after) = self.begin_epoch(snapshot, gone_back) else { return false };
        let found = self.epoch.compare_and_swap(&before, Some(after));
        found.as_ref().is_some_and(|found| Arc::ptr_eq(found, epoch))
    }

    /// The changes by the local guard that are in effect.
    pub fn gone_back(&self) -> Vec<GoneBack> {
        self.epoch.load().as_ref().map_or_else(Vec::new, |epoch| epoch.gone_back.clone())
    }

    pub(crate) fn has_gone_back(&self, migration: &str) -> bool {
        let is_its = |gone: &GoneBack| gone.migration == migration;
        self.epoch.load().as_ref().is_some_and(|epoch| epoch.gone_back.iter().any(is_its))
    }

    /// `None`: this was closed.
    fn begin_epoch(&self, snapshot: Snapshot, gone_back: Vec<GoneBack>) -> Option<Arc<Epoch>> {
        let revision = snapshot.revision();
        let mut live = self.live();
        if self.closed.load(Ordering::SeqCst) {
            return None;
        }
        let (ended, file) = (self.ended.clone(), live.file.clone());
        let epoch = Arc::new(Epoch { snapshot, gone_back, ended, file });
        live.epochs.push((revision, Arc::downgrade(&epoch)));
        Some(epoch)
    }

    /// [`Self::replace`] with a snapshot of another controller history, whose revisions mean something else.
    /// Nothing of the new history is acknowledged until every operation of the old one has ended.
    pub(crate) fn replace_history(&self, snapshot: Snapshot) {
        self.live().epochs.iter_mut().for_each(|(revision, _)| *revision = 0);
        self.suspend();
        self.readmitted();
        self.replace(snapshot);
    }

    /// Begins no operation until there is another snapshot. Operations in flight keep theirs.
    pub(crate) fn suspend(&self) {
        self.epoch.store(None);
    }

    /// Begins no operation any more, whatever snapshot arrives. Once the last one has ended, another process
    /// may use the file.
    pub(crate) fn close(&self) {
        let mut live = self.live();
        self.closed.store(true, Ordering::SeqCst);
        live.file = None;
        drop(live);
        self.suspend();
    }

    /// The client was dropped. Migrators may outlive it, but nothing would update their routing.
    pub(crate) fn dropped(&self) {
        if !Mutation::DroppedRoutesNoMore.is_left_out() {
            self.close();
        }
    }

    /// After [`Self::suspend`]: whether all operations have ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.live().epochs.iter().all(|(_, epoch)| epoch.strong_count() == 0)
    }

    /// The newest snapshot, without beginning an operation.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.epoch.load().as_ref().map(|epoch| epoch.snapshot.clone())
    }

    /// Newest revision received. 0: none.
    pub fn received_revision(&self) -> u64 {
        *self.received.borrow()
    }

    /// Notifies of each newer revision.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.received.subscribe()
    }

    /// The revision that this process has quiesced for: every operation begun under an older one has ended.
    /// 0: none.
    pub fn applied_revision(&self) -> u64 {
        if Mutation::Applied.is_left_out() {
            return self.received_revision();
        }
        let mut live = self.live();
        let epochs = &mut live.epochs;
        epochs.retain(|(_, epoch)| epoch.strong_count() > 0);
        let revisions = epochs.iter().map(|(revision, _)| *revision);
        revisions.min().unwrap_or_else(|| self.received_revision())
    }

    /// Waits until [`Self::applied_revision`] may have risen.
    pub async fn operations_ended(&self) {
        self.ended.notified().await;
    }

    /// Records that the controller was heard just now.
    pub fn heard(&self) {
        self.heard_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// Records that the controller answered a request sent at `sent` with the current state: the right to act counts
    /// from there.
    pub fn renewed(&self, sent: Instant) {
        self.lease.renew(sent);
    }

    /// Records that the controller answered a request sent at `sent`. A right to act that may have been passed over
    /// meanwhile does not come back by that.
    pub(crate) fn answered(&self, sent: Instant) {
        self.lease.answered(sent);
    }

    /// Records that what is held was the current state when this process registered, at `asked`. False: that is too long
    /// ago for a right to act, so register again.
    pub(crate) fn is_current(&self, asked: Instant) -> bool {
        self.lease.is_current(asked)
    }

    /// Time since the last answered request was sent.
    pub(crate) fn lease_age(&self) -> Duration {
        self.lease.age()
    }

    /// Whether an operation may continue. Not if the controller had given this instance up meanwhile, even if
    /// the right to act has been renewed since.
    pub(crate) fn may_act(&self, standing: &Standing) -> bool {
        if Mutation::LeaseAtEnd.is_left_out() {
            return true;
        }
        standing.admission == self.admission.load(Ordering::Acquire)
            && self.lease.check(&standing.policy).is_ok()
    }

    /// Records that the state comes from a file: the time its process was last heard, and how long it may be
    /// used after that.
    pub(crate) fn take_from_file(&self, heard: Instant, valid: Duration) {
        let ago_ms = i64::try_from(heard.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.heard_ms.store(self.elapsed_ms().saturating_sub(ago_ms), Ordering::Relaxed);
        self.lease.take_from_file(heard, valid);
    }

    /// Records that the state comes from the controller.
    pub(crate) fn is_the_controllers(&self) {
        self.lease.take_from_controller();
    }

    /// Time since the controller was last heard, or since the start.
    pub fn silent_ms(&self) -> u64 {
        let silent_ms = self.elapsed_ms().saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        u64::try_from(silent_ms).unwrap_or(0)
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Records that the controller had forgotten this instance: no write begun before may be acknowledged.
    pub fn readmitted(&self) {
        self.admission.fetch_add(1, Ordering::AcqRel);
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The conditions under which an operation was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) policy: Policy,
    admission: u64,
}

impl Operation {
    pub(crate) const fn standing(&self) -> Standing {
        Standing { policy: self.policy, admission: self.admission }
    }

    /// How long it may make store calls if the controller is not heard again. `None`: as long as it likes. For whoever
    /// makes the calls elsewhere and can't check the right to act before each.
    pub fn may_act_for(&self, current: &Current) -> Option<Duration> {
        current.lease.left(&self.policy)
    }

    /// To be checked when an operation ends: whether routing has moved so far meanwhile that its result can't
    /// be guaranteed. The outcome is then "indeterminate".
    ///
    /// True if its rung must not be live beside the tenant's current one (it is more than one step behind),
    /// if the right to act has expired, or if the controller had given this instance up.
    pub fn overtaken(&self, current: &Current, migration: &str, tenant: &str) -> bool {
        if Mutation::Overtaken.is_left_out() {
            return false;
        }
        // First: whatever is received after this can only take the right away for other reasons.
        if !current.may_act(&self.standing()) {
            return true;
        }
        let epoch = current.epoch.load();
        let Some(Ok(table)) = epoch.as_ref().map(|epoch| epoch.snapshot.table(migration)) else {
            return true;
        };
        // The fence may have been set while the operation ran.
        if current.lease.check(&table.policy()).is_err() && !Mutation::LeaseAtEnd.is_left_out() {
            return true;
        }
        routing::decide(table, tenant).map_or(true, |now| !coexist(self.decision.rung, now.rung))
    }
}
