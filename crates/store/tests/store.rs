//! Every store keeps the same promises: one suite, run on each of them.

#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/children.rs"]
mod children;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/columns.rs"]
mod columns;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres", feature = "spec"))]
#[path = "store/connections.rs"]
mod connections;
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres", feature = "dynamodb"))]
#[path = "store/documents.rs"]
mod documents;
#[cfg(feature = "dynamodb")]
#[path = "store/dynamodb.rs"]
mod dynamodb;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/faults.rs"]
mod faults;
#[cfg(all(feature = "mysql", feature = "postgres"))]
#[path = "store/keys.rs"]
mod keys;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/kinds.rs"]
mod kinds;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/ledger.rs"]
mod ledger;
#[cfg(feature = "mysql")]
#[path = "store/mysql.rs"]
mod mysql;
#[cfg(feature = "postgres")]
#[path = "store/postgres.rs"]
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
#[path = "store/proxy.rs"]
mod proxy;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres", feature = "spec"))]
#[path = "store/record_types.rs"]
mod record_types;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/refusals.rs"]
mod refusals;
#[cfg(all(feature = "mysql", feature = "postgres"))]
#[path = "store/refused.rs"]
mod refused;
#[cfg(all(feature = "sqlite", feature = "mysql", feature = "postgres"))]
#[path = "store/refusing.rs"]
mod refusing;
#[cfg(all(feature = "mysql", feature = "postgres"))]
#[path = "store/residual.rs"]
mod residual;
#[cfg(any(feature = "mysql", feature = "postgres"))]
#[path = "store/servers.rs"]
mod servers;
#[cfg(all(feature = "mysql", feature = "postgres"))]
#[path = "store/silence.rs"]
mod silence;
#[cfg(all(feature = "mysql", feature = "postgres"))]
#[path = "store/typed_keys.rs"]
mod typed_keys;
#[path = "store/unreadable.rs"]
mod unreadable;

use cutover_store::{MemoryStore, Store, suite};

#[tokio::test]
async fn memory_passes_the_suite() {
    let mut asked = 0;
    let empty = || {
        asked += 1;
        MemoryStore::new()
    };
    suite::run(empty).await;
    assert_eq!(asked, suite::STORES, "stores that must be made beforehand rely on the number");
    suite::scans_in_order(&MemoryStore::new()).await;
    has_transactions(&MemoryStore::new());
}

