//! Watches every migration that has left source-only, and rolls it back when its guards trip.
//!
//! A report is judged when it arrives. A verdict is one commit through [`Operate`], so losing the race to
//! another commit changes nothing. After a restart the judges begin without evidence: they may trip later,
//! never falsely. What stages had shown before is restored.

mod cells;
mod followed;
mod watched;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_clock::Instant;
use cutover_proto::v1;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Instances, Operate, Registry, Windows,
    once::Once,
    operate::{self, RequestMeta},
};
use crate::{
    domain::{
        Breach, Change, Key, Refusal,
        guard::{Action, Level, NotCounted, Standing, Verdict},
    },
    store,
    telemetry::Ingest,
};

pub use followed::Followed;
use watched::{Watched, is_watched};

/// Interval of the judges' ticks.
const TICK: Duration = Duration::from_secs(1);
/// Delay before a verdict that the store could not accept is retried.
const RETRY: Duration = Duration::from_millis(100);

/// A verdict to be committed.
#[derive(Debug)]
pub struct Concluded {
    key: Key,
    breach: Breach,
    at: Instant,
}

/// The guards of this controller.
#[derive(Debug)]
pub struct Guards {
    registry: Arc<Registry>,
    operate: Arc<Operate>,
    instances: Arc<Instances>,
    ingest: Arc<Ingest>,
    began: Instant,
    judges: Mutex<HashMap<Key, Watched>>,
    followed: Mutex<HashMap<Key, Followed>>,
    concluded: mpsc::UnboundedSender<Concluded>,
}

impl Guards {
    /// Guards without judges. Verdicts go to [`Self::act`].
    pub fn new(
        registry: Arc<Registry>,
        operate: Arc<Operate>,
        instances: Arc<Instances>,
        ingest: Arc<Ingest>,
    ) -> (Self, mpsc::UnboundedReceiver<Concluded>) {
        // Bounded by what guards can trip: each is latched until its stage is over.
        let (concluded, conclusions) = mpsc::unbounded_channel();
        let guards = Self {
            registry,
            operate,
            instances,
            ingest,
            began: Instant::now(),
            judges: Mutex::default(),
            followed: Mutex::default(),
            concluded,
        };
        (guards, conclusions)
    }

    /// Restores what stages had shown before this process began. Call it once, before the first report.
    pub async fn recall(&self, windows: &Windows) -> Result<(), store::Error> {
        self.sync();
        let stages: Vec<_> =
            self.judges().iter().map(|(key, watched)| (key.clone(), watched.stage_revision())).collect();
        for (key, revision) in stages {
            let shown = windows.since(&key, revision).await?;
            if let Some(watched) = self.judges().get_mut(&key) {
                watched.recall(&shown);
            }
        }
        Ok(())
    }

    /// Judges a report that was counted for the first time. True: it looks bad, and the next report is wanted
    /// soon.
    pub fn observe(&self, report: &v1::ReportRequest) -> bool {
        let state = self.registry.state();
        let mut judges = self.judges();
        let now_ms = self.now_ms();
        let mut by_key: HashMap<&str, Vec<&v1::Cell>> = HashMap::new();
        for cell in &report.cells {
            by_key.entry(&cell.migration).or_default().push(cell);
        }
        let mut is_bad = false;
        for (key, watched) in judges.iter_mut() {
            let cells = by_key.remove(key.as_str()).unwrap_or_default();
            // A report may be decided under a revision that the watching task has not seen yet.
            if let Some(entry) = state.entry(key).filter(|_| !cells.is_empty()) {
                watched.sync(&entry.migration, now_ms);
            }
            is_bad |= cells.iter().any(|cell| has_target_errors(cell));
            let verdicts = watched.observe(&report.instance_id, report.sequence, &cells, now_ms);
            self.conclude(key, watched.stage_revision(), verdicts);
        }
        is_bad
    }

    /// The instance is gone, or a new process has its name.
    pub fn goodbye(&self, instance: &str) {
        self.judges().values_mut().for_each(|watched| watched.goodbye(instance));
    }

    /// What the guards of a migration say about a step up. `None`: it is not watched. Its times are those of
    /// the guards' clock: [`Self::unix_ms`].
    pub fn standing(&self, key: &Key) -> Option<Standing> {
        let state = self.registry.state();
        let mut judges = self.judges();
        let now_ms = self.now_ms();
        let watched = judges.get_mut(key)?;
        // A step may have been committed that the watching task has not seen yet.
        if let Some(entry) = state.entry(key) {
            watched.sync(&entry.migration, now_ms);
        }
        Some(watched.standing(now_ms))
    }

