//! Stories of a table with a ledger, the same on every server.

use std::sync::Arc;

use cutover_store::{
    Copied, Id, Put, Record, Scope, Segment, Store, StoreError, Version,
    mapping::{Dialect, Fields, SqlTable, Versions},
};

use tokio::sync::Notify;

use super::{
    super::{refusing, servers::scanned},
    id, record, tombstone,
};

/// A connection of the story's own, which plays the application and the administrator.
pub(crate) trait Admin: Sync {
    async fn run(&self, sql: String);
    async fn count(&self, sql: String) -> i64;
    /// Ends the connections that wait for a lock in a statement about this table.
    async fn kill_waiting(&self, table: &str) -> bool;
    /// Executes the statements, says so, and commits once another statement about this table waits for their locks.
    async fn hold(&self, sql: &[String], begun: &Notify, table: &str);
}

/// The application's own table: nothing in it is Cutover's, and `n` is never NULL.
pub(crate) fn orders(dialect: Dialect, name: &str) -> SqlTable {
    let table = refusing::table(dialect, name);
    let fields = Fields { tenant: "org".to_owned(), key: "id".to_owned(), ..table.fields };
    SqlTable { fields, versions: Versions::Ledger, ..table }
}

pub(crate) fn create_orders(dialect: Dialect, name: &str) -> String {
    let (id, text, options) = match dialect {
        Dialect::Postgres => ("text COLLATE \"C\"", "text", ""),
        _ => ("varbinary", "longtext CHARACTER SET utf8mb4", " ENGINE = InnoDB"),
    };
    let [org, of] = [256, 1024].map(|most| match dialect {
        Dialect::MySql => format!("{id}({most})"),
        _ => id.to_owned(),
    });
    format!(
        "CREATE TABLE {name}_numbers (n bigint PRIMARY KEY){options}; \
         CREATE TABLE {name} (org {org} NOT NULL, id {of} NOT NULL, n bigint NOT NULL, rest {text}, \
         PRIMARY KEY (org, id), FOREIGN KEY (n) REFERENCES {name}_numbers (n)){options}; \
         INSERT INTO {name}_numbers VALUES (1), (2), (3), (10), (40), (70); \
         INSERT INTO {name} (org, id, n) VALUES ('t', 'a', 1), ('t', 'b', 2), ('t', 'c', 3)"
    )
}

pub(crate) fn create_ledger(dialect: Dialect, name: &str) -> String {
    super::ledger_sql(dialect, &orders(dialect, name))
}

pub(crate) fn drop_orders(name: &str) -> String {
    format!("DROP TABLE cutover_ledger_{name}; DROP TABLE {name}; DROP TABLE {name}_numbers")
}

