//! Calls in flight, and how long the oldest has been running.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwap;

use super::cell::{LANES, Running};

/// Maximum migrations whose calls in flight are counted; further ones are not.
const MIGRATIONS_MAX: usize = 256;

/// One call in flight. Drop it when the call has ended.
#[derive(Debug)]
pub struct InFlight(Option<(Arc<Lanes>, usize, usize)>);

/// Every migration's calls in flight.
#[derive(Debug, Default)]
pub(super) struct AllInFlight(ArcSwap<Vec<Arc<Lanes>>>);

#[derive(Debug)]
struct Lanes {
    migration: Arc<str>,
    lanes: [Mutex<Slots>; LANES],
}

/// Start times of calls, in slots that are reused: as many as ever ran at once.
#[derive(Debug, Default)]
struct Slots {
    began: Vec<Option<Instant>>,
    free: Vec<usize>,
}

impl AllInFlight {
    pub(super) fn begin(&self, migration: &str, lane: usize) -> InFlight {
        let Some(lanes) = self.find(migration).or_else(|| self.admit(migration)) else {
            return InFlight(None);
        };
        let mut slots = lanes.slots(lane);
        let now = Some(Instant::now());
        let slot = if let Some(slot) = slots.free.pop() {
            slots.began[slot] = now;
            slot
        } else {
            slots.began.push(now);
            slots.began.len() - 1
        };
        drop(slots);
        InFlight(Some((lanes, lane, slot)))
    }

    /// Every migration with calls in flight: its key and its lanes.
    pub(super) fn running(&self, now: Instant) -> Vec<(Arc<str>, [Running; LANES])> {
        let all = self.0.load();
        let running = all.iter().map(|lanes| {
            let running = std::array::from_fn(|lane| lanes.slots(lane).running(now));
            (lanes.migration.clone(), running)
        });
        running.filter(|(_, running)| *running != <[Running; LANES]>::default()).collect()
    }

    fn find(&self, migration: &str) -> Option<Arc<Lanes>> {
        self.0.load().iter().find(|lanes| &*lanes.migration == migration).cloned()
    }

    /// Makes room for a migration, if necessary by removing those without calls.
    fn admit(&self, migration: &str) -> Option<Arc<Lanes>> {
        let new = Arc::new(Lanes { migration: migration.into(), lanes: Default::default() });
        self.0.rcu(|all| {
            let mut all = Vec::clone(all);
            if all.len() >= MIGRATIONS_MAX {
                all.retain(|lanes| Arc::strong_count(lanes) > 2 || !lanes.is_idle());
            }
            if all.len() < MIGRATIONS_MAX && !all.iter().any(|lanes| *lanes.migration == *migration) {
                all.push(new.clone());
            }
            all
        });
        self.find(migration)
    }
}

impl Lanes {
    fn slots(&self, lane: usize) -> MutexGuard<'_, Slots> {
        self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        (0..LANES).all(|lane| {
            let slots = self.slots(lane);
            slots.free.len() == slots.began.len()
        })
    }
}

impl Slots {
    fn running(&self, now: Instant) -> Running {
        let mut running = Running::default();
        for began in self.began.iter().flatten() {
            let age = now.saturating_duration_since(*began);
            running.ages.record(age);
            running.oldest_us = running.oldest_us.max(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        }
        running
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some((lanes, lane, slot)) = &self.0 {
            let mut slots = lanes.slots(*lane);
            slots.began[*slot] = None;
            slots.free.push(*slot);
        }
    }
}
