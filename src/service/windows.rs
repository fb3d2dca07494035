//! Stores what was reported, for 90 days and across restarts, and reads it back
//! (docs/adr/0018-windows-are-added-to-the-store.md).
//!
//! Counts and the sequence numbers of their reports are stored in one transaction. A controller that stops
//! cleanly loses nothing. One that is killed loses what was counted since the last transaction: at most
//! [`EVERY`], or as long as the store was unavailable. Nothing is ever counted twice: a report that is sent
//! again is known by its sequence number, and a gap shows how many reports were lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use cutover_clock::Instant;
use futures::FutureExt as _;
use tokio::sync::Mutex;

use super::{Registry, once::Once};
use crate::{
    domain::{Counts, Expiry, Key, Scale, WindowId},
    store::{Counted, Error, HeardRecord, Store, WindowQuery},
    telemetry::{Heard, Ingest, Known, now_ms},
};

/// Interval between transactions.
pub const EVERY: Duration = Duration::from_secs(10);

/// Stores what was reported.
#[derive(Debug)]
pub struct Windows {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    ingest: Arc<Ingest>,
    began: Instant,
    /// Locked while the store is asked, so that nothing is in flight when it is read.
    pending: Arc<Mutex<Pending>>,
}

/// What the store does not have yet.
#[derive(Debug, Default)]
struct Pending {
    windows: BTreeMap<WindowId, Counts>,
    heard: BTreeMap<String, HeardRecord>,
    forgotten: BTreeSet<String>,
    expiry: Expiry,
}

/// Counts that continue where the last process stopped. `registered`: ids of instances.
pub fn ingest<'a>(heard: Vec<HeardRecord>, registered: impl Iterator<Item = &'a str>) -> Ingest {
    let heard = heard.into_iter().map(|record| {
        let HeardRecord { instance_id, incarnation, sequence, dropped_cells } = record;
        Heard { instance_id, incarnation, sequence, dropped_cells }
    });
    Ingest::after(heard.collect(), &registered.collect(), now_ms())
}

impl Windows {
    /// Stores the counts of `ingest`.
    pub fn new(store: Arc<dyn Store>, registry: Arc<Registry>, ingest: Arc<Ingest>) -> Self {
        Self { store, registry, ingest, began: Instant::now(), pending: Arc::default() }
    }

