//! A service under torture: reads, writes and deletes hot records through the SDK from several tasks, and
//! logs each operation before it continues. It does not know what is done to it.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cutover_client::{
    Client, Options,
    migrator::{Migrator, ReadError, WriteError},
    store::document::{Attribute, Document},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    KEY, KEYS, TENANTS,
    bug::Bug,
    log::{Answer, Line, Log, now_ns},
    stores,
    unreliable::{Active, Moods},
};

/// Tasks of a worker, each with one operation at a time.
const TASKS: usize = 4;
/// Random pause between a task's operations, up to this.
pub const PAUSE_MS: u64 = 20;
/// Patience with the final reads, which nothing disturbs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `worker`.
#[derive(Clone, Debug, clap::Args)]
pub struct Worker {
    #[arg(long)]
    server: String,
    #[arg(long)]
    name: String,
    #[arg(long)]
    source: String,
    #[arg(long)]
    target: String,
    #[arg(long)]
    log: PathBuf,
    #[arg(long)]
    bug: Option<Bug>,
}

/// A record's value, a document with the number of its write.
pub fn value(write: u64) -> Vec<u8> {
    format!(r#"{{"note":{{"S":"{:30}"}},"write":{{"N":"{write}"}}}}"#, "").into_bytes()
}

/// The number of the write in a value.
pub fn write_of(value: &[u8]) -> Option<u64> {
    match Document::decode(value).ok()?.0.get("write")? {
        Attribute::N(write) => write.as_str().parse().ok(),
        _ => None,
    }
}

/// A tenant's name.
pub fn tenant(number: u64) -> String {
    format!("tenant-{number}")
}

/// A key within a tenant.
pub fn key(number: u64) -> String {
    format!("key-{number}")
}

impl Worker {
    /// Works until SIGTERM, or until it is killed.
    pub async fn run(self) -> anyhow::Result<()> {
        let (mut source, mut target) = (stores::open(&self.source).await?, stores::open(&self.target).await?);
        if let Some(bug) = self.bug {
            (source, target) = bug.for_service(source, target);
        }
        let moods = Moods::default();
        (source, target) = moods.stores(source, target);
        hear(moods.clone());
        let log = Arc::new(Log::open(&self.log)?);
        let options = Options {
            instance_id: Some(self.name.clone()),
            start_timeout: Duration::from_secs(30),
            ..Options::default()
        };
        let client = Arc::new(Client::connect(&self.server, "torture", options).await?);
        if let Some(bug) = self.bug {
            tokio::spawn(bug.lie_for(client.clone(), self.name, self.server));
        }
        let records = client.migrator(KEY, source, target);
        until_terminated(|stopped| work(records.clone(), log.clone(), moods.clone(), stopped)).await?;
        client.close().await;
        Ok(())
    }
}

/// Runs its tasks until SIGTERM, and then until each has ended its operation.
pub async fn until_terminated<F>(task: impl Fn(watch::Receiver<bool>) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut stop = signal(SignalKind::terminate())?;
    let (stopping, stopped) = watch::channel(false);
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(task(stopped.clone()))).collect();
    stop.recv().await;
    stopping.send_replace(true);
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Changes the mood at each line of input, on a thread that nobody waits for at the end.
fn hear(moods: Moods) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if let Ok(mood) = serde_json::from_str(&line) {
                moods.set(mood);
            }
        }
    });
}

async fn work(
    records: Migrator,
    log: Arc<Log>,
    moods: Moods,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    while !*stopped.borrow() {
        let (tenant, key) = (tenant(rand::random_range(0..TENANTS)), key(rand::random_range(0..KEYS)));
        match rand::random_range(0..10) {
            kind if kind < 5 || moods.now().active == Active::Reads => {
                _ = read(&records, &log, &tenant, &key).await?;
            }
            kind => write(&records, &log, &tenant, &key, kind == 9).await?,
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=PAUSE_MS))).await;
    }
    Ok(())
}

/// One read; what it found is logged. The inner error: it failed, which proves nothing.
async fn read(
    records: &Migrator,
    log: &Log,
    tenant: &str,
    key: &str,
) -> anyhow::Result<Result<(), ReadError>> {
    let began = now_ns();
    let found = match records.get_bytes(tenant, key).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let found = found.as_deref().and_then(write_of);
    log.note(&Line::Read { record: format!("{tenant}/{key}"), found, began, ended: now_ns() })?;
    Ok(Ok(()))
}

/// One read that has to be answered, however often it is retried.
pub async fn read_surely(records: &Migrator, log: &Log, tenant: &str, key: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match read(records, log, tenant, key).await? {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() >= PATIENCE => {
                return Err(error).with_context(|| format!("{tenant}/{key} can't be read at the end"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn write(records: &Migrator, log: &Log, tenant: &str, key: &str, delete: bool) -> anyhow::Result<()> {
    let op = log.next_op();
    // Unique over all lives of all workers, and never the seed's.
    let unique = rand::random_range(1..=u64::MAX);
    let record = format!("{tenant}/{key}");
    log.note(&Line::Begin { op, record, value: (!delete).then_some(unique), at: now_ns() })?;
    let done = match delete {
        true => records.delete(tenant, key).await,
        false => records.put_bytes(tenant, key, value(unique)).await,
    };
    let answer = match done {
        Ok(_) => Answer::Acknowledged,
        Err(WriteError::Indeterminate(_)) => Answer::Indeterminate,
        Err(_) => Answer::NotApplied,
    };
    log.note(&Line::End { op, answer, at: now_ns() })
}
