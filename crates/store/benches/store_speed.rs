//! How fast a real server reads and writes 200-byte records through its adapter. Set the servers' addresses
//! as tests/run does: `CUTOVER_TEST_MYSQL`, `CUTOVER_TEST_POSTGRES`.

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cutover_store::{
    Copied, Id, MySqlStore, PostgresStore, Record, Scope, Segment, ServerOptions, Store, Version,
    mapping::{SqlTable, Versions},
};

const RECORDS: usize = 200_000;
const BATCH: usize = 1000;
const GETS: usize = 5000;
const PAGE_BYTES: usize = 4 << 20;

#[tokio::main]
async fn main() {
    let options = ServerOptions::default();
    let table = format!("speed_{}", std::process::id());
    for (way, table) in [("columns", SqlTable::from(&table)), ("ledger", with_ledger(&table))] {
        if let Ok(url) = std::env::var("CUTOVER_TEST_MYSQL") {
            let store = MySqlStore::create(&url, table.clone(), options).await.expect("created");
            measure(&format!("MySQL, {way}"), Arc::new(store)).await;
        }
        if let Ok(url) = std::env::var("CUTOVER_TEST_POSTGRES") {
            let store = PostgresStore::create(&url, table, options).await.expect("created");
            measure(&format!("PostgreSQL, {way}"), Arc::new(store)).await;
        }
    }
}

fn with_ledger(table: &str) -> SqlTable {
    SqlTable { versions: Versions::Ledger, ..SqlTable::from(&format!("{table}_with_ledger")) }
}

async fn measure<S: Store>(name: &str, store: Arc<S>) {
    for writers in [1, 2, 4] {
        let began = Instant::now();
        put_all(&store, writers, writers, Copied::Written).await;
        tell(name, &format!("new records, {writers} writers"), began.elapsed());
        let began = Instant::now();
        put_all(&store, writers, writers, Copied::Present).await;
        tell(name, &format!("the same again, {writers} writers"), began.elapsed());
    }
    let began = Instant::now();
    let (mut cursor, mut found) = (None, 0);
    while found < RECORDS {
        let page = store.scan(&Scope::All, Segment::ALL, cursor.as_ref(), PAGE_BYTES).await.expect("scanned");
        found += page.records.len();
        cursor = page.next;
    }
    tell(name, "scan", began.elapsed());
    let began = Instant::now();
    for n in 0..GETS {
        store.get(&one(1, n * 7 % RECORDS).0).await.expect("read").expect("it is there");
    }
    println!("{name:20} {:30} {:9.0} us", "get", began.elapsed().as_secs_f64() * 1e6 / GETS as f64);
}

/// All records of one `run`, in batches, by some writers at once.
async fn put_all<S: Store>(store: &Arc<S>, run: usize, writers: usize, expected: Copied) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for batch in (writer..RECORDS / BATCH).step_by(writers) {
                    let records: Vec<_> = (0..BATCH).map(|n| one(run, batch * BATCH + n)).collect();
                    let answers = store.put_many_if_newer(&records).await.expect("written");
                    assert!(answers.iter().all(|answer| *answer == expected), "{expected:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
}

fn one(run: usize, n: usize) -> (Id, Record) {
    let id = Id::new(&format!("tenant-{}", n % 1000), &format!("run-{run}-record-{n:08}")).expect("valid");
    (id, Record { version: Version(1), value: Some(vec![n as u8; 200]) })
}

fn tell(name: &str, what: &str, took: Duration) {
    let rate = RECORDS as f64 / took.as_secs_f64();
    println!("{name:20} {what:30} {rate:9.0} records/s");
}
