//! A migration in memory, and the decisions that callers may still be using.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use crate::{
    domain::{CALLERS, Member, Migration},
    service::lease::DECISION_EXPIRED,
};

/// A migration in memory.
#[derive(Debug)]
pub struct Entry {
    /// The migration.
    pub migration: Migration,
    published: Published,
    asked: Arc<Asked>,
}

/// Callers without an SDK, who ask for each decision.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// Time since they asked last.
    pub asked: Duration,
    /// Every answer from before this revision has expired.
    pub applied: u64,
    /// Longest time that a step still waits for them. Zero: it does not.
    pub waited_for: Duration,
}

/// When revisions of a migration were published here, for as long as an older answer may still be used.
#[derive(Clone, Debug)]
struct Published(Vec<Batch>);

/// Revisions that were published within [`BATCH`].
#[derive(Clone, Debug)]
struct Batch {
    first: u64,
    began: Instant,
    /// When decisions began to be made by it. Not set: not yet.
    ended: Arc<OnceLock<Instant>>,
}

/// Limits how many batches are remembered.
const BATCH: Duration = Duration::from_millis(100);

/// When a migration was last asked about over the network, in ms after the first question ever. One that is created
/// again with the key of a deleted one shares this with it: answers from before the deletion are still in use.
#[derive(Debug)]
pub(super) struct Asked {
    started: Instant,
    at_ms: AtomicU64,
    /// The store has recorded that somebody asked.
    is_durable: AtomicBool,
}

impl Entry {
    /// For a new migration. `asked`: that of an earlier one with its key.
    pub(super) fn new(migration: Migration, asked: Option<Arc<Asked>>) -> Self {
        let published = Published::first(migration.revision);
        Self { published, migration, asked: asked.unwrap_or_else(|| Arc::new(Asked::never())) }
    }

    /// For a migration that existed when the controller started. `was_asked`: somebody may have asked before.
    pub(super) fn loaded(migration: Migration, was_asked: bool) -> Self {
        let asked = match was_asked && !Mutation::CallersKept.is_left_out() {
            true => Asked::before(true),
            false => Asked::never(),
        };
        // The age of its revisions is unknown too.
        let published = Published::first(1);
        published.note();
        Self { published, migration, asked: Arc::new(asked) }
    }

    /// Its next revision.
    pub(super) fn next(&self, migration: Migration) -> Self {
        let published = self.published.and(migration.revision);
        Self { migration, published, asked: self.asked.clone() }
    }

    /// When it was asked about, for a later migration with its key.
    pub(super) fn asked(&self) -> Arc<Asked> {
        self.asked.clone()
    }

    /// Records that somebody asks for a decision over the network. Call it before reading the routing that
    /// the answer is made from.
    pub fn note_asked(&self) {
        self.asked.note();
    }

    /// Decisions are made by it from now on at the latest.
    pub(super) fn note_published(&self) {
        self.published.note();
    }

    /// Whether a restarted controller will know that there may be callers. Nobody may be answered before.
    pub fn is_known_to_be_asked(&self) -> bool {
        self.asked.is_durable.load(Ordering::Relaxed)
    }

    /// The store has recorded it.
    pub fn note_known_to_be_asked(&self) {
        self.asked.is_durable.store(true, Ordering::Relaxed);
    }

    /// Callers over the network, if any of them may still use an answer.
    pub fn callers(&self) -> Option<Callers> {
        let asked = self.asked.elapsed().filter(|elapsed| *elapsed < DECISION_EXPIRED)?;
        let member = self.remote_callers();
        Some(Callers {
            asked,
            applied: member.as_ref().map_or(self.migration.revision, |member| member.applied),
            waited_for: member.and_then(|member| member.waited_for).unwrap_or_default(),
        })
    }

    /// Callers over the network hold answers that expire. They have acknowledged a revision once every answer
    /// that was requested before its publication has expired.
    pub(in crate::service) fn remote_callers(&self) -> Option<Member> {
        let asked = self.asked.elapsed().is_some_and(|elapsed| elapsed < DECISION_EXPIRED);
        let is_waited_for = |batch: &&Batch| {
            let is_older = batch.first < self.migration.revision;
            let is_left_out =
                is_older && Mutation::OlderAnswers.is_left_out() || Mutation::Callers.is_left_out();
            batch.is_recent() && !is_left_out
        };
        let batch = self.published.0.iter().find(is_waited_for)?;
        asked.then(|| Member {
            name: CALLERS.to_owned(),
            service: String::new(),
            received: batch.first - 1,
            applied: batch.first - 1,
            lost: false,
            refused: false,
            worker: false,
            waited_for: Some(DECISION_EXPIRED.saturating_sub(batch.age())),
        })
    }
}

impl Published {
    /// Decisions are made by the newest revision from now on, at the latest.
    fn note(&self) {
        self.0.iter().for_each(|batch| _ = batch.ended.get_or_init(Instant::now));
    }

    fn first(revision: u64) -> Self {
        Self(vec![Batch::of(revision)])
    }

    fn and(&self, revision: u64) -> Self {
        let mut recent: Vec<_> = self.0.iter().filter(|batch| batch.is_recent()).cloned().collect();
        match recent.last_mut() {
            Some(batch) if batch.began.elapsed() < BATCH => batch.ended = Arc::default(),
            _ => recent.push(Batch::of(revision)),
        }
        Self(recent)
    }
}

impl Batch {
    fn of(first: u64) -> Self {
        Self { first, began: Instant::now(), ended: Arc::default() }
    }

    fn is_recent(&self) -> bool {
        self.age() < DECISION_EXPIRED
    }

    fn age(&self) -> Duration {
        self.ended.get().map_or(Duration::ZERO, Instant::elapsed)
    }
}

impl Asked {
    fn never() -> Self {
        Self { started: Instant::now(), at_ms: AtomicU64::new(u64::MAX), is_durable: AtomicBool::new(false) }
    }

    /// Somebody may have asked until now. `is_durable`: the store has recorded it.
    pub(super) fn before(is_durable: bool) -> Self {
        let asked = Self { is_durable: AtomicBool::new(is_durable), ..Self::never() };
        asked.note();
        asked
    }

    fn note(&self) {
        let now_ms = self.started.elapsed().as_millis() as u64;
        // Written only when it changes, so that callers share the cache line.
        if self.at_ms.load(Ordering::Relaxed) != now_ms {
            self.at_ms.store(now_ms, Ordering::SeqCst);
        }
    }

    /// Time since somebody asked for a decision over the network; `None`: nobody ever did.
    fn elapsed(&self) -> Option<Duration> {
        match self.at_ms.load(Ordering::SeqCst) {
            u64::MAX => None,
            at_ms => Some(self.started.elapsed().saturating_sub(Duration::from_millis(at_ms))),
        }
    }
}

#[cfg(test)]
mod tests;
