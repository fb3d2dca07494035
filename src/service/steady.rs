//! The clock of waits that safety relies on: it advances evenly, whatever the wall clock says, and across
//! restarts.

use std::time::Duration;

use cutover_clock::{Instant, now_ms};
use cutover_core::routing::Mutation;

/// How often it is stored: a restart extends a wait by at most this plus the downtime.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// Milliseconds of a controller's life, over all its processes. It was set to Unix time at the first start,
/// so that times in older documents are comparable.
#[derive(Debug)]
pub(super) struct Steady {
    base_ms: u64,
    began: Instant,
}

impl Steady {
    /// Continues from where the last process left it. The time in between does not count, because no clock
    /// measured it. 0: there was no process before.
    pub(super) fn from(kept_ms: u64) -> Self {
        let base_ms = if kept_ms == 0 { now_ms() } else { kept_ms };
        Self { base_ms, began: Instant::now() }
    }

    /// Its current reading.
    pub(super) fn now_ms(&self) -> u64 {
        if Mutation::WaitsAreSteady.is_left_out() {
            return now_ms();
        }
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base_ms.saturating_add(elapsed_ms)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        service::Registry,
        store::{Store, memory::MemoryStore},
    };

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_over_restarts_and_does_not_count_the_downtime() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (registry, _) = Registry::load(store.clone()).await.unwrap();
        let began_ms = registry.steady_ms();
        assert!(began_ms > 1_700_000_000_000, "at first it shows Unix time: {began_ms}");
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!((3_600_000..3_601_000).contains(&(registry.steady_ms() - began_ms)));
        registry.save_time().await.unwrap();
        drop(registry);
        tokio::time::advance(Duration::from_secs(86_400)).await;
        let (registry, _) = Registry::load(store).await.unwrap();
        assert!((3_600_000..3_601_000).contains(&(registry.steady_ms() - began_ms)), "a day of downtime");
    }
}
