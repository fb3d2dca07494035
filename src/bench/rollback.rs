//! Onset to safety: the target begins to fail under many instances; how long until the last of them
//! routes at a stage where that does no harm? Real SDKs over loopback, a controller of its own process.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use cutover_client::{
    Client, Options,
    report::ErrorClass,
    routing::Rung,
    store::{Fault, Faulty, MemoryStore, StoreError, Verb},
};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use serde::Serialize;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{
    KEY,
    child::{Process, Role, raise_limits},
    figures::{Figures, Row, percentile, round},
};

const TENANTS: u32 = 1_000;
/// Health before the first fault: how bursty errors are takes 30 s to be known, and counts threefold
/// until then.
const WARM: Duration = Duration::from_secs(33);
/// Health before each.
const HEALTHY: Duration = Duration::from_secs(2);
/// A rollback that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(1);

/// Flags of `cutover bench rollback`.
#[derive(Clone, Debug, clap::Args)]
pub struct Rollback {
    /// Instances of the SDK
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    instances: u32,
    /// Reads a second of the target, of all instances together
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    calls_per_s: u32,
    /// Percent of the target's calls that fail
    #[arg(long, value_name = "PCT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    errors: u32,
    /// Trials, one after the other
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    trials: u32,
}

/// The numbers, from the onset of the fault.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    instances: u32,
    calls_per_s: u32,
    errors_percent: u32,
    trials: u32,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    noticing_p50_ms: f64,
    deciding_p50_ms: f64,
    committing_p50_ms: f64,
    spreading_p50_ms: f64,
}

/// One trial, in milliseconds.
struct Trial {
    /// Until the first call fails.
    noticing: f64,
    /// From then to the verdict: errors gather, reports travel, the guards judge.
    deciding: f64,
    /// From the verdict until the commit is durable.
    committing: f64,
    /// From then until the last instance routes by it.
    spreading: f64,
    all: f64,
}

struct World {
    admin: AdminServiceClient<Channel>,
    clients: Vec<Client>,
    target: Arc<Faulty<MemoryStore>>,
    failing: Arc<Failing>,
    _traffic: JoinSet<()>,
}

/// Whether the target fails now, and when a call first did.
#[derive(Debug, Default)]
struct Failing {
    is_on: AtomicBool,
    first: std::sync::Mutex<Arc<OnceLock<Instant>>>,
}

