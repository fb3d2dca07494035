//! Stores the progress of passes.

use std::time::Duration;

use super::{super::once::Once, LivePass, Passes};
use crate::store::{self, Upkeep};

/// Interval.
const KEEP: Duration = Duration::from_secs(5);

impl Passes {
    /// Stores progress until the process ends.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(KEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            ticks.tick().await;
            let kept = self.keep_now().await;
            if once.is_news(&kept)
                && let Err(error) = kept
            {
                tracing::warn!(%error, "could not persist the progress of passes; retrying");
            }
        }
    }

    /// Stores progress now if that is possible, or else later: what the caller asked for is done, and must not be
    /// answered as failed.
    pub(super) async fn keep_soon(&self) {
        if let Err(error) = self.keep_now().await {
            tracing::warn!(%error, "could not persist the progress of passes yet; retrying");
        }
    }

    /// Stores progress now.
    pub async fn keep_now(&self) -> Result<(), store::Error> {
        // One at a time, so that no older record follows a newer one.
        let _keeping = self.keeping.lock().await;
        let upkeep = {
            let mut live = self.live();
            live.values_mut().for_each(|pass| pass.unpublished &= self.job(&pass.record.id).is_err());
            let is_over = |pass: &LivePass| !pass.unpublished && self.job(&pass.record.id).is_err();
            let over = live.values().filter(|pass| is_over(pass));
            let remove_passes = over.map(|pass| pass.record.id.clone()).collect();
            let unkept = |pass: &&LivePass| pass.unkept && !is_over(pass);
            let put_passes = live.values().filter(unkept).map(|pass| pass.record.clone()).collect();
            Upkeep { put_passes, remove_passes, ..Upkeep::default() }
        };
        if upkeep.put_passes.is_empty() && upkeep.remove_passes.is_empty() {
            return Ok(());
        }
        self.store.keep(&upkeep).await?;
        // Only now: a call that is dropped earlier leaves everything to the next one.
        let mut live = self.live();
        upkeep.remove_passes.iter().for_each(|id| _ = live.remove(id));
        for record in &upkeep.put_passes {
            let Some(pass) = live.get_mut(&record.id) else { continue };
            pass.unkept &= pass.record != *record;
            let tables = (&record.source, &record.target);
            pass.unkept_tables &= (&pass.record.source, &pass.record.target) != tables;
        }
        Ok(())
    }
}
