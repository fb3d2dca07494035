//! Where the real servers are, and what their stories share.

use std::time::Duration;

use cutover_store::{Copied, Id, Page, Record, Scope, Segment, ServerOptions, Store, Version};
use sqlx::{AssertSqlSafe, Executor};

/// The address of a server, as tests/run sets it. Without one the story is skipped, with a message; with
/// `CUTOVER_TEST_SERVERS=required` it fails.
pub(crate) fn url(server: &str, variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        let required = std::env::var("CUTOVER_TEST_SERVERS").is_ok_and(|given| given == "required");
        assert!(!required, "{variable} is not set, and CUTOVER_TEST_SERVERS requires it");
        eprintln!("{variable} is not set: {server} left out; tests/run starts it");
    }
    url
}

/// A name that no other run of the tests has on the same server.
pub(crate) fn table(story: &str) -> String {
    format!("test_{story}_{}", std::process::id())
}

/// Patient with a busy machine.
pub(crate) fn options() -> ServerOptions {
    ServerOptions { connections: 8, lock_timeout: Duration::from_secs(20), ..ServerOptions::default() }
}

/// A statement of the story itself.
pub(crate) async fn sql<'c>(on: impl Executor<'c>, sql: impl Into<String>) {
    on.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await.expect("a statement of the test");
}

pub(crate) fn id(key: &str) -> Id {
    Id::new("t", key).expect("valid")
}

pub(crate) fn record(version: u64) -> Record {
    Record { version: Version(version), value: Some(version.to_be_bytes().to_vec()) }
}

pub(crate) fn batch(version: u64) -> Vec<(Id, Record)> {
    (0..100).map(|n| (id(&format!("key-{n:02}")), record(version))).collect()
}

/// All pages of a scan.
pub(crate) async fn pages(
    store: &dyn Store,
    scope: &Scope,
    segment: Segment,
    limit_bytes: usize,
) -> Vec<Page> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let mut page = store.scan(scope, segment, cursor.as_ref(), limit_bytes).await.expect("scanned");
        cursor = page.next.take();
        pages.push(page);
        if cursor.is_none() {
            return pages;
        }
    }
}

/// All records of a scan.
pub(crate) async fn scanned(
    store: &dyn Store,
    scope: &Scope,
    segment: Segment,
    limit_bytes: usize,
) -> Vec<(Id, Record)> {
    pages(store, scope, segment, limit_bytes).await.into_iter().flat_map(|page| page.records).collect()
}

/// Whatever happened to a batch before, it is there after being written again.
pub(crate) async fn is_written_when_given_again(store: &dyn Store, batch: &[(Id, Record)]) {
    let answers = store.put_many_if_newer(batch).await.expect("the server is there again");
    assert!(answers.iter().all(|answer| matches!(answer, Copied::Written | Copied::Present)), "{answers:?}");
    let ids: Vec<_> = batch.iter().map(|(id, _)| id.clone()).collect();
    let records = batch.iter().map(|(_, record)| Some(record.clone())).collect();
    assert_eq!(store.get_many(&ids).await, Ok(records));
}

/// The connection of a transaction that waits for a lock in a statement about this table. From the monitor:
/// `information_schema.innodb_trx` is a cache that whoever reads it in a loop keeps from being renewed.
#[cfg(feature = "mysql")]
pub(crate) async fn waiting(admin: &sqlx::MySqlPool, table: &str) -> Option<u64> {
    use sqlx::Row;

    let monitor = sqlx::raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(admin).await.expect("shown");
    let text: String = monitor.get("Status");
    text.split("---TRANSACTION ").filter(|of| of.contains("LOCK WAIT")).find_map(|of| {
        let (_, id) = of.split_once("thread id ").filter(|_| of.contains(&format!("`{table}`")))?;
        id.split(',').next()?.parse().ok()
    })
}