impl Rollback {
    pub(super) async fn run(self) -> anyhow::Result<Figures> {
        raise_limits();
        let dir = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
        let controller = Process::start(&Role::Controller { dir: dir.path().to_owned() }).await?;
        let mut world = self.world(&controller.url).await?;
        world.ramp_up().await?;
        tokio::time::sleep(WARM).await;
        let mut trials = Vec::new();
        for _ in 0..self.trials {
            trials.push(world.trial().await?);
        }
        drop(world);
        controller.stop().await?;
        let of = |part: fn(&Trial) -> f64, percent| {
            percentile(&trials.iter().map(part).collect::<Vec<_>>(), percent)
        };
        let numbers = Numbers {
            bench: "rollback",
            instances: self.instances,
            calls_per_s: self.calls_per_s,
            errors_percent: self.errors,
            trials: self.trials,
            p50_ms: round(of(|t| t.all, 50), 1),
            p95_ms: round(of(|t| t.all, 95), 1),
            p99_ms: round(of(|t| t.all, 99), 1),
            noticing_p50_ms: round(of(|t| t.noticing, 50), 1),
            deciding_p50_ms: round(of(|t| t.deciding, 50), 1),
            committing_p50_ms: round(of(|t| t.committing, 50), 1),
            spreading_p50_ms: round(of(|t| t.spreading, 50), 1),
        };
        let row = |what: &str, ms| Row::cost(what, "ms", ms, None);
        let rows = vec![
            row("onset to safety, p50", numbers.p50_ms),
            row("onset to safety, p95", numbers.p95_ms),
            row("onset to safety, p99", numbers.p99_ms),
            row("noticing: the first call fails, p50", numbers.noticing_p50_ms),
            row("deciding: until the verdict, p50", numbers.deciding_p50_ms),
            row("committing, p50", numbers.committing_p50_ms),
            row("spreading to the last instance, p50", numbers.spreading_p50_ms),
        ];
        let title = format!(
            "rollback: {} instances, {} target calls/s, {} % of them fail; {} trials",
            self.instances, self.calls_per_s, self.errors, self.trials
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }

    async fn world(&self, url: &str) -> anyhow::Result<World> {
        let admin = AdminServiceClient::connect(url.to_owned()).await?;
        let (source, target) = (Arc::new(MemoryStore::new()), Arc::new(Faulty::new(Arc::default())));
        let failing = Arc::new(Failing::default());
        let mut world = World { admin, clients: Vec::new(), target, failing, _traffic: JoinSet::new() };
        let create = v1::CreateMigrationRequest { key: KEY.to_owned(), ..Default::default() };
        world.admin.create_migration(create).await?;
        // Half of the calls are of tenants at target-first.
        let every = Duration::from_secs_f64(f64::from(self.instances) / f64::from(self.calls_per_s) / 2.0);
        for at in 0..self.instances {
            let options = Options { instance_id: Some(format!("bench-{at}")), ..Options::default() };
            let client = Client::connect(url, "bench", options).await?;
            let orders = client.migrator(KEY, source.clone(), world.target.clone());
            let (failing, target) = (world.failing.clone(), world.target.clone());
            let errors = self.errors;
            world._traffic.spawn(async move {
                tokio::time::sleep(every.mul_f64(rand::random())).await;
                let mut calls = tokio::time::interval(every);
                loop {
                    calls.tick().await;
                    let tenant = tenant(rand::random_range(0..TENANTS));
                    if failing.is_on() && rand::random_range(0..100) < errors {
                        target.next(Verb::Get, down());
                    }
                    if orders.get(&tenant, "order").await.is_err() {
                        failing.note();
                    }
                }
            });
            world.clients.push(client);
        }
        Ok(world)
    }
}

fn tenant(at: u32) -> String {
    format!("tenant-{at}")
}

fn down() -> Fault {
    Fault::Refuse(StoreError::NotApplied { class: ErrorClass::Connection, what: "refused".to_owned() })
}

impl Failing {
    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    fn first(&self) -> Arc<OnceLock<Instant>> {
        self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn note(&self) {
        self.first().get_or_init(Instant::now);
    }

    fn begin(&self) {
        *self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::default();
        self.is_on.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }
}

impl World {
    async fn trial(&mut self) -> anyhow::Result<Trial> {
        self.ramp_up().await?;
        tokio::time::sleep(HEALTHY).await;
        let probe = self.target_first_tenant()?;
        let (onset, onset_unix_ms) = (Instant::now(), unix_ms());
        self.failing.begin();
        let mut behind: Vec<&Client> = self.clients.iter().collect();
        while !behind.is_empty() {
            if onset.elapsed() > PATIENCE {
                bail!("{} instances have not gone back within {} s", behind.len(), PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK).await;
            behind.retain(|client| {
                client.decide(KEY, &probe).is_ok_and(|decision| decision.rung >= Rung::TargetFirst)
            });
        }
        let all = ms(onset.elapsed());
        let first = self.failing.first().get().copied().unwrap_or(onset);
        self.failing.end();
        self.target.heal();
        let explain = v1::ExplainRequest { key: KEY.to_owned(), tenant: probe };
        let followed = self.admin.explain(explain).await?.into_inner().followed.unwrap_or_default();
        let get = v1::GetMigrationRequest { key: KEY.to_owned() };
        let trips = self.admin.get_migration(get).await?.into_inner().trips;
        let trip = trips.last().context("no guard has tripped")?;
        // The trip is dated when its commit begins, a moment after the verdict.
        let noticing = ms(first.saturating_duration_since(onset));
        let decided = trip.at_ms.saturating_sub(onset_unix_ms) as f64;
        let committing = followed.decided_ms as f64;
        let deciding = (decided - noticing).max(0.0);
        let spreading = (all - noticing - deciding - committing).max(0.0);
        let acknowledge = v1::AcknowledgeRequest { mutation: mutation(), key: KEY.to_owned() };
        self.admin.acknowledge(acknowledge).await?;
        Ok(Trial { noticing, deciding, committing, spreading, all })
    }

    async fn ramp_up(&mut self) -> anyhow::Result<()> {
        let ramp = v1::SetRolloutRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            mirrored_ppm: Some(1_000_000),
            target_first_ppm: Some(500_000),
            wait: true,
            // The stores of this bench hold nothing that could be lost.
            override_gates: vec!["full-pass".to_owned()],
            ..Default::default()
        };
        self.admin.set_rollout(ramp).await?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let request = v1::GetStatusRequest { key: KEY.to_owned() };
            let status = self.admin.get_status(request).await?.into_inner();
            if status.settled
                && status.migration.is_some_and(|migration| migration.state() == v1::State::Idle)
            {
                return Ok(());
            }
            tokio::time::sleep(LOOK * 50).await;
        }
        bail!("the instances do not settle at target-first: is the machine too slow for so many?")
    }

    fn target_first_tenant(&self) -> anyhow::Result<String> {
        let client = self.clients.first().context("there is no instance")?;
        let is_there =
            |name: &String| client.decide(KEY, name).is_ok_and(|decision| decision.rung == Rung::TargetFirst);
        (0..TENANTS).map(tenant).find(is_there).context("nobody is at target-first")
    }
}

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation { reason: "bench".to_owned(), ..Default::default() })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
