//! A migration is rolled back automatically: with real SDKs, a real controller, and stores that fail.

use std::{sync::Arc, time::Duration};

use cutover::store::memory;
use cutover_client::{Client, migrator::Migrator};
use cutover_core::{outcome::ErrorClass, routing::Rung};
use cutover_proto::v1;
use cutover_store::{Fault, Faulty, MemoryStore, StoreError, Verb};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::server::Controller;

type Target = Arc<Faulty<MemoryStore>>;

/// Three services with traffic of many tenants, and a target that can be made to fail.
struct World {
    controller: Controller,
    _dir: TempDir,
    clients: Vec<Client>,
    source: Target,
    target: Target,
    traffic: JoinSet<()>,
}

fn down() -> Fault {
    Fault::Refuse(StoreError::NotApplied { class: ErrorClass::Connection, what: "refused".to_owned() })
}

async fn traffic(orders: Migrator, begin: u64) {
    let mut at = begin;
    loop {
        // Neighbours differ, so that both stores are read whenever a fault begins.
        let tenant = format!("tenant-{}", at / 4 * 17 % 50);
        let key = format!("order-{}", at / 4 % 100);
        // A write, then three reads of it; the results are the guards' concern.
        if at.is_multiple_of(4) {
            let _ = orders.put_bytes(&tenant, &key, b"value".to_vec()).await;
        } else {
            let _ = orders.get_bytes(&tenant, &key).await;
        }
        at += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl World {
    async fn at(stage: &str, percent: f64) -> Self {
        let dir = TempDir::new().unwrap();
        let controller = Controller::start(dir.path(), 0).await;
        Self::on(controller, dir, stage, percent).await
    }

    async fn on(controller: Controller, dir: TempDir, stage: &str, percent: f64) -> Self {
        let (source, target) =
            (Target::new(Faulty::new(Arc::default())), Target::new(Faulty::new(Arc::default())));
        let mut world =
            Self { controller, _dir: dir, clients: Vec::new(), source, target, traffic: JoinSet::new() };
        let create = v1::CreateMigrationRequest {
            key: "orders".to_owned(),
            source: "one".to_owned(),
            target: "other".to_owned(),
            ..Default::default()
        };
        world.controller.admin().await.create_migration(create).await.unwrap();
        for (name, begin) in [("a", 0), ("b", 80), ("c", 160)] {
            let client = world.controller.sdk(name).await;
            let orders = client.migrator("orders", world.source.clone(), world.target.clone());
            world.traffic.spawn(traffic(orders, begin));
            world.clients.push(client);
        }
        let ppm = Some((percent * 10_000.0) as u32);
        let ramp = v1::SetRolloutRequest {
            mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
            key: "orders".to_owned(),
            dual_ppm: Some(1_000_000),
            mirrored_ppm: Some(1_000_000).filter(|_| stage != "dual"),
            target_first_ppm: ppm.filter(|_| stage == "target-first"),
            wait: true,
            override_gates: vec!["full-pass".to_owned()],
            ..Default::default()
        };
        world.controller.admin().await.set_rollout(ramp).await.unwrap();
        world.until(|migration| migration.state() == v1::State::Idle).await;
        world
    }

    async fn migration(&self) -> v1::Migration {
        let request = v1::GetMigrationRequest { key: "orders".to_owned() };
        self.controller.admin().await.get_migration(request).await.unwrap().into_inner()
    }

    async fn status(&self) -> v1::Status {
        let request = v1::GetStatusRequest { key: "orders".to_owned() };
        self.controller.admin().await.get_status(request).await.unwrap().into_inner()
    }

    async fn totals(&self) -> v1::Totals {
        self.status().await.totals.unwrap()
    }

    /// Waits until so much has been reported.
    async fn counted(&self, holds: impl Fn(&v1::Totals) -> bool) -> v1::Totals {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let totals = self.totals().await;
                if holds(&totals) {
                    return totals;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match waited.await {
            Ok(totals) => totals,
            Err(_) => panic!("it is not reported: {:?}", self.totals().await),
        }
    }

    async fn until(&self, holds: impl Fn(&v1::Migration) -> bool) -> v1::Migration {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let migration = self.migration().await;
                if holds(&migration) {
                    return migration;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match waited.await {
            Ok(migration) => migration,
            Err(_) => panic!("it does not come to that: {:?}", self.migration().await),
        }
    }

    async fn history(&self) -> Vec<v1::HistoryEvent> {
        let request = v1::ListHistoryRequest { key: "orders".to_owned(), ..Default::default() };
        self.controller.admin().await.list_history(request).await.unwrap().into_inner().events
    }

    async fn story(&self) -> String {
        let request = v1::ExplainRequest { key: "orders".to_owned(), tenant: "tenant-1".to_owned() };
        let explained = self.controller.admin().await.explain(request).await.unwrap().into_inner();
        explained.story.join("\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_is_rolled_back_and_the_story_is_told() {
    let world = World::at("target-first", 50.0).await;
    world.target.always(Verb::Get, down());
    world.target.always(Verb::Put, down());
    let tripped = world.until(|migration| migration.state() == v1::State::Tripped).await;
    let trip = tripped.trips.last().unwrap();
    assert_eq!((trip.outcome(), trip.rolled_back_to()), (v1::TripOutcome::RolledBack, v1::Rung::Dual));
    assert!(trip.ln_m >= trip.ln_c && trip.target_bad > 5, "{trip:?}");
    assert!(trip.errors.iter().any(|error| error.starts_with("connection")), "{trip:?}");
    let everybody_hears = async {
        while world.clients.iter().any(|client| {
            (0..50).any(|at| client.decide("orders", &format!("tenant-{at}")).unwrap().rung > Rung::Dual)
        }) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), everybody_hears).await.expect("they go to dual");
    let event = world.history().await.into_iter().find(|event| event.trip.is_some()).unwrap();
    assert_eq!(event.change, "rollback");
    assert!(event.actor.starts_with("guard:"), "{}", event.actor);
    let story = world.story().await;
    for told in ["rolled back to dual", " %, limit ", "evidence ", "of 3 instances had received it"] {
        assert!(story.contains(told), "{told}: {story}");
    }
    // Latched: at dual the same failure does no harm, and is not reported again.
    let before = world.totals().await.only_target_failed;
    world.counted(|totals| totals.only_target_failed >= before + 200).await;
    assert_eq!(world.migration().await.trips.len(), tripped.trips.len());
    let ack = v1::AcknowledgeRequest {
        mutation: Some(v1::Mutation { reason: "disk replaced".to_owned(), ..Default::default() }),
        key: "orders".to_owned(),
    };
    world.target.heal();
    world.controller.admin().await.acknowledge(ack).await.unwrap();
    world.until(|migration| migration.state() == v1::State::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_whose_commit_was_lost_is_committed_again() {
    let store = memory::MemoryStore::default();
    let controller = Controller::start_on(Arc::new(store.clone())).await;
    let world = World::on(controller, TempDir::new().unwrap(), "target-first", 50.0).await;
    (0..3).for_each(|_| store.fail_next(memory::Call::Commit, memory::Fault::Lost));
    world.target.always(Verb::Get, down());
    world.target.always(Verb::Put, down());
    let tripped = world.until(|migration| migration.state() == v1::State::Tripped).await;
    assert_eq!(tripped.trips.last().unwrap().outcome(), v1::TripOutcome::RolledBack, "{tripped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_traffic_trips_nothing() {
    let world = World::at("target-first", 50.0).await;
    // Far more than a dead target takes, of both kinds, and from all instances.
    let totals = world.counted(|totals| totals.hit >= 1_000 && totals.both_ok >= 300).await;
    assert_eq!((totals.only_target_failed, totals.both_failed), (0, 0), "{totals:?}");
    let migration = world.migration().await;
    assert_eq!((migration.state(), migration.trips.len()), (v1::State::Idle, 0), "{migration:?}");
    let status = world.status().await;
    assert_eq!((status.instances.len(), status.settled), (3, true), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_fail_together_hold_the_ramp_and_call_somebody() {
    let world = World::at("target-first", 50.0).await;
    world.source.always(Verb::Get, down());
    world.target.always(Verb::Get, down());
    let held = world.until(|migration| !migration.trips.is_empty()).await;
    let trip = held.trips.last().unwrap();
    assert_eq!((trip.outcome(), trip.cause.as_str()), (v1::TripOutcome::Held, "common_mode"), "{trip:?}");
    assert!(held.paused && held.ceiling() == v1::Rung::Unspecified, "{held:?}");
    assert_eq!(world.history().await[0].change, "hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_held_a_stage_judges_it_again_after_resume() {
    let world = World::at("dual", 0.0).await;
    world.target.always(Verb::Put, down());
    let held = world.until(|migration| migration.paused).await;
    assert_eq!(held.trips.last().unwrap().outcome(), v1::TripOutcome::Held, "{held:?}");
    // Nothing was repaired.
    let resume = v1::ResumeRequest { key: "orders".to_owned(), ..Default::default() };
    world.controller.admin().await.resume(resume).await.unwrap();
    let again = world.until(|migration| migration.trips.len() > held.trips.len()).await;
    assert_eq!(again.trips.last().unwrap().outcome(), v1::TripOutcome::Held, "{again:?}");
    assert!(again.paused, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_observes_only_tells() {
    let world = World::at("target-first", 50.0).await;
    let mut rules: Vec<v1::GuardRule> = world.migration().await.guards;
    rules.iter_mut().for_each(|rule| {
        *rule = v1::GuardRule {
            guard: rule.guard.clone(),
            mode: v1::GuardMode::Observe.into(),
            ..Default::default()
        };
    });
    let update = v1::UpdateMigrationRequest { key: "orders".to_owned(), guards: rules, ..Default::default() };
    world.controller.admin().await.update_migration(update).await.unwrap();
    world.target.always(Verb::Get, down());
    let told = world.until(|migration| !migration.trips.is_empty()).await;
    assert_eq!(told.trips[0].outcome(), v1::TripOutcome::Observed);
    assert_eq!(told.state(), v1::State::Idle);
    assert_eq!(told.rollout.unwrap().target_first_ppm, 500_000);
}