/// Whatever is written, all of it fits the table and its constraints.
pub(crate) async fn takes_part_as_it_is(store: &dyn Store, admin: &impl Admin, name: &str) {
    let rows = format!("SELECT count(*) FROM {name}");
    assert_eq!(store.get(&id("a")).await, Ok(Some(record(0, 1))), "without an entry: version 0");
    assert_eq!(store.put_if_newer(&id("a"), &record(0, 2)).await, Ok(Put::Present), "there already");
    assert_eq!(store.get(&id("a")).await, Ok(Some(record(0, 1))));
    assert_eq!(store.put_if_newer(&id("a"), &record(7, 10)).await, Ok(Put::Applied));
    assert_eq!(store.put_if_newer(&id("b"), &tombstone(8)).await, Ok(Put::Applied));
    assert_eq!(admin.count(rows.clone()).await, 2, "deleted rows are gone");
    assert_eq!(
        store.put_if_newer(&id("b"), &record(6, 2)).await,
        Ok(Put::Stale(Version(8))),
        "it stays dead"
    );
    let batch = [(id("c"), record(0, 2)), (id("d"), record(9, 40)), (id("b"), record(8, 2))];
    let answers = store.put_many_if_newer(&batch).await;
    assert_eq!(answers, Ok(vec![Copied::Present, Copied::Written, Copied::Present]));
    let all = [
        (id("a"), record(7, 10)),
        (id("b"), tombstone(8)),
        (id("c"), record(0, 3)),
        (id("d"), record(9, 40)),
    ];
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert_eq!(page.records, all, "in order, tombstones among them");

    // On condition.
    for (expected, current) in [(None, 0), (Some(Version(5)), 0)] {
        let put = store.put_if_unchanged(&id("c"), &record(20, 1), expected).await;
        assert_eq!(put, Ok(Put::Stale(Version(current))), "{expected:?}");
        let put = store.put_if_unchanged(&id("c"), &tombstone(20), expected).await;
        assert_eq!(put, Ok(Put::Stale(Version(current))), "{expected:?}");
    }
    let none = store.put_if_unchanged(&id("e"), &record(20, 1), Some(Version::ZERO)).await;
    assert_eq!(none, Ok(Put::Stale(Version::ZERO)), "there is none");
    assert_eq!(store.get(&id("e")).await, Ok(None));
    let puts = [
        ("c", record(0, 2), Some(0)),
        ("c", tombstone(21), Some(0)),
        ("c", record(22, 3), Some(21)),
        ("e", tombstone(23), None),
        ("e", record(24, 1), Some(23)),
        ("f", record(0, 1), None),
    ];
    for (key, record, expected) in puts {
        let put = store.put_if_unchanged(&id(key), &record, expected.map(Version)).await;
        assert_eq!(put, Ok(Put::Applied), "{key} {record:?}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(record)));
    }

    // The constraints are the table's own.
    let none = Record { version: Version(30), value: Some(b"{}".to_vec()) };
    for unfit in [none, record(30, 99)] {
        for error in [
            store.put_if_newer(&id("a"), &unfit).await.map(drop).expect_err("it does not fit"),
            store.put_if_unchanged(&id("a"), &unfit, Some(Version(7))).await.map(drop).expect_err("nor so"),
            store
                .put_many_if_newer(&[(id("a"), unfit), (id("z"), record(1, 1))])
                .await
                .map(drop)
                .expect_err("nor so"),
        ] {
            assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
        }
    }
    assert_eq!(
        store.get_many(&[id("a"), id("z")]).await,
        Ok(vec![Some(record(7, 10)), None]),
        "nothing of it"
    );

    // What another program updates keeps its version, which only a comparison of contents shows.
    admin.run(format!("UPDATE {name} SET n = 70 WHERE id = 'a'")).await;
    assert_eq!(store.get(&id("a")).await, Ok(Some(record(7, 70))));
}

/// A writer whose row is not committed yet has the entry's lock, whoever comes second.
pub(crate) async fn a_tombstone_meets_an_insert<S: Store>(store: &Arc<S>, admin: &impl Admin, name: &str) {
    let insert = |key: &str, version: u64| {
        [
            format!("INSERT INTO cutover_ledger_{name} VALUES ('t', '{key}', {version}, FALSE)"),
            format!("INSERT INTO {name} (org, id, n) VALUES ('t', '{key}', 1)"),
        ]
    };
    /// Key, version of the other writer, condition, and what is answered and left.
    type Story = (&'static str, u64, Option<Option<Version>>, Put, Record);
    let puts: [Story; 4] = [
        ("newer", 5, None, Put::Applied, tombstone(6)),
        ("older", 7, None, Put::Stale(Version(7)), record(7, 1)),
        ("none", 0, Some(None), Put::Stale(Version::ZERO), record(0, 1)),
        ("same", 0, Some(Some(Version::ZERO)), Put::Stale(Version::ZERO), record(0, 1)),
    ];
    for (key, version, condition, expected, left) in puts {
        let writer = store.clone();
        let begun = Arc::new(Notify::new());
        let is_begun = begun.clone();
        let put = async move {
            if key != "same" {
                is_begun.notified().await;
            }
            match condition {
                None => writer.put_if_newer(&id(key), &tombstone(6)).await,
                Some(condition) => writer.put_if_unchanged(&id(key), &tombstone(6), condition).await,
            }
        };
        let held = insert(key, version);
        // A record that is not there yet can't be at version 0: such a write does not wait.
        if key == "same" {
            admin.run(held.join(";")).await;
            assert_eq!(put.await, Ok(Put::Applied));
            assert_eq!(store.get(&id(key)).await, Ok(Some(tombstone(6))));
            continue;
        }
        let ledger = format!("cutover_ledger_{name}");
        let (put, ()) = tokio::join!(tokio::spawn(put), admin.hold(&held, &begun, &ledger));
        assert_eq!(put.expect("no panic"), Ok(expected), "{key}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(left)), "{key}");
    }
    assert_eq!(admin.count(format!("SELECT count(*) FROM {name} WHERE id = 'newer'")).await, 0);
}

/// Many writers of a few records, in batches of any order: nothing is lost, and row and entry agree.
pub(crate) async fn writers_of_the_same_records_agree<S: Store>(store: &Arc<S>) {
    let keys: Vec<Id> = (0..6).map(|n| id(&format!("hot-{n}"))).collect();
    let of = |version: u64| {
        if version.is_multiple_of(3) { tombstone(version) } else { record(version, version % 2 + 1) }
    };
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let (store, keys) = (store.clone(), keys.clone());
            tokio::spawn(async move {
                for n in 0..40_u64 {
                    let version = n * 4 + writer + 1;
                    let mut batch: Vec<_> = keys.iter().map(|id| (id.clone(), of(version))).collect();
                    batch.rotate_left((writer + n) as usize % 6);
                    loop {
                        let done = match n % 3 {
                            0 => store.put_if_newer(&batch[0].0, &batch[0].1).await.map(drop),
                            1 => {
                                let current =
                                    store.get_versions(&[batch[0].0.clone()]).await.expect("read")[0];
                                store.put_if_unchanged(&batch[0].0, &batch[0].1, current).await.map(drop)
                            }
                            _ => store.put_many_if_newer(&batch).await.map(drop),
                        };
                        match done {
                            Ok(()) => break,
                            Err(StoreError::Throttled { .. }) => {}
                            // Others were in between, each time.
                            Err(error) if error.to_string().contains("wrote nothing") => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let last: Vec<_> = keys.iter().map(|id| (id.clone(), of(1000))).collect();
    assert_eq!(store.put_many_if_newer(&last).await, Ok(vec![Copied::Written; 6]));
    let page =
        store.scan(&Scope::Tenant("t".to_owned()), Segment::ALL, None, 1 << 20).await.expect("scanned");
    let hot: Vec<_> = page.records.into_iter().filter(|(id, _)| id.key.starts_with("hot-")).collect();
    assert_eq!(hot, last);
}

/// The server ends a connection whose entry is written and whose row is not.
pub(crate) async fn a_connection_killed_between_entry_and_row_leaves_neither<S: Store>(
    store: &Arc<S>,
    admin: &impl Admin,
    name: &str,
    lock: impl AsyncFn(),
    release: impl AsyncFn(),
) {
    for (kills, old, new) in [(1, 1, tombstone(2)), (3, 3, tombstone(4)), (3, 5, record(6, 2))] {
        store.put_if_newer(&id("killed"), &record(old, 1)).await.expect("written");
        lock().await;
        let (writer, put) = (store.clone(), new.clone());
        let writing = tokio::spawn(async move { writer.put_if_newer(&id("killed"), &put).await });
        let mut killed = 0;
        while killed < kills && !writing.is_finished() {
            killed += i32::from(admin.kill_waiting(name).await);
        }
        assert_eq!(store.get(&id("killed")).await, Ok(Some(record(old, 1))), "an entry alone is not seen");
        release().await;
        match writing.await.expect("no panic") {
            Ok(put) => assert_eq!(put, Put::Applied),
            Err(error) => assert!(!matches!(error, StoreError::Permanent { .. }), "{error}"),
        }
        let again = store.put_if_newer(&id("killed"), &new).await;
        assert!(matches!(again, Ok(Put::Applied | Put::Present)), "given again: {again:?}");
        assert_eq!(store.get(&id("killed")).await, Ok(Some(new)));
    }
}

/// Pages of any size have all records once, in order.
pub(crate) async fn pages_show_all_once(store: &dyn Store) {
    let many: Vec<_> = (0..900_u64)
        .map(|n| (id(&format!("{n:05}")), if n / 40 % 2 == 0 { tombstone(n + 1) } else { record(n + 1, 1) }))
        .collect();
    store.put_many_if_newer(&many).await.expect("written");
    for limit_bytes in [1, 300, 1 << 20] {
        let found = scanned(store, &Scope::All, Segment::ALL, limit_bytes).await;
        assert_eq!(found, many, "{limit_bytes} bytes");
    }
}

/// Entries of version 0 whose rows are gone: a cascade, or somebody's own `DELETE`. However many are in a row, a scan
/// goes on to what comes after them.
pub(crate) async fn dead_entries_end_no_scan(store: &dyn Store, admin: &impl Admin, name: &str) {
    const DEAD: u64 = 4500; // More than two pages of the most rows.
    let dead: Vec<_> = (0..DEAD).map(|n| (id(&format!("dead-{n:05}")), record(0, 1))).collect();
    for batch in dead.chunks(500) {
        store.put_many_if_newer(batch).await.expect("written");
    }
    let last = [(id("last"), record(5, 1)), (Id::new("u", "later").expect("valid"), record(6, 2))];
    store.put_many_if_newer(&last).await.expect("written");
    admin.run(format!("DELETE FROM {name} WHERE id <> 'last' AND id <> 'later'")).await;
    assert_eq!(
        admin.count(format!("SELECT count(*) FROM cutover_ledger_{name} WHERE version = 0")).await,
        DEAD as i64
    );

    let (all, of_t) = (&last[..], &last[..1]);
    let up_to = Scope::UpTo(cutover_store::Cursor::after_record(&last[0].0));
    for (scope, expected) in [(Scope::All, all), (Scope::Tenant("t".to_owned()), of_t), (up_to, of_t)] {
        for (limit_bytes, parts) in [(1, 1), (1 << 20, 1), (1 << 20, 3)] {
            let mut found = Vec::new();
            for segment in Segment::split(parts) {
                found.extend(scanned(store, &scope, segment, limit_bytes).await);
            }
            found.sort_by(|one, other| one.0.cmp(&other.0));
            assert_eq!(found, expected, "{scope:?}, {limit_bytes} bytes, {parts} segments");
        }
    }
    // And with nothing after them.
    admin.run(format!("DELETE FROM {name}; DELETE FROM cutover_ledger_{name} WHERE version <> 0")).await;
    assert_eq!(scanned(store, &Scope::All, Segment::ALL, 1 << 20).await, []);
}
