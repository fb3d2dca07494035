//! A service that reads and writes its records through the SDK.

use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cutover_client::{
    Client, Options,
    migrator::Migrator,
    watch::{Current, Source},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    KEY,
    traffic::{self, Party, Records},
};
use crate::{
    data::DataStore,
    expiring,
    invariants::telemetry,
    play,
    world::{self, Pid},
};

/// What one service does.
#[derive(Clone)]
pub struct Service {
    /// Its place.
    pub pid: Pid,
    /// Its name in the story.
    pub name: String,
    /// Which of the services it is part of.
    pub service: String,
    /// What it registers as.
    pub instance_id: String,
    /// File of its last snapshot.
    pub persist: Option<PathBuf>,
    /// How long that file may be used.
    pub persist_for: Duration,
    /// Operations at a time.
    pub lanes: u64,
    /// Mean time between two of them.
    pub think_ms: u64,
    /// Which records it uses.
    pub records: Records,
    /// Both stores.
    pub stores: [DataStore; 2],
    /// How long its last store calls may take.
    pub drain: Duration,
    /// How often it reports. `None`: as often as the controller asks for.
    pub report_interval: Option<Duration>,
    /// Tells it to end in order.
    pub stop: Arc<Notify>,
    /// Told to end, it drops its client, and goes on with the migrator.
    pub drops: Arc<AtomicBool>,
    /// It begins no operation from then on.
    pub quiet_from: world::Time,
    /// Of its randomness.
    pub seed: u64,
}

impl Service {
    /// Serves until it is told to stop, or killed.
    pub async fn run(self) {
        let client = loop {
            let options = Options {
                instance_id: Some(self.instance_id.clone()),
                persist: self.persist.clone(),
                persist_for: self.persist_for,
                drain: self.drain,
                report_interval: self.report_interval,
                ..Options::default()
            };
            match Client::connect(play::address(), &self.service, options).await {
                Ok(client) => break client,
                Err(error) => world::tell(|| format!("{}: {error}", self.name)),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        world::tell(|| format!("{}: started, {:?}", self.name, client.status().source));
        let client = Arc::new(client);
        let [source, target] = self.stores.clone();
        let migrator = expiring::with_ttl(client.migrator(KEY, source, target));
        let mut lanes = JoinSet::new();
        let (current, weak) = (client.current().clone(), Arc::downgrade(&client));
        let lane = |lane| self.clone().lane(lane, weak.clone(), current.clone(), migrator.clone());
        (0..self.lanes).for_each(|number| _ = lanes.spawn(lane(number)));
        let mut next_lane = self.lanes;
        loop {
            tokio::select! {
                () = self.stop.notified() => break,
                // It panicked, which its service survives.
                Some(Err(_)) = lanes.join_next() => {
                    lanes.spawn(lane(next_lane));
                    next_lane += 1;
                }
            }
        }
        if self.drops.load(Ordering::Relaxed) {
            drop(client);
            telemetry::excuse("a service dropped its client with its counts");
            world::tell(|| format!("{}: has dropped its client", self.name));
            return std::future::pending().await;
        }
        let delivered = client.close().await;
        world::tell(|| format!("{}: closed, delivered: {delivered}", self.name));
        if delivered {
            play::has_said_goodbye(&self.instance_id);
        } else {
            telemetry::excuse("a service ended without delivering its counts");
        }
        lanes.abort_all();
        play::ended(self.pid);
    }

    /// One operation after the other.
    async fn lane(self, lane: u64, client: Weak<Client>, current: Arc<Current>, migrator: Migrator) {
        let mut random = SmallRng::seed_from_u64(self.seed ^ lane);
        let by = format!("{}#{lane}", self.name);
        let from_file = || client.upgrade().is_some_and(|client| client.status().source == Source::Persisted);
        let party = Party {
            by: &by,
            migrator: &migrator,
            current: &current,
            vouches: &|| true,
            left_behind: &|| play::may_be_left_behind(self.pid, from_file()),
        };
        loop {
            traffic::think(&mut random, self.think_ms).await;
            if world::now() >= self.quiet_from {
                return self.write_what_is_asked(&party).await;
            }
            // Callers give up now and then.
            let patience = match random.random_range(0..20) {
                0 => random.random_range(1..2_000),
                _ => 60_000,
            };
            let record = self.records.draw(&mut random);
            let operation = party.operate(&mut random, record);
            _ = tokio::time::timeout(Duration::from_millis(patience), operation).await;
        }
    }

    /// Writes records once of which operators were told that somebody has to.
    async fn write_what_is_asked(&self, party: &Party<'_>) {
        while expiring::ttl().is_some() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some((tenant, key)) = play::calm::take_to_write() {
                party.put(&tenant, &key).await;
            }
        }
    }
}
