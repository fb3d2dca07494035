//! What continues, and what waits, while the controller's database is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use cutover_client::{Client, Options, migrator::Migrator};
use cutover_core::{outcome::ErrorClass, routing::Rung};
use cutover_proto::v1;
use cutover_store::{Fault, Faulty, MemoryStore, StoreError, Verb};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::replica::{Replica, create, leader};
use crate::{store::schema::Kind, support::database::Database};

const TENANTS: usize = 50;

/// Puts, and reads what it has put, until it is dropped with its runtime.
async fn traffic(orders: Migrator, begin: usize) {
    for at in begin.. {
        let (tenant, key) = (format!("tenant-{}", at / 4 * 17 % TENANTS), format!("order-{}", at / 4 % 100));
        if at.is_multiple_of(4) {
            let _ = orders.put_bytes(&tenant, &key, b"value".to_vec()).await;
        } else {
            let _ = orders.get_bytes(&tenant, &key).await;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Decides all the time, and keeps the longest time that one took.
async fn decide(client: Arc<Client>, stop: Arc<AtomicBool>, longest_us: Arc<AtomicU64>) -> u64 {
    let mut decisions = 0;
    while !stop.load(SeqCst) {
        for at in 0..TENANTS {
            let began = Instant::now();
            client.decide("orders", &format!("tenant-{at}")).expect("it decides from memory");
            longest_us.fetch_max(began.elapsed().as_micros() as u64, SeqCst);
            decisions += 1;
        }
        sleep(Duration::from_millis(5)).await;
    }
    decisions
}

async fn migration(replica: &Replica) -> Option<v1::Migration> {
    let request = v1::GetMigrationRequest { key: "orders".to_owned() };
    let answer = timeout(Duration::from_secs(2), replica.admin().get_migration(request)).await;
    answer.ok()?.ok().map(tonic::Response::into_inner)
}

async fn until(replica: &Replica, state: v1::State) -> v1::Migration {
    let found = async {
        loop {
            match migration(replica).await {
                Some(migration) if migration.state() == state => return migration,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(Duration::from_secs(40), found).await.expect("it comes to that")
}

fn ramp() -> v1::SetRolloutRequest {
    v1::SetRolloutRequest {
        mutation: Some(v1::Mutation { reason: "a test".to_owned(), ..Default::default() }),
        key: "orders".to_owned(),
        dual_ppm: Some(1_000_000),
        mirrored_ppm: Some(1_000_000),
        target_first_ppm: Some(500_000),
        wait: true,
        override_gates: vec!["full-pass".to_owned()],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_decide_while_the_database_is_away_and_a_guard_rolls_back_after_it() {
    let Some(mut database) = Database::start(Kind::Postgres).await else { return };
    let away = std::env::var("CUTOVER_TEST_OUTAGE_S").map_or(8, |seconds| seconds.parse().unwrap());
    let replicas = [Replica::start(&database.url).await];
    assert_eq!(leader(&replicas).await, 0);
    let [replica] = &replicas;
    create(replica).await;
    let target = Arc::new(Faulty::new(Arc::<MemoryStore>::default()));
    let source = Arc::<MemoryStore>::default();
    let mut clients = Vec::new();
    for (name, begin) in [("a", 0), ("b", 80), ("c", 160)] {
        let options = Options { instance_id: Some(name.to_owned()), ..Options::default() };
        let client =
            Client::connect(&format!("http://{}", replica.grpc), "orders-api", options).await.unwrap();
        tokio::spawn(traffic(client.migrator("orders", source.clone(), target.clone()), begin));
        clients.push(Arc::new(client));
    }
    replica.admin().set_rollout(ramp()).await.unwrap();
    until(replica, v1::State::Idle).await;

    let (stop, longest_us) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let deciding = tokio::spawn(decide(clients[0].clone(), stop.clone(), longest_us.clone()));
    database.stop().await;
    let stopped = Instant::now();
    // The target fails while nobody can be told.
    let what = "refused".to_owned();
    let refused = StoreError::NotApplied { class: ErrorClass::Connection, what };
    target.always(Verb::Get, Fault::Refuse(refused.clone()));
    target.always(Verb::Put, Fault::Refuse(refused));
    let mut slowest = Duration::ZERO;
    let pin = v1::SetPinRequest {
        key: "orders".to_owned(),
        tenant: "late".to_owned(),
        rung: v1::Rung::Dual.into(),
        wait: true,
        ..Default::default()
    };
    while stopped.elapsed() < Duration::from_secs(away) {
        let began = Instant::now();
        let change = timeout(Duration::from_secs(10), replica.admin().set_pin(pin.clone())).await;
        let refused = change.expect("it is answered").expect_err("nothing can be committed");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        slowest = slowest.max(began.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(!replica.leads().await);
    assert!(clients[0].decide("orders", "tenant-1").is_ok());

    database.again().await;
    let back = Instant::now();
    assert_eq!(leader(&replicas).await, 0);
    let led = back.elapsed();
    let tripped = until(replica, v1::State::Tripped).await;
    let rolled_back = back.elapsed();
    assert_eq!(tripped.trips.last().unwrap().outcome(), v1::TripOutcome::RolledBack, "{tripped:?}");
    let hear = async {
        let is_up = |client: &Arc<Client>| {
            (0..TENANTS).any(|at| client.decide("orders", &format!("tenant-{at}")).unwrap().rung > Rung::Dual)
        };
        while clients.iter().any(is_up) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), hear).await.expect("everybody goes to dual");
    stop.store(true, SeqCst);
    let decisions = deciding.await.expect("no decision failed");
    eprintln!(
        "away for {away} s: {decisions} decisions, longest {} us; a change is refused within {slowest:?}; after it was \
         back: led {led:?}, rolled back {rolled_back:?}, everybody at dual {:?}",
        longest_us.load(SeqCst),
        back.elapsed(),
    );
}
