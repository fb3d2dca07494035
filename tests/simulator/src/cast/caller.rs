//! A service without an SDK: it asks `Decide`, or as an OpenFeature provider does, and keeps to how long an answer is
//! good.
//!
//! It routes as the SDK does, by the answer for one tenant at a time. What ends when the answer has
//! expired it does not vouch for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover_client::{
    Access, Address, AuthorizedChannel,
    clock::Instant,
    migrator::{self, Migrator, Parts, Stamper},
    report::Recorder,
    routing::{Band, PPM, Policy, Reason, Route, Rung, Snapshot, Table},
    watch::Current,
};
use cutover_proto::{
    flagd::v2::{ResolveStringRequest, ResolveStringResponse, service_client::ServiceClient},
    v1::{self, routing_service_client::RoutingServiceClient},
};
use prost_types::{Struct, Value, value::Kind};
use rand::{SeedableRng as _, rngs::SmallRng};

use super::{
    KEY,
    traffic::{self, Party, Records},
};
use crate::{data::DataStore, expiring, play, world};

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
        let address = Address::new(&play::address(), &Access::default(), Duration::from_secs(1))
            .expect("a fixed address")
            .with(|endpoint| endpoint.timeout(Duration::from_secs(3)));
        let channel = address.connect_lazy();
        // Every other one. OFREP and flagd's evaluation are the same code behind their messages.
        let mut asking = match self.slot % 2 {
            0 => Asking::Decide(RoutingServiceClient::new(channel)),
            _ => Asking::Flag(ServiceClient::new(channel)),
        };
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
            if entry.until.remaining().is_zero() && !self.ask(&mut asking, &tenant, entry).await {
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
        let migrator = expiring::with_ttl(Migrator::new(Parts {
            current: current.clone(),
            recorder: Arc::new(Recorder::new()),
            migration: KEY.to_owned(),
            stamper,
            source,
            target,
            options: migrator::Options::default(),
        }));
        let now = Instant::now();
        Known { current, migrator, until: now, finish: now }
    }

    /// Asks where a tenant goes. False: there is no answer.
    async fn ask(&self, asking: &mut Asking, tenant: &str, known: &mut Known) -> bool {
        // From before the question, so that it never expires later here than at the controller.
        let asked = Instant::now();
        let Some(answer) = asking.ask(tenant).await else { return false };
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

/// How it asks.
enum Asking {
    Decide(RoutingServiceClient<AuthorizedChannel>),
    Flag(ServiceClient<AuthorizedChannel>),
}

impl Asking {
    /// `None`: there is no answer.
    async fn ask(&mut self, tenant: &str) -> Option<v1::DecideResponse> {
        match self {
            Self::Decide(routing) => {
                let request = v1::DecideRequest {
                    migration: KEY.to_owned(),
                    tenant: tenant.to_owned(),
                    ..Default::default()
                };
                Some(routing.decide(request).await.ok()?.into_inner())
            }
            Self::Flag(flags) => {
                let tenant = Value { kind: Some(Kind::StringValue(tenant.to_owned())) };
                let context = Struct { fields: [("targetingKey".to_owned(), tenant)].into() };
                let request = ResolveStringRequest { flag_key: KEY.to_owned(), context: Some(context) };
                decision(flags.resolve_string(request).await.ok()?.into_inner())
            }
        }
    }
}

/// What a flag's metadata says.
fn decision(flag: ResolveStringResponse) -> Option<v1::DecideResponse> {
    let fields = flag.metadata?.fields;
    let number = |name: &str| match fields.get(name)?.kind {
        Some(Kind::NumberValue(number)) => Some(number as u64),
        _ => None,
    };
    let rung = match flag.variant?.as_str() {
        "source-only" => v1::Rung::SourceOnly,
        "dual" => v1::Rung::Dual,
        "mirrored" => v1::Rung::Mirrored,
        "target-first" => v1::Rung::TargetFirst,
        "target-only" => v1::Rung::TargetOnly,
        _ => return None,
    };
    Some(v1::DecideResponse {
        rung: rung.into(),
        revision: number("revision")?,
        no_fallback: matches!(fields.get("no_fallback")?.kind, Some(Kind::BoolValue(true))),
        valid_for_ms: number("valid_for_ms")? as u32,
        finish_within_ms: number("finish_within_ms")? as u32,
        ..Default::default()
    })
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
