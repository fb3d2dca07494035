//! One migration of the bench, with its stores and its traffic, that is rolled back again and again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use cutover_client::{
    Client,
    migrator::{Migrator, ReadError},
};
use cutover_core::{
    outcome::{ErrorClass, StoreRole},
    routing::Rung,
};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use cutover_store::{Fault, Faulty, Id, MemoryStore, Record, StoreError, Verb, Version};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::Rollback;

const TENANTS: u32 = 1_000;
/// The key of each tenant's record, in both stores.
const ORDER: &str = "order";
/// Duration of health before each fault.
const HEALTHY: Duration = Duration::from_secs(2);
/// A rollback that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(1);

/// One trial, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// Until the first call fails.
    pub(super) noticing: f64,
    /// From then to the verdict: errors accumulate, reports travel, the guards judge.
    pub(super) deciding: f64,
    /// From the verdict until the commit is durable.
    pub(super) committing: f64,
    /// From then until the last instance routes by it.
    pub(super) spreading: f64,
    pub(super) all: f64,
    /// The guard that tripped.
    pub(super) guard: String,
}

/// A migration, with traffic until it is dropped.
pub(super) struct Subject<'a> {
    key: String,
    admin: AdminServiceClient<Channel>,
    clients: &'a [Client],
    target: Arc<Faulty<MemoryStore>>,
    first_failure: FirstFailure,
    target_first_ppm: u32,
    /// Shares of the calls that fail.
    background: f64,
    errors: f64,
    _traffic: JoinSet<()>,
}

/// When a call to the target first failed since the onset.
#[derive(Clone, Debug, Default)]
struct FirstFailure(Arc<Mutex<Option<Instant>>>);

impl<'a> Subject<'a> {
    pub(super) async fn start(
        url: &str,
        key: String,
        clients: &'a [Client],
        flags: &Rollback,
    ) -> anyhow::Result<Self> {
        let mut admin = AdminServiceClient::connect(url.to_owned()).await?;
        let create = v1::CreateMigrationRequest { key: key.clone(), ..Default::default() };
        admin.create_migration(create).await?;
        let background = flags.background / 100.0;
        let (source, target) = (store(background)?, store(background)?);
        let calls_per_s = f64::from(flags.calls_per_s) * 100.0 / flags.share;
        let every = Duration::from_secs_f64(f64::from(flags.instances) / calls_per_s);
        let (first_failure, mut traffic) = (FirstFailure::default(), JoinSet::new());
        for client in clients {
            let orders = client.migrator(&key, source.clone(), target.clone());
            traffic.spawn(read(orders, every, first_failure.clone()));
        }
        Ok(Self {
            key,
            admin,
            clients,
            target,
            first_failure,
            target_first_ppm: (flags.share * 10_000.0) as u32,
            background,
            errors: flags.errors / 100.0,
            _traffic: traffic,
        })
    }

    pub(super) async fn trial(&mut self) -> anyhow::Result<Trial> {
        self.ramp_up().await?;
        tokio::time::sleep(HEALTHY).await;
        let probe = self.target_first_tenant()?;
        let (onset, onset_unix_ms) = (Instant::now(), unix_ms());
        self.first_failure.take();
        self.target.sometimes(Verb::Get, self.errors, down());
        let mut behind: Vec<&Client> = self.clients.iter().collect();
        while !behind.is_empty() {
            if onset.elapsed() > PATIENCE {
                bail!("{} instances have not gone back within {} s", behind.len(), PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK).await;
            behind.retain(|client| {
                client.decide(&self.key, &probe).is_ok_and(|decision| decision.rung >= Rung::TargetFirst)
            });
        }
        let all = ms(onset.elapsed());
        let first = self.first_failure.take().unwrap_or(onset);
        self.target.sometimes(Verb::Get, self.background, down());
        let explain = v1::ExplainRequest { key: self.key.clone(), tenant: probe };
        let followed = self.admin.explain(explain).await?.into_inner().followed.unwrap_or_default();
        let get = v1::GetMigrationRequest { key: self.key.clone() };
        let trips = self.admin.get_migration(get).await?.into_inner().trips;
        let trip = trips.last().context("no guard has tripped")?;
        // The trip is dated when its commit begins, a moment after the verdict.
        let noticing = ms(first.saturating_duration_since(onset));
        let decided = trip.at_ms.saturating_sub(onset_unix_ms) as f64;
        let committing = followed.decided_ms as f64;
        let deciding = (decided - noticing).max(0.0);
        let spreading = (all - noticing - deciding - committing).max(0.0);
        let guard = trip.guard.clone();
        let acknowledge = v1::AcknowledgeRequest { mutation: mutation(), key: self.key.clone() };
        self.admin.acknowledge(acknowledge).await?;
        Ok(Trial { noticing, deciding, committing, spreading, all, guard })
    }

    pub(super) async fn ramp_up(&mut self) -> anyhow::Result<()> {
        let ramp = v1::SetRolloutRequest {
            mutation: mutation(),
            key: self.key.clone(),
            mirrored_ppm: Some(1_000_000),
            target_first_ppm: Some(self.target_first_ppm),
            wait: true,
            // The stores of this bench are equal and stay so.
            override_gates: vec!["full-pass".to_owned()],
            ..Default::default()
        };
        self.admin.set_rollout(ramp).await?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let request = v1::GetStatusRequest { key: self.key.clone() };
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
        let is_there = |name: &String| {
            client.decide(&self.key, name).is_ok_and(|decision| decision.rung == Rung::TargetFirst)
        };
        (0..TENANTS).map(tenant).find(is_there).context("nobody is at target-first: give a larger --share")
    }
}

impl FirstFailure {
    fn note(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn take(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads of one instance, for random tenants.
async fn read(orders: Migrator, every: Duration, first_failure: FirstFailure) {
    tokio::time::sleep(every.mul_f64(rand::random())).await;
    let mut calls = tokio::time::interval(every);
    loop {
        calls.tick().await;
        let tenant = tenant(rand::random_range(0..TENANTS));
        if let Err(ReadError::Failed { store: StoreRole::Target, .. }) =
            orders.get_bytes(&tenant, ORDER).await
        {
            first_failure.note();
        }
    }
}

/// A store with a record of each tenant; this share of its reads fails.
fn store(failing: f64) -> anyhow::Result<Arc<Faulty<MemoryStore>>> {
    let records = MemoryStore::new();
    for tenant in (0..TENANTS).map(tenant) {
        let record = Record { version: Version::ZERO, value: Some(b"order".to_vec()) };
        records.insert(Id::new(&tenant, ORDER)?, record);
    }
    let store = Faulty::new(Arc::new(records));
    store.sometimes(Verb::Get, failing, down());
    Ok(Arc::new(store))
}

fn tenant(at: u32) -> String {
    format!("tenant-{at}")
}

fn down() -> Fault {
    Fault::Refuse(StoreError::NotApplied { class: ErrorClass::Connection, what: "refused".to_owned() })
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
