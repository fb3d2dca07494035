//! A pass over connections that freeze, or are slow: it says what it waits for, and ends as any other.

use cutover_store::{DynamoDbOptions, DynamoDbStore, MySqlStore, PostgresStore, ServerOptions};
use tokio::sync::watch;

use super::*;
use crate::support::server::given;

// Each of the two uses a part of it.
#[allow(dead_code)]
#[path = "../../../crates/store/tests/store/proxy.rs"]
mod proxy;

use proxy::Proxy;

fn options() -> ServerOptions {
    ServerOptions { call_timeout: Duration::from_secs(5), ..ServerOptions::default() }
}

fn table() -> String {
    format!("pass_{:08x}", rand::random::<u32>())
}

async fn whole(store: &dyn Store) {
    for n in 0..RECORDS {
        let expected = if n % 10 == 0 { tombstone(n + 1) } else { record(n + 1) };
        assert_eq!(store.get(&id(n)).await, Ok(Some(expected)), "{n}");
    }
}

/// `far` goes over the proxy, `near` to the same table does not.
async fn freezes_in_mid_pass(far: Arc<dyn Store>, near: &dyn Store, proxy: &Proxy) {
    let (_dir, controller) = started().await;
    let world = filled();
    let stores = Stores { target: far, ..world.stores() };
    let tuning = v1::Tuning { records_per_s: 1_000, ..Default::default() };
    let plan = Plan { tuning, ..plan(v1::PassKind::Full) };
    let (shown, mut shows) = watch::channel(v1::Job::default());
    let told = move |job: &v1::Job| _ = shown.send_replace(job.clone());
    let running = worker::run(&controller.url, &stores, &plan, told, std::future::pending());
    let freeze = async {
        shows.wait_for(|job| job.counts.unwrap_or_default().copied > 200).await.unwrap();
        proxy.freeze();
        let is_told = |claim: &v1::Claim| claim.note.contains("the target");
        let told = shows.wait_for(|job| job.claims.iter().any(is_told)).await.unwrap();
        assert!(counts_of(&told).copied < RECORDS, "in the middle: {told:?}");
        drop(told);
        proxy.thaw();
    };
    let (evidence, ()) = tokio::join!(running, freeze);
    let evidence = evidence.unwrap();
    let done = counts(&evidence);
    assert!(evidence.clean && done.scanned == RECORDS, "{evidence:?}");
    assert_eq!(done.copied + done.present, RECORDS, "what was written by a call that was given up is there");
    whole(near).await;
    // What lay in the frozen connections arrives after all.
    proxy.let_through().await;
    whole(near).await;
}

fn counts_of(job: &v1::Job) -> v1::PassCounts {
    job.counts.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_target_that_freezes_in_mid_pass_is_written_to_the_end() {
    let Some(url) = given("CUTOVER_TEST_MYSQL") else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let near = MySqlStore::create(&url, &*table, options()).await.unwrap();
    let far = MySqlStore::open(&far, &*table, options()).await.unwrap();
    freezes_in_mid_pass(Arc::new(far), &near, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_target_that_freezes_in_mid_pass_is_written_to_the_end() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let table = table();
    let near = PostgresStore::create(&url, &*table, options()).await.unwrap();
    let far = PostgresStore::open(&far, &*table, options()).await.unwrap();
    freezes_in_mid_pass(Arc::new(far), &near, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamodb_source_behind_a_slow_connection_is_copied() {
    const ITEMS: u64 = 120;
    let Some(url) = given("CUTOVER_TEST_DYNAMODB") else { return };
    let (proxy, far) = Proxy::before(&url).await;
    let (table, patient) = (table(), Duration::from_secs(120));
    let patient = DynamoDbOptions { attempt_timeout: patient, ..DynamoDbOptions::default() };
    let near = DynamoDbStore::create(&url, &table, patient).await.unwrap();
    let value = format!(r#"{{"text":{{"S":"{}"}}}}"#, "x".repeat(20_000)).into_bytes();
    let records: Vec<_> =
        (0..ITEMS).map(|n| (id(n), Record { version: Version(n + 1), value: Some(value.clone()) })).collect();
    near.put_many_if_newer(&records).await.unwrap();
    let far = DynamoDbStore::open(&far, &table, DynamoDbOptions::default()).await.unwrap();
    let (_dir, controller) = started().await;
    let world = World::new();
    let stores = Stores { source: Arc::new(far), ..world.stores() };
    // Two lanes share 300 KB/s.
    proxy.slow_answers(150_000);
    let limits = Limits::default();
    let plan = Plan { limits, ..plan(v1::PassKind::Full) };
    let evidence = run(&controller, &stores, &plan).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    let done = counts(&evidence);
    assert_eq!((done.scanned, done.copied), (ITEMS, ITEMS));
}

/// The old connections stay open and silent for good, as behind a middlebox that has forgotten them.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_connections_to_the_controller_freeze_makes_new_ones() {
    let (_dir, controller) = started().await;
    let (proxy, over) = Proxy::before(&controller.url).await;
    let world = filled();
    let stores = world.stores();
    let tuning = v1::Tuning { records_per_s: 1_000, ..Default::default() };
    let plan = Plan { tuning, ..plan(v1::PassKind::Full) };
    let (shown, mut shows) = watch::channel(v1::Job::default());
    let told = move |job: &v1::Job| _ = shown.send_replace(job.clone());
    let running = worker::run(&over, &stores, &plan, told, std::future::pending());
    let freeze = async {
        shows.wait_for(|job| counts_of(job).copied > 200).await.unwrap();
        proxy.freeze();
        let silent =
            shows.wait_for(|job| job.waiting.contains("no answer from the controller")).await.unwrap();
        assert!(counts_of(&silent).copied < RECORDS, "in the middle: {silent:?}");
        drop(silent);
        proxy.thaw();
    };
    let both = async { tokio::join!(running, freeze) };
    // A worker gives up after 60 s without an answer, so it has found a new way by itself.
    let (evidence, ()) = tokio::time::timeout(Duration::from_secs(40), both).await.expect("long before that");
    let evidence = evidence.unwrap();
    assert!(evidence.clean && counts(&evidence).scanned == RECORDS, "{evidence:?}");
    whole(&*world.target).await;
}
