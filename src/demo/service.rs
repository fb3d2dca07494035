//! `cutover demo-service`: a small service with the SDK, for docs/guides. It reads, writes and deletes orders of
//! made-up customers, and checks that each read returns its last acknowledged write.

use std::{collections::HashMap, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use cutover_client::{
    Access, Client, Options,
    migrator::{Migrator, WriteError},
};
use cutover_store::{
    Id, Record, Store, StoreError, Version,
    document::Document,
    spec::{Missing, Spec, StoreSpec},
};

use crate::server::stop_signal;

/// The service's name.
const SERVICE: &str = "orders-demo";
const CUSTOMERS: u64 = 200;
/// Orders of each customer that one process writes.
const OWN_ORDERS: u64 = 10;
/// How often a batch of the seed is tried.
const SEED_ATTEMPTS: u32 = 5;
/// Records of one request while seeding.
const BATCH: usize = 100;
/// Interval between lines of output.
const SAY: Duration = Duration::from_secs(2);

/// Flags of `cutover demo-service`.
#[derive(Clone, Debug, clap::Args)]
pub struct Service {
    /// The file that names both stores: docs/spec.md
    pub spec: PathBuf,
    /// Operations per second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    per_second: u64,
    /// Instead of serving: create the source's table and write this many orders there, without versions, as an
    /// application does that has no SDK yet
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seed: Option<u64>,
}

/// What happened in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    reads: u64,
    writes: u64,
    failed: u64,
    unknown: u64,
    wrong: u64,
}

/// What this process knows of its own orders: the write that each holds, or that it is deleted. An order whose
/// last write has an unknown outcome is not in here.
type Known = HashMap<Id, Option<u64>>;

impl Service {
    /// Serves until SIGTERM or Ctrl-C; or seeds. `spec`: what the file says.
    ///
    /// # Errors
    ///
    /// If a store can't be used, the controller can't be reached, or a read returned something else
    /// than the last acknowledged write.
    pub async fn run(self, spec: &Spec, server: &str, access: Access) -> anyhow::Result<()> {
        match self.seed {
            Some(orders) => seed(spec, orders).await,
            None => self.serve(spec, server, access).await,
        }
    }

    async fn serve(&self, spec: &Spec, server: &str, access: Access) -> anyhow::Result<()> {
        let source = open(&spec.source, Missing::Refuse).await.context("the source (--seed N creates it)")?;
        let target = open(&spec.target, Missing::Refuse).await;
        let target = target.with_context(|| {
            let spec = self.spec.display();
            format!("the target (cutover backfill {spec} --create-tables --dry-run creates it)")
        })?;
        let client = Client::connect(server, SERVICE, Options { access, ..Options::default() }).await?;
        let orders = client.migrator(&spec.migration, source, target);
        say(&format!("serving {} as {SERVICE}", spec.migration))?;
        let total = self.traffic(&orders).await;
        client.close().await;
        let total = total?;
        say(&format!("stopped. In total: {}", total.line()))?;
        anyhow::ensure!(total.wrong == 0, "{} reads did not return the last acknowledged write", total.wrong);
        Ok(())
    }

    async fn traffic(&self, orders: &Migrator) -> anyhow::Result<Tally> {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / self.per_second as u32);
        // After a slow call: no burst.
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lines = tokio::time::interval_at(tokio::time::Instant::now() + SAY, SAY);
        let mut stop = std::pin::pin!(stop_signal());
        let (mut total, mut lately, mut known) = (Tally::default(), Tally::default(), Known::new());
        let mut error = None;
        let prefix = format!("new-{:08x}", rand::random::<u32>());
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = lines.tick() => {
                    let why = error.take().map(|why| format!(": {why}")).unwrap_or_default();
                    say(&format!("{}{why}", lately.line()))?;
                    total.add(lately);
                    lately = Tally::default();
                }
                _ = pace.tick() => {
                    let id = own_order(&prefix)?;
                    let done = operate(orders, &id, &mut known, &mut lately).await;
                    error = error.or(done.err());
                }
            }
        }
        total.add(lately);
        Ok(total)
    }
}

