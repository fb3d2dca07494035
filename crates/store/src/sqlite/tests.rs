//! Tests that need access to internals.

use super::*;

#[tokio::test]
async fn a_full_disk_refuses_the_write_and_keeps_what_was_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("full.db");
    let store = SqliteStore::create(&path, "records", SqliteOptions::default()).await.expect("created");
    let id = Id { tenant: "t".to_owned(), key: "k".to_owned() };
    let small = Record { version: Version(1), value: Some(vec![1]) };
    assert_eq!(store.put_if_newer(&id, &small).await, Ok(Put::Applied));

    // SQLite reports a file that may not grow like a full disk.
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.expect("a pragma");
    let big = Record { version: Version(2), value: Some(vec![2; 1 << 20]) };
    let error = store.put_if_newer(&id, &big).await.expect_err("no room");
    assert!(!error.may_apply() && error.to_string().contains("free space"), "{error}");
    assert_eq!(store.get(&id).await, Ok(Some(small.clone())));

    // Nothing of the batch is there until there is room for all of it.
    let batch: Vec<_> = (2..100)
        .map(|n| (Id { key: n.to_string(), ..id.clone() }, Record { version: Version(n), ..big.clone() }))
        .collect();
    let room = sqlx::query("PRAGMA max_page_count = 2000").execute(&store.writer).await;
    room.expect("a pragma");
    let error = store.put_many_if_newer(&batch).await.expect_err("room for a few of them");
    assert!(!error.may_apply() && error.to_string().contains("free space"), "{error}");
    assert_eq!(store.estimate().await.expect("counted").records, Some(1));
    sqlx::query("PRAGMA max_page_count = 4000000").execute(&store.writer).await.expect("a pragma");
    assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Written; batch.len()]));
    assert_eq!(store.get(&id).await, Ok(Some(small)));
}

#[tokio::test]
async fn a_list_reads_a_range_of_the_primary_key() {
    use crate::mapping::{SqlTable, Versions};
    let dir = tempfile::tempdir().expect("a temporary directory");
    for versions in [Versions::Columns, Versions::Ledger] {
        let path = dir.path().join(format!("{versions:?}.db"));
        let table = SqlTable { versions, ..SqlTable::from("records") };
        let store = SqliteStore::create(&path, table, SqliteOptions::default()).await.expect("created");
        for includes_from in [true, false] {
            let scan = store.layout.scan_keys.page(includes_from);
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", scan.as_str()));
            let steps = sqlx::query_as(explain).bind("t").bind("a").bind("b").fetch_all(&store.readers).await;
            let steps: Vec<(i64, i64, i64, String)> = steps.expect("explained");
            let plan: Vec<_> = steps.into_iter().map(|(.., step)| step).collect();
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP")), "{plan:?}");
            let ranges = plan.iter().filter(|step| step.contains("key>? AND key<?"));
            let tables = if versions == Versions::Ledger { 2 } else { 1 };
            assert_eq!(ranges.count(), tables, "one range for each table: {plan:?}");
        }
    }
}
