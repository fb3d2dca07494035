//! The suite on SQLite, and what can be wrong with a file.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use cutover::{
    domain::Hash,
    store::{
        Error, Expired, OpenError, Store, open_store,
        sqlite::{SqliteOptions, SqliteStore},
    },
};
use cutover_core::routing::Rung;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{Place, chain::followed, suite};
use crate::support::{commit, create, describe, key, make, pin};

/// A file in a directory of its own.
struct File {
    directory: TempDir,
}

impl File {
    fn fresh() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("it's a store?.db")
    }

    async fn raw(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).create_if_missing(true).connect().await.unwrap()
    }

    /// With one migration and a few pages of events.
    async fn used() -> Self {
        let file = Self::fresh();
        let store = SqliteStore::open(file.path()).await.unwrap();
        make(&store, &key("orders"), &create()).await;
        make(&store, &key("orders"), &pin((0..100).map(|n| format!("t{n}")), Rung::Dual)).await;
        drop(store);
        // Everything into the file, with nothing left in the log.
        let mut raw = file.raw().await;
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        raw.close().await.unwrap();
        file
    }

    async fn open_error(&self) -> OpenError {
        let error = SqliteStore::open(self.path()).await.unwrap_err();
        assert_one_line(&error.to_string());
        error
    }
}

#[async_trait]
impl Place for File {
    async fn open(&self) -> Arc<dyn Store> {
        open_store(&format!("sqlite:{}", self.path().display())).await.unwrap()
    }
}

fn assert_one_line(message: &str) {
    assert!(!message.contains('\n') && message.contains(": "), "{message}");
}

suite!(Some(File::fresh()));

