//! One service of the demo: reads, writes and deletes through the SDK, and logs what was acknowledged before
//! it continues. Only this worker writes its third of each tenant's keys.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cutover_client::{Access, Client, Options, migrator::WriteError};
use cutover_core::routing::bucket;
use cutover_store::{
    Faulty,
    document::{Attribute, Document},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{KEY, RECORDS, TENANTS, fault};

/// Interval between operations: about a hundred a second per worker.
const PACE: Duration = Duration::from_millis(8);

/// Flags of the internal verb `demo-worker`.
#[derive(Clone, Debug, clap::Args)]
pub struct Worker {
    #[arg(long)]
    number: u64,
    #[arg(long)]
    dir: PathBuf,
}

/// A tenant's name.
pub(super) fn tenant(number: u64) -> String {
    format!("tenant-{number}")
}

/// Share of the operations for one tenant, since most services have one that is much larger.
const BUSIEST_PERCENT: u32 = 15;

/// The busiest tenant: the first that the rollout reaches at 10 %.
pub(super) fn busiest() -> String {
    let mut names = (0..TENANTS).map(tenant);
    names.find(|name| bucket(KEY, name) < 100_000).unwrap_or_else(|| tenant(0))
}

/// A key within a tenant.
pub(super) fn key(number: u64) -> String {
    format!("record-{number:03}")
}

/// A document of about 200 bytes that contains the number of its write; the seed's is 0.
pub(super) fn value(write: u64) -> Vec<u8> {
    format!(r#"{{"note":{{"S":"{:160}"}},"write":{{"N":"{write}"}}}}"#, "").into_bytes()
}

/// The write that a record contains.
pub(super) fn write_of(value: &[u8]) -> Option<u64> {
    match Document::decode(value).ok()?.0.get("write")? {
        Attribute::N(write) => write.as_str().parse().ok(),
        _ => None,
    }
}

impl Worker {
    /// Works until SIGTERM.
    pub async fn run(self, server: &str, access: Access) -> anyhow::Result<()> {
        let (source, target) = super::stores::open(&self.dir).await?;
        let target = Arc::new(Faulty::new(target));
        tokio::spawn(fault::follow(self.dir.clone(), target.clone()));
        let name = format!("worker-{}", self.number);
        let mut log = File::options().create(true).append(true).open(self.dir.join(format!("{name}.log")))?;
        let options = Options { instance_id: Some(name), access, ..Options::default() };
        let client = Client::connect(server, "demo", options).await?;
        let records = client.migrator(KEY, source, target);
        let mut stop = signal(SignalKind::terminate())?;
        let mut pace = tokio::time::interval(PACE);
        loop {
            tokio::select! {
                _ = stop.recv() => break,
                _ = pace.tick() => {}
            }
            let busy = rand::random_range(0..100) < BUSIEST_PERCENT;
            let tenant = if busy { busiest() } else { tenant(rand::random_range(0..TENANTS)) };
            let mine = key(rand::random_range(0..RECORDS / 3) * 3 + self.number - 1);
            match rand::random_range(0..10) {
                0..6 => {
                    if let Ok(found) = records.get_bytes(&tenant, &mine).await {
                        let write = found.as_deref().and_then(write_of);
                        writeln!(
                            log,
                            "read {tenant} {mine} {}",
                            write.map_or("-".to_owned(), |w| w.to_string())
                        )?;
                    }
                }
                kind => {
                    let delete = kind == 9;
                    // Later than every write of an earlier run of this worker.
                    let write = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
                    let what = if delete { "delete" } else { "put" };
                    writeln!(log, "{what} {tenant} {mine} {write}")?;
                    let done = if delete {
                        records.delete(&tenant, &mine).await
                    } else {
                        records.put_bytes(&tenant, &mine, value(write)).await
                    };
                    let how = match done {
                        Ok(_) => "ok",
                        Err(WriteError::Indeterminate(_)) => "unknown",
                        Err(_) => "refused",
                    };
                    writeln!(log, "{how}")?;
                }
            }
        }
        client.close().await;
        Ok(())
    }
}
