//! After the torture: all faults are removed, and every record is read once more.

use std::{
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use cutover_client::{Client, Options};

use super::{DELAY_MOST_MS, Story};
use crate::{
    KEY, KEYS, TENANTS,
    log::{Log, now_ns},
    stores,
    worker::{self, PATIENCE},
};

impl Story {
    /// Removes all faults, lets the services end, and reads every record once more.
    pub(super) async fn end(&mut self, source: &str, target: &str, dir: &Path) -> anyhow::Result<()> {
        self.links.iter().chain(&self.stores).for_each(|link| link.heal());
        self.controllers.restart_all()?;
        for worker in &mut self.workers {
            worker.end().await?;
        }
        if let Some(mut pass) = self.pass.take() {
            pass.kill().await?;
        }
        // Whatever was in flight has landed by then.
        tokio::time::sleep(Duration::from_millis(DELAY_MOST_MS + 200)).await;
        self.told.cuts =
            self.links.iter().chain(&self.stores).map(|link| link.cuts.load(Ordering::Relaxed)).sum();
        self.told.leader_changes = self.controllers.leader_changes();
        self.told.end_ns = now_ns();
        self.bury().await?;
        let [source, target] = [source, target].map(|url| url.replace("{dir}", &dir.display().to_string()));
        let (source, target) = (stores::open(&source).await?, stores::open(&target).await?);
        let options = Options { start_timeout: Duration::from_secs(30), ..Options::default() };
        let client = Client::connect(&self.places.direct, "torture", options).await?;
        let records = client.migrator(KEY, source, target);
        let log = Log::open(&dir.join("last.log"))?;
        for tenant in 0..TENANTS {
            for key in 0..KEYS {
                worker::read_surely(&records, &log, &worker::tenant(tenant), &worker::key(key)).await?;
            }
        }
        client.close().await;
        Ok(())
    }

    /// A step that waits for dead instances would hold its tenants for ever.
    async fn bury(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.status().await {
                if status.instances.is_empty() {
                    return Ok(());
                }
                self.evict(&status, |_| true).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("those that are dead can't be evicted: see controller-*.err")
    }
}