    /// Stores counts regularly until the process ends.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            ticks.tick().await;
            let saved = self.save().await;
            if once.is_news(&saved)
                && let Err(error) = saved
            {
                tracing::error!(%error, "could not persist recent telemetry; retrying");
            }
        }
    }

    /// Stores what the store does not have yet. It continues to its end if the caller is dropped; otherwise
    /// nobody would know what was counted.
    pub async fn save(&self) -> Result<(), Error> {
        let mut pending = self.pending.clone().lock_owned().await;
        pending.take_from(&self.ingest);
        {
            let state = self.registry.state();
            self.ingest.retain(|key| state.entry(key).is_some());
            pending.windows.retain(|id, _| state.entry(&id.key).is_some());
        }
        if pending.is_empty() {
            return Ok(());
        }
        let now_s = pending.expiry.time_s(now_ms() / 1_000, self.began.elapsed().as_secs());
        let (store, ingest) = (self.store.clone(), self.ingest.clone());
        let under_way = self.registry.under_way().hold();
        let saving = tokio::spawn(async move {
            let _under_way = under_way;
            let Pending { windows, heard, forgotten, .. } = pending.take();
            let counted = Counted {
                windows: windows.into_iter().collect(),
                heard: heard.into_values().collect(),
                forgotten: forgotten.into_iter().collect(),
                now_s,
            };
            let panicked = |_| Err(Error::Unknown("the call panicked".to_owned()));
            let saved = AssertUnwindSafe(store.count(&counted)).catch_unwind().await.unwrap_or_else(panicked);
            match &saved {
                Ok(()) => {}
                // Lost is better than counted twice, and is shown.
                Err(Error::Unknown(_)) => ingest.note_dropped(counted.windows.len() as u64),
                Err(_) => pending.put_back(counted),
            }
            saved
        });
        saving.await.unwrap_or_else(|error| Err(Error::Unknown(error.to_string())))
    }

    /// Windows of a migration that begin in a span, in order, with everything counted so far.
    pub async fn windows(&self, query: &WindowQuery) -> Result<Vec<(u64, Counts)>, Error> {
        let mut pending = self.pending.lock().await;
        pending.take_from(&self.ingest);
        let mut windows: BTreeMap<u64, Counts> = self.store.windows(query).await?.into_iter().collect();
        let news = pending.windows.iter().filter(|(id, _)| {
            id.key == query.key && id.scale == query.scale && (query.from..query.before).contains(&id.at)
        });
        for (id, counts) in news {
            windows.entry(id.at).or_default().merge(counts);
        }
        Ok(windows.into_iter().collect())
    }

    /// Everything that was decided under `revision` or a later one: what a step has shown since that revision
    /// began it. It is the same after a restart, except for what a crash lost; then it is less, never more.
    /// It is also less if there were very many revisions since then (over [`Scale::REVISIONS_MAX`]).
    /// Latencies are not included.
    pub async fn since(&self, key: &Key, revision: u64) -> Result<Counts, Error> {
        let query =
            WindowQuery { key: key.clone(), scale: Scale::Revision, from: revision, before: u64::MAX };
        let windows = self.windows(&query).await?;
        Ok(windows.iter().fold(Counts::default(), |mut sum, (_, counts)| {
            sum.merge(counts);
            sum
        }))
    }

    /// Removes a deleted migration.
    pub async fn forget(&self, key: &str) {
        let mut pending = self.pending.lock().await;
        self.ingest.forget(key);
        pending.windows.retain(|id, _| id.key.as_str() != key);
    }
}

/// What the controller knows about the migration of a report. `None`: it does not exist.
pub fn known(registry: &Registry, key: &str) -> Option<Known> {
    let state = registry.state();
    let migration = &state.entry_of(key)?.migration;
    let created_revision = migration.document.created_revision;
    Some(Known { created_revision, revision: migration.revision, rollout: migration.document.rollout() })
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.heard.is_empty() && self.forgotten.is_empty()
    }

    /// Everything except the current time.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { expiry: self.expiry, ..Self::default() })
    }

    fn take_from(&mut self, ingest: &Ingest) {
        let taken = ingest.take();
        for (id, counts) in taken.windows {
            if id.scale == Scale::Second {
                for scale in [Scale::Minute, Scale::HalfHour] {
                    let at = scale.start_of(id.at);
                    self.add(WindowId { key: id.key.clone(), scale, at }, &counts);
                }
            }
            self.add(id, &counts);
        }
        for id in taken.forgotten {
            self.heard.remove(&id);
            self.forgotten.insert(id);
        }
        for Heard { instance_id, incarnation, sequence, dropped_cells } in taken.heard {
            self.forgotten.remove(&instance_id);
            let record = HeardRecord { instance_id, incarnation, sequence, dropped_cells };
            self.heard.insert(record.instance_id.clone(), record);
        }
    }

    fn add(&mut self, id: WindowId, counts: &Counts) {
        self.windows.entry(id).or_default().merge(counts);
    }

    /// It could not be stored. What would have expired by now is not retried.
    fn put_back(&mut self, counted: Counted) {
        let Counted { windows, heard, forgotten, now_s } = counted;
        self.windows = windows.into_iter().collect();
        self.windows.retain(|id, _| id.scale == Scale::Revision || id.at >= id.scale.expired_before(now_s));
        self.heard = heard.into_iter().map(|record| (record.instance_id.clone(), record)).collect();
        self.forgotten = forgotten.into_iter().collect();
    }
}