    /// How far each guard of a migration is from a trip. Empty: it is not watched.
    pub fn levels(&self, key: &Key) -> Vec<Level> {
        self.judges().get(key).map(Watched::levels).unwrap_or_default()
    }

    /// What was not judged, for a migration that is watched.
    pub fn refused(&self, key: &Key) -> Option<NotCounted> {
        self.judges().get(key).map(Watched::refused)
    }

    /// How the instances followed the newest trip of a migration since this controller started.
    pub fn followed(&self, key: &Key) -> Option<Followed> {
        self.follows().get(key).copied()
    }

    /// Converts a time of the guards' clock to Unix time.
    pub fn unix_ms(&self, guards_ms: u64) -> u64 {
        (operate::now_ms() + guards_ms).saturating_sub(self.now_ms())
    }

    /// Keeps judges for the migrations to be watched, and advances their clocks, until the process ends.
    pub async fn watch(&self) {
        let mut revisions = self.registry.subscribe();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.sync();
            tokio::select! {
                _ = revisions.changed() => {}
                _ = ticks.tick() => self.tick(),
            }
        }
    }

    /// Commits verdicts until the process ends.
    pub async fn act(self: Arc<Self>, mut conclusions: mpsc::UnboundedReceiver<Concluded>) {
        let mut acting = JoinSet::new();
        loop {
            tokio::select! {
                concluded = conclusions.recv() => {
                    let Some(concluded) = concluded else { return };
                    let guards = self.clone();
                    // One migration's store problems delay no other.
                    acting.spawn(async move { guards.carry_out(concluded).await });
                }
                Some(ended) = acting.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a verdict was not carried out");
                        return;
                    }
                }
            }
        }
    }

    async fn carry_out(&self, Concluded { key, breach, at }: Concluded) {
        let verdict = &breach.verdict;
        let actor = format!("guard:{}", verdict.guard.kind.name());
        let by = RequestMeta { actor, ..RequestMeta::default() };
        let change = Change::Trip(Box::new(breach.clone()));
        let mut once = Once::default();
        loop {
            let tripped = self.operate.change(&key, &change, &by).await;
            let is_news = once.is_news(&tripped);
            match tripped {
                Ok(outcome) if outcome.changes.is_empty() => return,
                Ok(outcome) => {
                    tracing::warn!(migration.key = %key, guard = %verdict.guard, "{verdict}");
                    if verdict.action == Action::Rollback {
                        self.ingest.rolled_back(&key);
                        followed::follow(self, &key, outcome.revision, at.elapsed()).await;
                    }
                    return;
                }
                // The judge is latched: nobody concludes it again. If it was committed after all, the retry
                // changes nothing.
                Err(operate::Error::Store(error)) => {
                    if is_news {
                        tracing::error!(migration.key = %key, %error, "could not commit a guard's verdict; retrying");
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(operate::Error::Refused(Refusal::NotFound(_))) => return,
                Err(error) => {
                    tracing::error!(migration.key = %key, %error, "a guard's verdict was refused: {verdict}");
                    return;
                }
            }
        }
    }

    fn sync(&self) {
        let state = self.registry.state();
        let mut judges = self.judges();
        let now_ms = self.now_ms();
        judges.retain(|key, _| state.entry(key).is_some_and(|entry| is_watched(&entry.migration)));
        self.follows().retain(|key, _| state.entry(key).is_some());
        for entry in state.entries().filter(|entry| is_watched(&entry.migration)) {
            match judges.get_mut(entry.migration.key()) {
                Some(watched) => watched.sync(&entry.migration, now_ms),
                None => {
                    let watched = Watched::new(&entry.migration, now_ms);
                    judges.insert(entry.migration.key().clone(), watched);
                }
            }
        }
    }

    fn tick(&self) {
        let mut judges = self.judges();
        let now_ms = self.now_ms();
        for (key, watched) in judges.iter_mut() {
            let verdicts = watched.tick(now_ms);
            self.conclude(key, watched.stage_revision(), verdicts);
        }
    }

    fn conclude(&self, key: &Key, stage_revision: u64, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            let breach = Breach { stage_revision, verdict };
            // Only while the process ends is there no receiver.
            let _ = self.concluded.send(Concluded { key: key.clone(), breach, at: Instant::now() });
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Read the clock after locking, so that a judge never sees it go back.
    fn judges(&self) -> MutexGuard<'_, HashMap<Key, Watched>> {
        self.judges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follows(&self) -> MutexGuard<'_, HashMap<Key, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_target_errors(cell: &v1::Cell) -> bool {
    cell.stores.iter().any(|calls| calls.store() == v1::StoreRole::Target && calls.errors.is_some())
}
