//! A service without an SDK: it asks `Decide`, and keeps to how long an answer is good.
//!
//! It routes as the SDK does, by the answer for one tenant at a time. What ends when the answer has
//! expired it does not vouch for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover_client::{
    clock::Instant,
    host,
    migrator::{self, Migrator, Parts, Stamper},
    report::Recorder,
    routing::{Band, PPM, Policy, Reason, Route, Rung, Snapshot, Table},
    watch::Current,
};
use cutover_proto::v1::{self, routing_service_client::RoutingServiceClient};
use rand::{SeedableRng as _, rngs::SmallRng};
use tonic::transport::{Channel, Endpoint};

use super::{
    CONTROLLER, KEY,
    traffic::{self, Party, Records},
};
use crate::{data::DataStore, world};

/// What one caller does.
pub struct Caller {
    /// Its name in the story.
    pub name: String,
    /// Tells its versions from others'; callers agree on these among themselves.
    pub slot: u16,
    /// The migration's, which an answer does not tell.
    pub policy: Policy,
    /// Mean time between two operations.
    pub think_ms: u64,
    /// Which records it uses.
    pub records: Records,
    /// Both stores.
    pub stores: [DataStore; 2],
    /// It begins no operation from then on.
    pub quiet_from: world::Time,
    /// Of its randomness.
    pub seed: u64,
}

/// What it knows of a tenant.
struct Known {
    current: Arc<Current>,
    migrator: Migrator,
    /// No operation begins by the answer any later.
    until: Instant,
    /// No operation that was begun by it is vouched for any later.
    finish: Instant,
}

impl Caller {
    /// Works until it is killed.
    pub async fn run(self) {
        let endpoint = Endpoint::from_static(CONTROLLER)
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(3));
        let mut routing = RoutingServiceClient::new(host::connect_lazy(&endpoint));
        let Ok(stamper) = Stamper::new(self.slot).map(Arc::new) else { return };
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut known = BTreeMap::new();
        loop {
            traffic::think(&mut random, self.think_ms).await;
            if world::now() >= self.quiet_from {
                return std::future::pending().await;
            }
            let (tenant, key) = self.records.draw(&mut random);
            let entry = known.entry(tenant.clone()).or_insert_with(|| self.unknown(stamper.clone()));
            if entry.until.remaining().is_zero() && !self.ask(&mut routing, &tenant, entry).await {
                continue;
            }
            let finish = entry.finish;
            let party = Party {
                by: &self.name,
                migrator: &entry.migrator,
                current: &entry.current,
                vouches: &move || !finish.remaining().is_zero(),
                left_behind: &|| false,
            };
            party.operate(&mut random, (tenant, key)).await;
        }
    }

    fn unknown(&self, stamper: Arc<Stamper>) -> Known {
        let current = Arc::new(Current::default());
        let [source, target] = self.stores.clone().map(|store| Arc::new(store) as _);
        let migrator = Migrator::new(Parts {
            current: current.clone(),
            recorder: Arc::new(Recorder::new()),
            migration: KEY.to_owned(),
            stamper,
            source,
            target,
            options: migrator::Options::default(),
        });
        let now = Instant::now();
        Known { current, migrator, until: now, finish: now }
    }

    /// Asks where a tenant goes. False: there is no answer.
    async fn ask(
        &self,
        routing: &mut RoutingServiceClient<Channel>,
        tenant: &str,
        known: &mut Known,
    ) -> bool {
        // From before the question, so that it never expires later here than at the controller.
        let asked = Instant::now();
        let request = v1::DecideRequest { migration: KEY.to_owned(), tenant: tenant.to_owned() };
        let Ok(answer) = routing.decide(request).await else { return false };
        let answer = answer.into_inner();
        let Some(rung) = rung(answer.rung()) else { return false };
        world::tell(|| format!("{}: {tenant} is at {rung:?} by revision {}", self.name, answer.revision));
        let route = Route { rung, reason: Reason::Rollout, no_fallback: answer.no_fallback };
        // What it has begun calls no store and counts for nothing once the answer has expired.
        let policy = Policy { fence_after_ms: answer.finish_within_ms, ..self.policy };
        known.current.renewed(asked);
        let table = Table::new(answer.revision, "", &[Band { upto_ppm: PPM, route }], policy);
        let mut snapshot = Snapshot::empty(answer.revision);
        snapshot.insert(KEY, Ok(Arc::new(table)));
        known.current.replace(snapshot);
        known.until = asked + Duration::from_millis(answer.valid_for_ms.into());
        known.finish = asked + Duration::from_millis(answer.finish_within_ms.into());
        true
    }
}

const fn rung(rung: v1::Rung) -> Option<Rung> {
    Some(match rung {
        v1::Rung::SourceOnly => Rung::SourceOnly,
        v1::Rung::Dual => Rung::Dual,
        v1::Rung::Mirrored => Rung::Mirrored,
        v1::Rung::TargetFirst => Rung::TargetFirst,
        v1::Rung::TargetOnly => Rung::TargetOnly,
        v1::Rung::Hold | v1::Rung::Unspecified => return None,
    })
}
