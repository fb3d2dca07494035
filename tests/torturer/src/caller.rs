//! A service without an SDK under torture. It reads and writes through a sidecar: half of its operations by `Get`, `Put`
//! and `Delete`, and half by store calls of its own between `Begin` and `End`.

mod own;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cutover_proto::v1::{self, sidecar_service_client::SidecarServiceClient};
use tokio::sync::watch;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::{
    KEYS, TENANTS,
    log::{Answer, Line, Log, now_ns},
    stores,
    worker::{PAUSE_MS, key, tenant, until_terminated, value, write_of},
};
use own::Own;

/// Pause after a failure: the sidecar may be dead.
const FAILED: Duration = Duration::from_millis(100);
/// Longest wait for an answer: without one a write's outcome is unknown.
const ANSWER: Duration = Duration::from_secs(20);

/// Flags of `caller`.
#[derive(Clone, Debug, clap::Args)]
pub struct Caller {
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    source: String,
    #[arg(long)]
    target: String,
    #[arg(long)]
    log: PathBuf,
}

impl Caller {
    /// Works until SIGTERM, or until it is killed.
    pub async fn run(self) -> anyhow::Result<()> {
        let (source, target) = (stores::open(&self.source).await?, stores::open(&self.target).await?);
        let log = Arc::new(Log::open(&self.log)?);
        // It connects when it is used, again and again: the sidecar comes and goes.
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()))?.timeout(ANSWER);
        let sidecar = SidecarServiceClient::new(endpoint.connect_lazy());
        let own = Own { sidecar: sidecar.clone(), source, target };
        until_terminated(|stopped| work(sidecar.clone(), own.clone(), log.clone(), stopped)).await
    }
}

async fn work(
    mut sidecar: SidecarServiceClient<Channel>,
    mut own: Own,
    log: Arc<Log>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    while !*stopped.borrow() {
        let (tenant, key) = (tenant(rand::random_range(0..TENANTS)), key(rand::random_range(0..KEYS)));
        let (kind, is_own) = (rand::random_range(0..10), rand::random_bool(0.5));
        let answered = if kind < 5 {
            let began = now_ns();
            let found = match is_own {
                true => own.read(&tenant, &key).await,
                false => read(&mut sidecar, &tenant, &key).await,
            };
            // A read that failed proves nothing.
            if let Some(found) = &found {
                let found = found.as_deref().and_then(write_of);
                log.note(&Line::Read { record: format!("{tenant}/{key}"), found, began, ended: now_ns() })?;
            }
            found.is_some()
        } else {
            let (op, unique) = (log.next_op(), (kind < 9).then(|| rand::random_range(1..=u64::MAX)));
            let record = format!("{tenant}/{key}");
            log.note(&Line::Begin { op, record, value: unique, at: now_ns() })?;
            let bytes = unique.map(value);
            let answer = match is_own {
                true => own.write(&tenant, &key, bytes).await,
                false => write(&mut sidecar, &tenant, &key, bytes).await,
            };
            log.note(&Line::End { op, answer, at: now_ns() })?;
            answer == Answer::Acknowledged
        };
        let pause = Duration::from_millis(rand::random_range(0..=PAUSE_MS));
        tokio::time::sleep(if answered { pause } else { FAILED }).await;
    }
    Ok(())
}

/// A read's answer; `None`: it failed.
async fn read(
    sidecar: &mut SidecarServiceClient<Channel>,
    tenant: &str,
    key: &str,
) -> Option<Option<Vec<u8>>> {
    let (tenant, key) = (tenant.to_owned(), key.to_owned());
    let request = v1::GetRequest { tenant, key, raw: true, ..Default::default() };
    Some(sidecar.get(request).await.ok()?.into_inner().raw)
}

async fn write(
    sidecar: &mut SidecarServiceClient<Channel>,
    tenant: &str,
    key: &str,
    value: Option<Vec<u8>>,
) -> Answer {
    let (tenant, key) = (tenant.to_owned(), key.to_owned());
    let done = match value {
        None => {
            let request = v1::DeleteRequest { tenant, key, ..Default::default() };
            sidecar.delete(request).await.map(drop)
        }
        raw => {
            let request = v1::PutRequest { tenant, key, raw, ..Default::default() };
            sidecar.put(request).await.map(drop)
        }
    };
    match done {
        Ok(()) => Answer::Acknowledged,
        Err(status) if is_not_applied(&status) => Answer::NotApplied,
        Err(_) => Answer::Indeterminate,
    }
}

/// Whether the sidecar says that nothing was written. Without its word nobody knows.
fn is_not_applied(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "NOT_APPLIED")
}
