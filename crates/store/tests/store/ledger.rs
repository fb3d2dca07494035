//! Versions and tombstones in a table beside the records'.

/// The stories that are the same on each server. Their module has `server`, `create` and `Server`.
macro_rules! on_a_server {
    ($store:ident, $dialect:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn passes_the_suite() {
            let Some((url, admin)) = server().await else { return };
            let names = names("ledger");
            let made = async |name: &str| create(&url, with_ledger(name.into())).await;
            on_stores(&names, made).await;
            stories::Admin::run(&admin, dropped(&names)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn passes_the_suite_in_columns() {
            let Some((url, admin)) = server().await else { return };
            let names = names("ledger_documents");
            let made = async |name: &str| {
                Documents(create(&url, with_ledger(documents::table($dialect, name))).await)
            };
            on_stores(&names, made).await;
            stories::Admin::run(&admin, dropped(&names)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn an_existing_table_takes_part() {
            let Some((url, admin)) = server().await else { return };
            let name = table("ledger_orders");
            sql(&admin.0, stories::create_orders($dialect, &name)).await;
            let of = || stories::orders($dialect, &name);
            let error = $store::open(&url, of(), options()).await.expect_err("without its ledger");
            assert!(
                error.is_no_table() && error.to_string().contains(&format!("cutover_ledger_{name}")),
                "{error}"
            );
            let error = $store::create(&url, of(), options()).await.expect_err("one may have been lost");
            assert!(error.is_no_table() && error.to_string().contains("deleted ones come back"), "{error}");
            let ledger = stories::create_ledger($dialect, &name);
            assert!(error.to_string().contains(&ledger), "{error}");
            sql(&admin.0, advised(&error)).await;
            let store = Arc::new(create(&url, of()).await);
            stories::takes_part_as_it_is(&*store, &admin, &name).await;
            stories::a_tombstone_meets_an_insert(&store, &admin, &name).await;
            stories::writers_of_the_same_records_agree(&store).await;
            sql(
                &admin.0,
                format!("DELETE FROM {name}; DELETE FROM cutover_ledger_{name} WHERE tenant <> ''"),
            )
            .await;
            let run = async |sql: String| stories::Admin::run(&admin, sql).await;
            foreign::an_entry_counts_if_it_agrees(&*store, [&name, "org", "id"], run).await;
            foreign::nothing_lost_is_made_anew(&admin, &name, || $store::create(&url, of(), options())).await;
            let open = || $store::open(&url, of(), options());
            foreign::a_lost_ledger_is_refused(&*store, [&name, &ledger], run, open).await;
            sql(&admin.0, stories::drop_orders(&name)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn programs_take_part_by_triggers() {
            let Some((url, admin)) = server().await else { return };
            let name = table("ledger_triggers");
            sql(&admin.0, stories::create_orders($dialect, &name)).await;
            sql(&admin.0, format!("DELETE FROM {name}")).await;
            let store = create(&url, stories::orders($dialect, &name)).await;
            let run = &async |sql: String| stories::Admin::run(&admin, sql).await;
            triggers::programs_take_part(&store, [&name, "org", "id"], run).await;
            triggers::drop_all(&store, run).await;
            sql(&admin.0, stories::drop_orders(&name)).await;

            // The record's row is looked up once the entry is locked.
            let name = table("lines_triggers");
            let store = create(&url, children::orders($dialect, &name, Versions::Ledger)).await;
            triggers::lines_stamp_their_record(&store, &format!("{name}_lines"), &name, run).await;
            triggers::lines_wait_for_their_record(&store, &admin, $dialect, &name).await;
            triggers::drop_all(&store, run).await;
            let tables = format!("DROP TABLE {name}_lines, {name}_tags, cutover_ledger_{name}, {name}");
            sql(&admin.0, tables).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn a_killed_connection_and_pages() {
            let Some((url, admin)) = server().await else { return };
            let name = table("ledger_killed");
            sql(&admin.0, stories::create_orders($dialect, &name)).await;
            sql(&admin.0, format!("DELETE FROM {name}")).await;
            let store = Arc::new(create(&url, stories::orders($dialect, &name)).await);
            let held = Mutex::new(None);
            let lock = async || {
                let mut lock = admin.0.begin().await.expect("begun");
                sql(&mut *lock, format!("SELECT n FROM {name} WHERE id = 'killed' FOR UPDATE")).await;
                *held.lock().await = Some(lock);
            };
            let release = async || {
                held.lock().await.take().expect("locked").rollback().await.expect("released");
            };
            stories::a_connection_killed_between_entry_and_row_leaves_neither(
                &store, &admin, &name, lock, release,
            )
            .await;
            sql(
                &admin.0,
                format!("DELETE FROM {name}; DELETE FROM cutover_ledger_{name} WHERE tenant <> ''"),
            )
            .await;
            stories::pages_show_all_once(&*store).await;
            sql(
                &admin.0,
                format!("DELETE FROM {name}; DELETE FROM cutover_ledger_{name} WHERE tenant <> ''"),
            )
            .await;
            stories::dead_entries_end_no_scan(&*store, &admin, &name).await;
            sql(&admin.0, stories::drop_orders(&name)).await;
        }
    };
}

#[path = "ledger/foreign.rs"]
mod foreign;
#[cfg(feature = "mysql")]
#[path = "ledger/mysql.rs"]
mod mysql;
#[cfg(feature = "postgres")]
#[path = "ledger/postgres.rs"]
mod postgres;
#[path = "ledger/sqlite.rs"]
mod sqlite;
#[path = "ledger/stories.rs"]
mod stories;
#[path = "ledger/triggers.rs"]
mod triggers;

use std::path::Path;

use cutover_store::{
    Copied, Id, Put, Record, Scope, Segment, SqliteOptions, SqliteStore, Store, Version,
    document::Document,
    mapping::{Dialect, SqlTable, Versions, create_sql},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{children, documents, documents::Documents, refusing, suite};

fn with_ledger(table: SqlTable) -> SqlTable {
    SqlTable { versions: Versions::Ledger, ..table }
}

async fn create(path: &Path, table: SqlTable) -> SqliteStore {
    SqliteStore::create(path, with_ledger(table), SqliteOptions::default()).await.expect("created")
}

/// Runs the suite with one store for each name.
async fn on_stores<S: Store>(names: &[String], made: impl AsyncFn(&str) -> S) {
    let mut stores = Vec::new();
    for name in names {
        stores.push(made(name).await);
    }
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let names: Vec<_> = (0..=suite::STORES).map(|n| format!("whole_{n}")).collect();
    on_stores(&names, async |name| create(&path, name.into()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_in_columns() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.db");
    let names: Vec<_> = (0..=suite::STORES).map(|n| format!("documents_{n}")).collect();
    on_stores(&names, async |name| Documents(create(&path, documents::table(Dialect::Sqlite, name)).await))
        .await;
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn names(prefix: &str) -> Vec<String> {
    (0..=suite::STORES).map(|n| super::servers::table(&format!("{prefix}_{n}"))).collect()
}

/// The statements that an error advises for a table that never had a ledger.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn advised(error: &cutover_store::StoreError) -> String {
    error.to_string().split_once("has to stay:\n").expect("statements").1.to_owned()
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn dropped(names: &[String]) -> String {
    format!("DROP TABLE {0}, cutover_ledger_{1}", names.join(","), names.join(", cutover_ledger_"))
}

fn id(key: &str) -> Id {
    Id::new("t", key).expect("valid")
}

fn record(version: u64, n: u64) -> Record {
    let document = Document::decode(format!(r#"{{"n":{{"N":"{n}"}}}}"#).as_bytes()).expect("typed JSON");
    Record { version: Version(version), value: Some(document.encode().expect("a document")) }
}

fn tombstone(version: u64) -> Record {
    Record { version: Version(version), value: None }
}

/// A file with an application's own table, which has no column of ours and allows no NULL.
async fn existing() -> (tempfile::TempDir, SqliteConnection) {
    let (dir, mut admin) = without_ledger().await;
    let ledger = ledger_sql(Dialect::Sqlite, &refusing::table(Dialect::Sqlite, "orders"));
    sql(&mut admin, &format!("{ledger}; INSERT INTO cutover_ledger_orders VALUES ('', '', 4711, 0)")).await;
    (dir, admin)
}

fn ledger_sql(dialect: Dialect, table: &SqlTable) -> String {
    create_sql(dialect, &with_ledger(table.clone())).expect("valid names").pop().expect("of table and ledger")
}

async fn without_ledger() -> (tempfile::TempDir, SqliteConnection) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let connect = SqliteConnectOptions::new().filename(dir.path().join("store.db")).create_if_missing(true);
    let mut admin = SqliteConnection::connect_with(&connect).await.expect("open");
    let table = "CREATE TABLE orders (tenant TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, rest TEXT, \
                 made TEXT NOT NULL DEFAULT 'now', PRIMARY KEY (tenant, key)); \
                 INSERT INTO orders (tenant, key, n) VALUES ('t', 'a', 1), ('t', 'b', 2), ('t', 'c', 3)";
    sqlx::raw_sql(table).execute(&mut admin).await.expect("created");
    (dir, admin)
}

async fn sql(admin: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(admin).await.expect("a statement of the test");
}

async fn rows(admin: &mut SqliteConnection) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT key, n FROM orders ORDER BY key").fetch_all(admin).await.expect("asked")
}

#[tokio::test]
async fn a_table_takes_part_as_it_is() {
    let (dir, mut admin) = without_ledger().await;
    let path = dir.path().join("store.db");
    let table = || with_ledger(refusing::table(Dialect::Sqlite, "orders"));
    let opened = SqliteStore::open(&path, table(), SqliteOptions::default()).await;
    let error = opened.expect_err("without its ledger");
    assert!(error.is_no_table() && error.to_string().contains("cutover_ledger_orders"), "{error}");
    let created = SqliteStore::create(&path, table(), SqliteOptions::default()).await;
    let (error, ledger) =
        (created.expect_err("one may have been lost").to_string(), ledger_sql(Dialect::Sqlite, &table()));
    assert!(error.contains("If it never had one") && error.contains(&ledger), "{error}");
    sql(&mut admin, error.split_once("has to stay:\n").expect("statements").1).await;
    let store = SqliteStore::open(&path, table(), SqliteOptions::default()).await.expect("opened");

    assert_eq!(store.get(&id("a")).await, Ok(Some(record(0, 1))), "without an entry: version 0");
    assert_eq!(store.put_if_newer(&id("a"), &record(0, 9)).await, Ok(Put::Present), "there already");
    assert_eq!(store.put_if_newer(&id("a"), &record(7, 10)).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id("b"), &tombstone(8)).await, Ok(Put::Applied));
    assert_eq!(
        store.put_if_newer(&id("b"), &record(6, 20)).await,
        Ok(Put::Stale(Version(8))),
        "it stays dead"
    );
    let batch = [(id("c"), record(0, 30)), (id("d"), record(9, 40)), (id("b"), record(8, 20))];
    let answers = store.put_many_if_newer(&batch).await;
    assert_eq!(answers, Ok(vec![Copied::Present, Copied::Written, Copied::Present]));
    let expected = [("a".to_owned(), 10), ("c".to_owned(), 3), ("d".to_owned(), 40)];
    assert_eq!(rows(&mut admin).await, expected, "deleted rows are gone");
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    let expected = [
        (id("a"), record(7, 10)),
        (id("b"), tombstone(8)),
        (id("c"), record(0, 3)),
        (id("d"), record(9, 40)),
    ];
    assert_eq!(page.records, expected, "in order, tombstones among them");
    assert_eq!(store.estimate().await.expect("counted").records, Some(4));
}

#[tokio::test]
async fn what_others_write_counts_as_in_columns() {
    let (dir, mut admin) = existing().await;
    let path = dir.path().join("store.db");
    let store = create(&path, refusing::table(Dialect::Sqlite, "orders")).await;
    sql(&mut admin, "DELETE FROM orders").await;
    let run = async |text: String| sql(&mut admin, &text).await;
    foreign::an_entry_counts_if_it_agrees(&store, ["orders", "tenant", "key"], run).await;
    assert_eq!(store.put_if_newer(&id("a"), &record(5, 1)).await, Ok(Put::Applied));
    sql(&mut admin, "UPDATE orders SET n = 99 WHERE key = 'a'").await;
    assert_eq!(store.get(&id("a")).await, Ok(Some(record(5, 99))), "other content at the same version");
}

#[tokio::test]
async fn what_a_ledger_does_not_go_with_is_refused() {
    let table = || refusing::table(Dialect::Sqlite, "orders");
    let stories = [
        (
            "ALTER TABLE orders ADD COLUMN cutover_version INTEGER NOT NULL DEFAULT 0",
            "a ledger would not see",
        ),
        (
            "CREATE TABLE lines (t TEXT, k TEXT, FOREIGN KEY (t, k) REFERENCES orders (tenant, key) ON DELETE CASCADE)",
            "of lines to this table has ON DELETE CASCADE",
        ),
        (
            "CREATE TABLE more (t TEXT, k TEXT, FOREIGN KEY (t, k) REFERENCES orders ON DELETE SET NULL)",
            "SET NULL",
        ),
        (
            "CREATE TABLE other (tenant TEXT NOT NULL, key TEXT NOT NULL COLLATE NOCASE, n INTEGER, rest TEXT); \
             CREATE UNIQUE INDEX ids ON other (tenant, key COLLATE BINARY); DROP TABLE orders; \
             ALTER TABLE other RENAME TO orders",
            "column key has another collation than BINARY",
        ),
    ];
    for (statement, fault) in stories {
        let (dir, mut admin) = existing().await;
        sql(&mut admin, statement).await;
        let opened =
            SqliteStore::open(&dir.path().join("store.db"), with_ledger(table()), SqliteOptions::default())
                .await;
        let error = opened.expect_err(fault).to_string();
        assert!(error.contains(fault), "{error}");
    }
    let (dir, mut admin) = existing().await;
    sql(
        &mut admin,
        "INSERT INTO cutover_ledger_orders VALUES ('t', 'a', 7, 0); \
         ALTER TABLE orders ADD COLUMN cutover_version INTEGER NOT NULL DEFAULT 0",
    )
    .await;
    let opened = SqliteStore::open(&dir.path().join("store.db"), table(), SqliteOptions::default()).await;
    let error = opened.expect_err("its versions are elsewhere").to_string();
    assert!(error.contains("are in cutover_ledger_orders. Add versions = \"ledger\""), "{error}");
    sql(&mut admin, "DROP TABLE orders").await;
    let created =
        SqliteStore::create(&dir.path().join("store.db"), with_ledger(table()), SqliteOptions::default())
            .await;
    let error = created.expect_err("the table was lost").to_string();
    assert!(
        error.contains("its ledger has entries") && error.contains("DROP TABLE cutover_ledger_orders"),
        "{error}"
    );
}

#[tokio::test]
async fn an_entry_and_its_row_are_written_together_or_not_at_all() {
    let (dir, mut admin) = existing().await;
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let trigger = |name: &str, verb: &str, raise: &str| {
        format!("CREATE TRIGGER {name} BEFORE {verb} ON orders BEGIN SELECT {raise}; END")
    };
    for raise in ["RAISE(ABORT, 'no')", "RAISE(IGNORE)", "RAISE(ROLLBACK, 'no')"] {
        for (name, verb) in [("i", "INSERT"), ("d", "DELETE")] {
            sql(&mut admin, &trigger(name, verb, raise)).await;
        }
        for record in [record(7, 70), tombstone(7)] {
            let put = store.put_if_newer(&id("a"), &record).await;
            assert!(put.as_ref().is_err_and(|error| !error.may_apply()), "{raise}: {put:?}");
            let put = store.put_many_if_newer(&[(id("z"), self::record(1, 1)), (id("a"), record)]).await;
            assert!(put.as_ref().is_err_and(|error| !error.may_apply()), "{raise}: {put:?}");
        }
        let all = [id("a"), id("z")];
        assert_eq!(store.get_many(&all).await, Ok(vec![Some(record(0, 1)), None]), "{raise}");
        sql(&mut admin, "DROP TRIGGER i; DROP TRIGGER d").await;
    }
    // NOT NULL is the table's own, and so is what it refuses.
    let none = Document::decode(b"{}").expect("a document").encode().expect("a document");
    let put = store.put_if_newer(&id("a"), &Record { version: Version(7), value: Some(none) }).await;
    assert!(put.as_ref().is_err_and(|error| error.to_string().contains("NOT NULL")), "{put:?}");
    assert_eq!(store.put_if_newer(&id("a"), &record(7, 70)).await, Ok(Put::Applied));
}

/// A scan of a page walks both keys in order: it neither sorts nor reads a table as a whole.
#[tokio::test]
async fn a_page_reads_as_much_as_it_shows() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = create(&dir.path().join("store.db"), refusing::table(Dialect::Sqlite, "orders")).await;
    let many: Vec<_> = (0..20_000_u64)
        .map(|n| (id(&format!("{n:05}")), if n % 3 == 0 { tombstone(n + 1) } else { record(n + 1, n) }))
        .collect();
    store.put_many_if_newer(&many).await.expect("written");
    let began = std::time::Instant::now();
    let pages = super::servers::pages(&store, &Scope::All, Segment::ALL, 2_000).await;
    let (pages, found) = (pages.len(), pages.into_iter().flat_map(|page| page.records).collect::<Vec<_>>());
    assert_eq!(found, many);
    // Sorting or reading 20,000 entries for each of so many pages takes minutes.
    assert!(pages > 100 && began.elapsed().as_secs() < 20, "{pages} pages in {:?}", began.elapsed());
}
