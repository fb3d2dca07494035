//! Whether the stores can bear a copy in addition to their real work: checked every second, and explained in
//! words.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cutover_store::{Pressure, Store, StoreError};
use tokio::sync::watch;

use super::{Limits, Stores};

/// Interval between checks.
const EVERY: Duration = Duration::from_secs(1);
/// The quarantine's connection is used after this many checks: a middlebox may drop it after about 10 s.
const KEEP_EVERY: u64 = 5;
/// If a signal can't be read for this long, the copy pauses.
const BLIND: Duration = Duration::from_secs(15);

/// Why nothing may be copied now; empty: copying is allowed.
pub type Reason = String;

/// Checks both stores, and keeps the quarantine's connection open, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    reason: watch::Receiver<Reason>,
    task: tokio::task::JoinHandle<()>,
}

/// The last observation of one store.
#[derive(Clone, Debug)]
struct LastReading {
    name: &'static str,
    read_at: Instant,
    reason: Reason,
}

impl Watch {
    /// Starts checking.
    pub fn start(stores: &Stores, limits: Limits) -> Self {
        let (tell, reason) = watch::channel(Reason::new());
        let (source, target, quarantine) =
            (stores.source.clone(), stores.target.clone(), stores.quarantine.clone());
        let task = tokio::spawn(async move {
            let seen = |name| LastReading { name, read_at: Instant::now(), reason: Reason::new() };
            let (mut source_seen, mut target_seen) = (seen("source"), seen("target"));
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for tick in 0_u64.. {
                ticks.tick().await;
                // The quarantine may be used only at the end of a pass, and its connection must not be idle
                // until then.
                let keep = async {
                    if let Some(quarantine) = quarantine.as_ref().filter(|_| tick % KEEP_EVERY == 0) {
                        _ = look(quarantine).await;
                    }
                };
                let (one, other, ()) = tokio::join!(look(&source), look(&target), keep);
                source_seen.note(one, limits, Instant::now());
                target_seen.note(other, limits, Instant::now());
                let both = [&target_seen, &source_seen].map(|seen| seen.reason.as_str());
                let reason = both.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default();
                tell.send_if_modified(|told| {
                    let news = told != reason;
                    reason.clone_into(told);
                    news
                });
            }
        });
        Self { reason, task }
    }

    /// Why nothing may be copied now; empty: copying is allowed.
    pub fn reason(&self) -> Reason {
        self.reason.borrow().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(store: &Arc<dyn Store>) -> Result<Pressure, StoreError> {
    let timed_out = |_| StoreError::Throttled {
        retry_after: EVERY,
        what: "a trivial read did not end in 5 s".to_owned(),
    };
    tokio::time::timeout(Duration::from_secs(5), store.pressure()).await.map_err(timed_out)?
}

impl LastReading {
    fn note(&mut self, looked: Result<Pressure, StoreError>, limits: Limits, now: Instant) {
        let name = self.name;
        self.reason = match looked {
            Ok(pressure) => {
                self.read_at = now;
                over(name, pressure, limits)
            }
            Err(StoreError::Throttled { what, .. }) => format!("the {name} is overloaded: {what}"),
            Err(error) if now.duration_since(self.read_at) >= BLIND => {
                format!("the {name}'s load can't be read for {} s: {error}", BLIND.as_secs())
            }
            // A single failed check changes nothing.
            Err(_) => return,
        };
    }
}

fn over(name: &str, pressure: Pressure, limits: Limits) -> Reason {
    let Pressure { latency, replica_lag } = pressure;
    if latency > limits.latency {
        let (is, most) = (latency.as_millis(), limits.latency.as_millis());
        return format!("the {name} is slow: a trivial read takes {is} ms, over {most}");
    }
    match replica_lag.filter(|lag| *lag > limits.replica_lag) {
        Some(lag) => {
            let (is, most) = (lag.as_millis(), limits.replica_lag.as_millis());
            format!("a replica of the {name} is {is} ms behind, over {most}")
        }
        None => Reason::new(),
    }
}

#[cfg(test)]
mod tests {
    use cutover_store::{Faulty, MemoryStore};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_quarantine_is_asked_before_a_middlebox_takes_it_for_idle() {
        let (store, quarantine) = (Arc::new(MemoryStore::new()), Arc::new(Faulty::new(Arc::default())));
        let asked: Arc<Faulty<MemoryStore>> = quarantine.clone();
        let stores = Stores { source: store.clone(), target: store, quarantine: Some(quarantine) };
        let watch = Watch::start(&stores, Limits::default());
        for _ in 0..5 {
            sleep(Duration::from_secs(8)).await;
            assert!(!asked.take_calls().is_empty());
        }
        drop(watch);
        sleep(Duration::from_secs(20)).await;
        assert!(asked.take_calls().is_empty(), "the pass has ended");
    }

    #[test]
    fn a_load_that_cannot_be_read_pauses_after_a_while_and_not_at_once() {
        let began = Instant::now();
        let mut seen = LastReading { name: "target", read_at: began, reason: Reason::new() };
        let broken = || {
            Err(StoreError::NotApplied {
                class: cutover_core::outcome::ErrorClass::Connection,
                what: "refused".to_owned(),
            })
        };
        let limits = Limits::default();
        seen.note(broken(), limits, began + Duration::from_secs(14));
        assert_eq!(seen.reason, "");
        seen.note(broken(), limits, began + Duration::from_secs(15));
        assert!(seen.reason.contains("can't be read for 15 s"), "{}", seen.reason);
        let slow = Pressure { latency: Duration::from_secs(1), replica_lag: None };
        seen.note(Ok(slow), limits, began);
        assert!(seen.reason.contains("takes 1000 ms, over 500"), "{}", seen.reason);
        let behind = Pressure { replica_lag: Some(Duration::from_secs(9)), ..Pressure::default() };
        seen.note(Ok(behind), limits, began);
        assert!(seen.reason.contains("9000 ms behind, over 5000"), "{}", seen.reason);
        seen.note(Ok(Pressure::default()), limits, began);
        assert_eq!(seen.reason, "");
    }
}