#[tokio::test]
async fn a_url_says_which_store() {
    for (url, says) in [
        ("orders.db", "give sqlite:PATH"),
        ("redis://localhost", "give sqlite:PATH"),
        ("sqlite:", "give sqlite:PATH"),
        ("sqlite::memory:", "give sqlite:PATH"),
    ] {
        let error = open_store(url).await.unwrap_err().to_string();
        assert_one_line(&error);
        assert!(error.contains(says), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_place_where_nothing_can_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for (path, says) in [
        (directory.path().join("missing/cutover.db"), "create it"),
        (file.join("cutover.db"), "create it"),
        (directory.path().to_owned(), "is a directory"),
        (PathBuf::from("/proc/cutover.db"), "can't be written"),
    ] {
        let error = SqliteStore::open(&path).await.unwrap_err();
        assert!(matches!(error, OpenError::Place(_)), "{error:?}");
        assert_one_line(&error.to_string());
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let file = File::fresh();
    let letter = "Dear reader, this is a letter and no database. ".repeat(100);
    fs::write(file.path(), &letter).unwrap();
    assert!(matches!(file.open_error().await, OpenError::Corrupt(_)));
    assert_eq!(fs::read_to_string(file.path()).unwrap(), letter);
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let file = File::fresh();
    let mut raw = file.raw().await;
    raw.execute("CREATE TABLE recipes (name TEXT)").await.unwrap();
    raw.close().await.unwrap();
    let before = fs::read(file.path()).unwrap();
    assert!(matches!(file.open_error().await, OpenError::Foreign(_)));
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_header() {
    let file = File::used().await;
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[..16].fill(0xaa);
    fs::write(file.path(), bytes).unwrap();
    assert!(matches!(file.open_error().await, OpenError::Corrupt(_)));
}

#[tokio::test]
async fn a_truncated_file() {
    let file = File::used().await;
    let bytes = fs::read(file.path()).unwrap();
    for pages in 1..bytes.len() / 4096 {
        fs::write(file.path(), &bytes[..pages * 4096]).unwrap();
        let error = file.open_error().await;
        assert!(matches!(error, OpenError::Corrupt(_)), "{pages} pages: {error:?}");
    }
}

#[tokio::test]
async fn a_newer_schema() {
    let file = File::used().await;
    let mut raw = file.raw().await;
    raw.execute(
        "INSERT INTO _sqlx_migrations SELECT 1000, 'later', installed_on, 1, x'00', 0 FROM _sqlx_migrations
         WHERE version = 1",
    )
    .await
    .unwrap();
    raw.close().await.unwrap();
    let error = file.open_error().await;
    assert!(matches!(error, OpenError::Newer(_)), "{error:?}");
}

#[tokio::test]
async fn a_counter_that_went_back() {
    let file = File::used().await;
    let mut raw = file.raw().await;
    raw.execute("UPDATE counter SET revision = 1").await.unwrap();
    raw.close().await.unwrap();
    assert!(matches!(file.open_error().await, OpenError::Corrupt(_)));
}

#[tokio::test]
async fn a_damaged_document_is_told_with_its_place() {
    for (damage, says) in [
        ("UPDATE migrations SET document = substr(document, 1, 100)", "migration orders"),
        ("UPDATE migrations SET document = json_set(document, '$.key', 'Not A Key')", "migration orders"),
        ("UPDATE migrations SET document = json_set(document, '$.key', 'carts')", "carts"),
        ("UPDATE tenants SET row = '{}' WHERE tenant = 't7'", "tenant t7"),
        ("DELETE FROM migrations", "orders"),
    ] {
        let file = File::used().await;
        let store = file.open().await;
        file.raw().await.execute(damage).await.unwrap();
        let error = store.snapshot().await.unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let file = File::used().await;
    let store = file.open().await;
    file.raw().await.execute("UPDATE events SET rows = '[[' WHERE revision = 2").await.unwrap();
    let error = store.changes(0, 10).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("revision 2")), "{error:?}");
    assert_eq!(store.changes(0, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn locked_by_another_process() {
    let file = File::used().await;
    let options = SqliteOptions { busy_timeout: Duration::from_millis(10), max_pages: None };
    let store = SqliteStore::open_with(file.path(), &options).await.unwrap();
    let mut raw = file.raw().await;
    raw.execute("BEGIN IMMEDIATE").await.unwrap();

    let state = store.snapshot().await.expect("reading goes on");
    let change = commit(Some(&state.migrations[0]), &key("orders"), &describe("mine"), 3);
    let error = store.commit(&change).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(how) if how.contains("locked")), "{error:?}");
    raw.execute("ROLLBACK").await.unwrap();
    store.commit(&change).await.expect("the lock is free again");

    let file = File::fresh();
    let mut raw = file.raw().await;
    raw.execute("BEGIN EXCLUSIVE").await.unwrap();
    let error = SqliteStore::open_with(file.path(), &options).await.unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes() {
    let file = File::fresh();
    let options = SqliteOptions { max_pages: Some(60), ..SqliteOptions::default() };
    let store = SqliteStore::open_with(file.path(), &options).await.unwrap();
    let orders = key("orders");
    make(&store, &orders, &create()).await;
    let state = store.snapshot().await.unwrap();
    let import = pin((0..5000).map(|n| format!("tenant-{n}")), Rung::Mirrored);
    let import = commit(Some(&state.migrations[0]), &orders, &import, 2);
    for _ in 0..3 {
        let error = store.commit(&import).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(how) if how.contains("no space left")), "{error:?}");
    }
    let state = store.snapshot().await.unwrap();
    assert_eq!((state.revision, state.migrations[0].tenants.len()), (1, 0), "nothing of it was written");
    make(&store, &orders, &describe("what still has room is written")).await;
    drop(store);

    let store = SqliteStore::open(file.path()).await.unwrap();
    let state = store.snapshot().await.unwrap();
    assert_eq!(state.revision, 2);
    make(&store, &orders, &pin((0..5000).map(|n| format!("tenant-{n}")), Rung::Mirrored)).await;
}

/// Takes the hashes away, as if the file were from before them.
async fn without_hashes(file: &File) {
    let mut raw = file.raw().await;
    for statement in [
        "ALTER TABLE events DROP COLUMN hash",
        "ALTER TABLE events DROP COLUMN history_id",
        "ALTER TABLE counter DROP COLUMN dropped_hash",
        "ALTER TABLE counter DROP COLUMN hashed_through",
        "ALTER TABLE counter DROP COLUMN hashed_at_ms",
        "DELETE FROM _sqlx_migrations WHERE version = 8",
    ] {
        raw.execute(statement).await.unwrap();
    }
    raw.close().await.unwrap();
}

#[tokio::test]
async fn events_from_before_hashes_get_theirs_once() {
    let file = File::fresh();
    let store = file.open().await;
    make(&*store, &key("orders"), &create()).await;
    for n in 2..=450 {
        make(&*store, &key("orders"), &describe(n.to_string())).await;
    }
    let before = followed(&*store, 1_000).await;
    drop(store);
    without_hashes(&file).await;

    let store = file.open().await;
    let (chain, histories, state) = followed(&*store, 1_000).await;
    assert_eq!((chain, histories.len()), (before.0, 450), "the same content, and the same history");
    assert_eq!(state.hashed_through, 450);
    assert!(state.hashed_at_ms > 1_700_000_000_000, "{state:?}");
    make(&*store, &key("orders"), &describe("later")).await;
    drop(store);
    let store = file.open().await;
    let (chain, _, again) = followed(&*store, 1_000).await;
    assert_eq!(chain.revision, 451);
    assert_eq!((again.hashed_through, again.hashed_at_ms), (450, state.hashed_at_ms), "once");
}

#[tokio::test]
async fn events_that_were_dropped_before_hashes_are_no_gap() {
    let file = File::fresh();
    let store = file.open().await;
    make(&*store, &key("orders"), &create()).await;
    for n in 2..=9 {
        make(&*store, &key("orders"), &describe(n.to_string())).await;
    }
    let expired = Expired { through: 4, below: u64::MAX, limit: 100, now_ms: 1, before_ms: 0 };
    store.compact(&expired).await.unwrap();
    drop(store);
    without_hashes(&file).await;
    let (chain, histories, state) = followed(&*file.open().await, 1_000).await;
    assert_eq!((chain.revision, histories.len(), state.dropped_hash), (9, 5, Hash::NONE));
}