/// Then the suite has tried them.
fn has_transactions(store: &dyn Store) {
    assert_eq!(store.check_all(&[]), Ok(()));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::{path::Path, sync::Arc, time::Duration};

    use cutover_store::{
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
        suite::scans_in_order(&create(&path).await).await;
        super::has_transactions(&create(&path).await);
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

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_is_told_from_others_whatever_its_path() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (path, link) = (dir.path().join("store.db"), dir.path().join("link.db"));
        let one = create(&path).await;
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        let (same, other) = (create(&link).await, create(&dir.path().join("other.db")).await);
        suite::tables_have_identities(&one, &same, &other).await;
        let table = SqliteStore::create(&path, "more", SqliteOptions::default()).await.expect("created");
        suite::tables_have_identities(&one, &same, &table).await;
        let before = one.identity().await.expect("asked");
        std::fs::rename(dir.path().join("other.db"), &path).expect("replaced");
        assert_ne!(one.identity().await.expect("asked"), before, "another file at the same path");
    }

    #[tokio::test]
    async fn a_trigger_that_fails_halfway_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let store = create(&path).await;
        let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(connect).await.expect("open");
        // By itself a statement keeps what it wrote before OR FAIL ended it.
        let trigger = "CREATE TABLE log (k TEXT PRIMARY KEY); INSERT INTO log VALUES ('k'); \
            CREATE TRIGGER logs AFTER INSERT ON records BEGIN INSERT OR FAIL INTO log VALUES (new.key); END";
        sqlx::raw_sql(trigger).execute(&pool).await.expect("created");
        for put in [
            store.put_if_newer(&id("k"), &record(1)).await.map(drop),
            store.put_if_unchanged(&id("k"), &record(1), None).await.map(drop),
            store.put_many_if_newer(&[(id("k"), record(1))]).await.map(drop),
        ] {
            assert!(matches!(put, Err(StoreError::Permanent { .. })), "{put:?}");
            assert_eq!(store.get(&id("k")).await, Ok(None), "it was refused");
        }
    }

    #[tokio::test]
    async fn a_number_where_a_text_should_be_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(connect).await.expect("open");
        // Without a type a column keeps numbers, and they are below every text.
        let table = "CREATE TABLE records (tenant NOT NULL, key NOT NULL, cutover_version INTEGER NOT NULL, \
            value BLOB, PRIMARY KEY (tenant, key)); INSERT INTO records VALUES (7, 'k', 1, x'00'), ('t', 8, 1, x'00')";
        sqlx::raw_sql(table).execute(&pool).await.expect("created");
        let store = create(&path).await;
        for scope in [Scope::All, Scope::UpTo(cutover_store::Cursor::after_record(&id("z")))] {
            let page = store.scan(&scope, Segment::ALL, None, 1).await.expect("scanned");
            let keys: Vec<_> =
                page.unreadable.iter().map(|it| (it.tenant.as_str(), it.key.as_str())).collect();
            assert_eq!(keys, [("7", "k"), ("t", "8")], "{scope:?}");
        }
        let page = store.scan(&Scope::Tenant("t".to_owned()), Segment::ALL, None, 1).await.expect("scanned");
        assert_eq!(page.unreadable.len(), 1, "{page:?}");
    }

    #[tokio::test]
    async fn a_scan_goes_past_what_others_wrote_and_nobody_can_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("store.db");
        let store = create(&path).await;
        let good: Vec<_> = (1..=9).map(|n| (id(&format!("k{n}")), record(n))).collect();
        store.put_many_if_newer(&good).await.expect("written");
        let connect = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let pool = sqlx::SqlitePool::connect_with(connect).await.expect("open");
        let rows = "INSERT INTO records (tenant, key, cutover_version, value) VALUES \
            ('t', 'k3a', 'two', x'00'), ('t', 'k3b', 1.5, x'00'), ('t', 'k5a', 1, 7), \
            ('a' || char(10) || 'b', 'k', 1, x'00'), ('', 'k', 1, x'00'), ('t', '', 1, x'00'), \
            ('', '', 1, x'00'), \
            ('t', CAST(x'6b35ff' AS TEXT), 1, x'00'), ('t', x'6b31', 1, x'00'), (x'74', 'k1', 1, x'00')";
        sqlx::query(rows).execute(&pool).await.expect("SQLite takes all of it");
        let wrong = [
            ("t", "k3a", "cutover_version: it is no INTEGER"),
            ("t", "k3b", "cutover_version: it is no INTEGER"),
            ("t", "k5a", "value: the row has a whole number"),
            ("a\\nb", "k", "tenant: "),
            ("", "", "tenant: "),
            ("", "k", "tenant: "),
            ("t", "", "key: "),
            ("t", "k5\\xff", "key: it is not UTF-8"),
        ];
        // Blobs with the same bytes as texts are other places.
        let blobs = [("t", "k1", "key: tenant or key is no TEXT"); 2];
        let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
        assert_eq!(page.unreadable.len(), wrong.len() + blobs.len());
        sqlx::query("DELETE FROM records WHERE typeof(tenant) <> 'text' OR typeof(key) <> 'text'")
            .execute(&pool)
            .await
            .expect("deleted");
        super::unreadable::is_gone_past(&store, &good, &wrong).await;
        let error = store.get(&id("k3a")).await.expect_err("just that one").to_string();
        assert!(error.starts_with("cutover_version: "), "{error}");
        let error = store.put_if_newer(&id("k3b"), &record(1)).await.expect_err("not to be compared");
        assert!(error.to_string().starts_with("cutover_version: "), "{error}");
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
            (SqliteStore::create(&missing, "records", options).await, "file: ", "does not exist"),
            (
                SqliteStore::create(Path::new("/proc/store.db"), "records", options).await,
                "file: ",
                "may write",
            ),
            (SqliteStore::open(&empty, "other", options).await, "table: ", "create it"),
            (
                SqliteStore::open(&dir.path().join("no.db"), "records", options).await,
                "file: ",
                "does not exist",
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
