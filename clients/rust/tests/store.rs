//! Every store keeps the same promises: one suite, run on each of them.

#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/columns.rs"]
mod columns;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/documents.rs"]
mod documents;
#[cfg(feature = "dynamodb")]
#[path = "store/dynamodb.rs"]
mod dynamodb;
#[cfg(feature = "mysql")]
#[path = "store/mysql.rs"]
mod mysql;
#[cfg(feature = "postgres")]
#[path = "store/postgres.rs"]
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
#[path = "store/servers.rs"]
mod servers;
#[path = "store/suite.rs"]
mod suite;

use cutover_client::store::MemoryStore;

#[tokio::test]
async fn memory_passes_the_suite() {
    let mut asked = 0;
    let empty = || {
        asked += 1;
        MemoryStore::new()
    };
    suite::run(empty).await;
    assert_eq!(asked, suite::STORES, "stores that must be made beforehand rely on the number");
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::{path::Path, sync::Arc, time::Duration};

    use cutover_client::store::{
        Copied, Id, Put, Record, Scope, Segment, SqliteOptions, SqliteStore, Store, StoreError, Version,
    };

    use super::suite;

    async fn create(path: &Path) -> SqliteStore {
        SqliteStore::create(path, "records", SqliteOptions::default()).await.expect("created")
    }

    fn id(key: &str) -> Id {
        Id::new("t", key).expect("valid")
    }

    fn record(version: u64) -> Record {
        Record { version: Version(version), value: Some(version.to_be_bytes().to_vec()) }
    }

    #[tokio::test]
    async fn passes_the_suite() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let mut stores = Vec::new();
        for n in 0..suite::STORES {
            let table = format!("records_{n}");
            stores.push(SqliteStore::create(&path, &table, SqliteOptions::default()).await.expect("created"));
        }
        suite::run(|| stores.pop().expect("one for each story")).await;
    }

    #[tokio::test]
    async fn what_was_answered_is_there_for_another_opener() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let one = create(&path).await;
        assert_eq!(one.put_if_newer(&id("k"), &record(7)).await, Ok(Put::Applied));
        let other = SqliteStore::open(&path, "records", SqliteOptions::default()).await.expect("it is there");
        assert_eq!(other.get(&id("k")).await, Ok(Some(record(7))));
        one.close().await;
        assert!(matches!(one.get(&id("k")).await, Err(StoreError::NotApplied { .. })));
        assert_eq!(create(&path).await.get(&id("k")).await, Ok(Some(record(7))), "create keeps it");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn openers_that_write_the_same_record_at_once_lose_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        // All at once, as processes that start together do.
        let openers: Vec<_> = (0..3)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move {
                    let options =
                        SqliteOptions { busy_timeout: Duration::from_secs(20), ..Default::default() };
                    SqliteStore::create(&path, "records", options).await.expect("created")
                })
            })
            .collect();
        let mut stores = Vec::new();
        for opener in openers {
            stores.push(Arc::new(opener.await.expect("no panic")));
        }
        let writers: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(writer, store)| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..100_u64 {
                        let version = n * 3 + writer as u64 + 1;
                        store.put_if_newer(&id("shared"), &record(version)).await.expect("written");
                        let own = [(id(&format!("{writer}-{n}")), record(version))];
                        let put = store.put_many_if_newer(&own).await;
                        assert_eq!(put, Ok(vec![Copied::Written]));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        assert_eq!(stores[0].get(&id("shared")).await, Ok(Some(record(300))), "the highest one stays");
        let page = stores[1].scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
        assert_eq!(page.records.len(), 301);
    }

    #[tokio::test]
    async fn a_lock_that_is_not_released_is_told_as_throttling() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let options = SqliteOptions { busy_timeout: Duration::from_millis(30), ..Default::default() };
        let store = SqliteStore::create(&path, "records", options).await.expect("created");
        let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(connect).await.expect("open");
        let lock = pool.begin_with("BEGIN IMMEDIATE").await.expect("locked");
        let error = store.put_if_newer(&id("k"), &record(1)).await.expect_err("locked");
        assert!(matches!(error, StoreError::Throttled { .. }), "{error}");
        assert_eq!(store.get(&id("k")).await, Ok(None), "reads do not wait, and nothing was written");
        lock.rollback().await.expect("released");
        assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let garbage = dir.path().join("garbage.db");
        std::fs::write(&garbage, [7; 4096]).expect("written");
        let missing = dir.path().join("missing/store.db");
        let empty = dir.path().join("empty.db");
        drop(create(&empty).await);
        let options = SqliteOptions::default();
        let cases = [
            (SqliteStore::create(&garbage, "records", options).await, "file: ", "restore it from a backup"),
            (SqliteStore::create(&missing, "records", options).await, "file: ", "directory exists"),
            (
                SqliteStore::create(Path::new("/proc/store.db"), "records", options).await,
                "file: ",
                "may write",
            ),
            (SqliteStore::open(&empty, "other", options).await, "table: ", "create it"),
            (
                SqliteStore::open(&dir.path().join("no.db"), "records", options).await,
                "file: ",
                "created first",
            ),
            (SqliteStore::create(&empty, "x; DROP", options).await, "table: ", "no name"),
        ];
        for (result, field, advice) in cases {
            let error = result.expect_err(advice).to_string();
            assert!(error.starts_with(field) && error.contains(advice), "{error}");
        }
        assert!(!dir.path().join("no.db").exists(), "opening creates nothing");
    }
}