/// One operation on one order.
async fn operate(orders: &Migrator, id: &Id, known: &mut Known, tally: &mut Tally) -> Result<(), String> {
    let kind = rand::random_range(0..10);
    if kind < 6 {
        tally.reads += 1;
        let found = orders.get_bytes(&id.tenant, &id.key).await.map_err(|error| {
            tally.failed += 1;
            error.to_string()
        })?;
        let found = found.as_deref().and_then(write_of);
        if known.get(id).is_some_and(|expected| *expected != found) {
            tally.wrong += 1;
        }
        return Ok(());
    }
    tally.writes += 1;
    let write = rand::random_range(1..u64::from(u32::MAX));
    let (done, holds) = match kind {
        9 => (orders.delete(&id.tenant, &id.key).await, None),
        _ => (orders.put_bytes(&id.tenant, &id.key, order(write)).await, Some(write)),
    };
    let Err(error) = done else {
        known.insert(id.clone(), holds);
        return Ok(());
    };
    if matches!(error, WriteError::Indeterminate(_)) {
        known.remove(id);
        tally.unknown += 1;
    } else {
        tally.failed += 1;
    }
    Err(error.to_string())
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.wrong += other.wrong;
    }

    fn line(&self) -> String {
        let Self { reads, writes, failed, unknown, wrong } = self;
        format!(
            "{reads} reads, {writes} writes; {failed} failed, {unknown} with unknown outcome, {wrong} wrong reads"
        )
    }
}

async fn open(store: &StoreSpec, missing: Missing) -> anyhow::Result<Arc<dyn Store>> {
    Ok(store.open(missing, |name| std::env::var(name).ok()).await?)
}

async fn seed(spec: &Spec, orders: u64) -> anyhow::Result<()> {
    let source = open(&spec.source, Missing::Create).await.context("the source")?;
    let mut batch = Vec::with_capacity(BATCH);
    for at in 0..orders {
        let id = Id::new(&customer(at % CUSTOMERS), &format!("order-{:06}", at / CUSTOMERS))?;
        batch.push((id, Record { version: Version::ZERO, value: Some(order(at)) }));
        if batch.len() == BATCH || at + 1 == orders {
            written(&*source, &batch).await?;
            batch.clear();
        }
    }
    say(&format!(
        "wrote {orders} orders of {} customers to the source, without versions",
        CUSTOMERS.min(orders)
    ))
}

/// Writes a batch; a server that has just started may take a few attempts.
async fn written(source: &dyn Store, batch: &[(Id, Record)]) -> anyhow::Result<()> {
    let mut left = SEED_ATTEMPTS;
    loop {
        left -= 1;
        match source.put_many_if_newer(batch).await {
            Ok(_) => return Ok(()),
            Err(error) if left == 0 || matches!(error, StoreError::Permanent { .. }) => {
                return Err(error).context("run it again: it writes the same orders");
            }
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn customer(number: u64) -> String {
    format!("customer-{number}")
}

/// An order that no other process writes.
fn own_order(prefix: &str) -> anyhow::Result<Id> {
    let number = rand::random_range(0..OWN_ORDERS);
    Ok(Id::new(&customer(rand::random_range(0..CUSTOMERS)), &format!("{prefix}-{number}"))?)
}

/// A document of about 150 bytes that contains the number of its write.
fn order(write: u64) -> Vec<u8> {
    let status = ["new", "paid", "sent"][(write % 3) as usize];
    format!(
        r#"{{"note":{{"S":"{:60}"}},"status":{{"S":"{status}"}},"total":{{"N":"{}.5"}},"write":{{"N":"{write}"}}}}"#,
        "leave it at the back door",
        write % 1000
    )
    .into_bytes()
}

fn write_of(value: &[u8]) -> Option<u64> {
    match Document::decode(value).ok()?.0.get("write")? {
        cutover_store::document::Attribute::N(write) => write.as_str().parse().ok(),
        _ => None,
    }
}

/// A line on stdout, for whoever follows it in a file.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("nobody reads the output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_canonical_and_tells_its_write() {
        for write in [0, 7, 4_000_000_000] {
            let value = order(write);
            assert!(Document::decode_canonical(&value).is_ok(), "{}", String::from_utf8_lossy(&value));
            assert_eq!(write_of(&value), Some(write));
        }
    }
}
