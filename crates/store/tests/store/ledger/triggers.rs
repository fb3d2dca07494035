//! Stories of programs without the SDK that write beside triggers.

use cutover_store::{
    Copied, Put, PutAll, Record, Scope, Segment, Store, Version, mapping::Dialect, now_ms_since_2025,
};
use tokio::sync::Notify;

use super::{id, record, stories::Admin, tombstone};

async fn version(store: &dyn Store, key: &str) -> Version {
    store.get_versions(&[id(key)]).await.expect("read")[0].expect("a record or a tombstone")
}

fn is_stamped(version: Version) -> bool {
    version.slot() == Version::TRIGGER_SLOT
}

/// Each write by a program gets a version above what is there, and each deletion leaves a tombstone. What the SDK writes
/// keeps its own version. `run`: as a program.
pub(crate) async fn programs_take_part(
    store: &dyn Store,
    [table, tenant, key]: [&str; 3],
    mut run: impl AsyncFnMut(String),
) {
    let own = store.triggers();
    assert!(!own.is_empty());
    run(format!("DELETE FROM {table}")).await;
    for statement in own {
        run(statement.create).await;
    }
    let mut run = async |sql: &str| {
        let sql = sql.replace("TABLE", table).replace("TENANT", tenant).replace("KEY", key);
        run(sql).await;
    };
    let warnings = store.warnings().await.expect("asked");
    assert!(!warnings.iter().any(|warning| warning.contains("cutover_stamp")), "{warnings:?}");
    let named = store.triggers().into_iter().filter(|it| !it.name.is_empty()).count();
    assert_eq!(store.created_triggers().await.expect("asked").len(), named);

    // The SDK's own writes, each by its way.
    for (key, record) in [
        ("a", record(7, 1)),
        ("b", record(0, 2)),
        ("c", record(7, 3)),
        ("c", tombstone(8)),
        ("d", record(7, 1)),
    ] {
        assert_eq!(store.put_if_newer(&id(key), &record).await, Ok(Put::Applied), "{key}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(record)), "{key} keeps its version");
    }
    let many = [(id("e"), record(0, 1)), (id("f"), record(9, 1)), (id("d"), tombstone(9))];
    assert_eq!(store.put_many_if_newer(&many).await, Ok(vec![Copied::Written; 3]));
    let all = [(id("g"), record(9, 1)), (id("h"), record(9, 2))];
    assert_eq!(store.put_all_if_newer(&all).await, Ok(PutAll::Applied));
    for (id, record) in many.into_iter().chain(all) {
        assert_eq!(store.get(&id).await, Ok(Some(record)), "{id:?} keeps its version");
    }
    for (key, record, expected) in [
        ("a", record(9, 2), Some(7)),
        ("b", record(9, 2), Some(0)),
        ("e", tombstone(9), Some(0)),
        ("i", record(0, 1), None),
        ("i", record(0, 2), Some(0)),
    ] {
        let put = store.put_if_unchanged(&id(key), &record, expected.map(Version)).await;
        assert_eq!(put, Ok(Put::Applied), "{key}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(record)), "{key} keeps its version");
    }

    // A program's.
    let began = now_ms_since_2025();
    run("INSERT INTO TABLE (TENANT, KEY, n) VALUES ('t', 'new', 1)").await;
    run("UPDATE TABLE SET n = 3 WHERE KEY IN ('a', 'b', 'i')").await;
    run("DELETE FROM TABLE WHERE KEY IN ('f', 'g')").await;
    for key in ["new", "a", "b", "i", "f", "g"] {
        let stamp = version(store, key).await;
        assert!(is_stamped(stamp), "{key}: {stamp}");
        // Clocks of two processes, rounded differently.
        assert!(stamp.ms_since_2025().abs_diff(began) < 60_000, "{key}: {stamp}, by the server's clock");
    }
    assert_eq!(store.get(&id("f")).await, Ok(Some(tombstone(version(store, "f").await.0))));
    assert_eq!(store.get(&id("a")).await, Ok(Some(record(version(store, "a").await.0, 3))));
    assert_eq!(version(store, "h").await, Version(9), "nobody touched it");
    let late = store.put_if_unchanged(&id("a"), &record(10, 1), Some(Version(9))).await;
    assert!(matches!(late, Ok(Put::Stale(it)) if is_stamped(it)), "a comparison sees it: {late:?}");

    // Always above what is there, also if that is ahead of the server's clock.
    let ahead = Version::new(began + 3_600_000, 0, 0).expect("in range");
    store.put_if_newer(&id("h"), &record(ahead.0, 1)).await.expect("written");
    run("UPDATE TABLE SET n = 2 WHERE KEY = 'h'").await;
    let above = version(store, "h").await;
    assert!(above > ahead && is_stamped(above) && above.0 - ahead.0 < 1 << 15, "{above}");
    run("DELETE FROM TABLE WHERE KEY = 'h'").await;
    let gone = version(store, "h").await;
    assert!(gone > above && store.get(&id("h")).await == Ok(Some(tombstone(gone.0))), "{gone}");
    assert_eq!(
        store.put_if_newer(&id("h"), &record(above.0, 1)).await,
        Ok(Put::Stale(gone)),
        "it stays dead"
    );
    run("INSERT INTO TABLE (TENANT, KEY, n) VALUES ('t', 'h', 3)").await;
    let back = version(store, "h").await;
    assert!(back > gone && store.get(&id("h")).await == Ok(Some(record(back.0, 3))), "{back}");

    // Another id is another record.
    run("UPDATE TABLE SET KEY = 'moved' WHERE KEY = 'a'").await;
    let [left, moved] = [version(store, "a").await, version(store, "moved").await];
    assert!(is_stamped(left) && is_stamped(moved));
    assert_eq!(store.get(&id("a")).await, Ok(Some(tombstone(left.0))));
    assert_eq!(store.get(&id("moved")).await, Ok(Some(record(moved.0, 3))));

    // What is undone leaves nothing.
    run("BEGIN; UPDATE TABLE SET n = 1 WHERE KEY = 'moved'; DELETE FROM TABLE WHERE KEY = 'b'; ROLLBACK")
        .await;
    assert_eq!(version(store, "moved").await, moved);
    // The last change of a transaction counts.
    run("BEGIN; UPDATE TABLE SET n = 1 WHERE KEY = 'moved'; DELETE FROM TABLE WHERE KEY = 'moved'; \
         INSERT INTO TABLE (TENANT, KEY, n) VALUES ('t', 'twice', 1); UPDATE TABLE SET n = 2 WHERE KEY = 'twice'; COMMIT")
        .await;
    assert!(store.get(&id("moved")).await.expect("read").expect("a tombstone").is_tombstone());
    assert_eq!(store.get(&id("twice")).await.expect("read").and_then(|it| it.value), record(0, 2).value);

    // The entry that has the ledger's id is not a record's.
    run("INSERT INTO TABLE (TENANT, KEY, n) VALUES ('', '', 1); DELETE FROM TABLE WHERE KEY = ''").await;
    // A row whose id is none leaves nothing that nobody could read or remove.
    run("INSERT INTO TABLE (TENANT, KEY, n) VALUES ('t', '', 1); DELETE FROM TABLE WHERE KEY = ''").await;
    let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 20).await.expect("scanned");
    assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
    let last = Record { version: Version(ahead.0 + (1 << 20)), ..record(0, 1) };
    assert_eq!(store.put_if_newer(&id("twice"), &last).await, Ok(Put::Applied), "it is the same ledger");
}

/// A change of a row of a child table is one of its record. `of`: a table with lines, and the name of the lines' table.
pub(crate) async fn lines_stamp_their_record(
    store: &dyn Store,
    lines: &str,
    orders: &str,
    mut run: impl AsyncFnMut(String),
) {
    for trigger in store.triggers() {
        run(trigger.create).await;
    }
    let order = |version: u64, sku: &str| {
        let json = format!(r#"{{"id":{{"N":"1"}},"lines":{{"L":[{{"M":{{"sku":{{"S":"{sku}"}}}}}}]}}}}"#);
        let document = cutover_store::document::Document::decode(json.as_bytes()).expect("typed JSON");
        Record { version: Version(version), value: Some(document.encode().expect("a document")) }
    };
    for record in [order(7, "one"), order(8, "two"), tombstone(9), order(10, "three")] {
        assert_eq!(store.put_if_newer(&id("a"), &record).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("a")).await, Ok(Some(record)), "it keeps its version");
    }
    assert_eq!(store.put_if_newer(&id("b"), &order(0, "one")).await, Ok(Put::Applied));
    assert_eq!(version(store, "b").await, Version::ZERO);
    run(format!("UPDATE {lines} SET sku = 'four'")).await;
    for key in ["a", "b"] {
        let stamp = version(store, key).await;
        assert!(is_stamped(stamp), "{key}: {stamp}");
        assert_eq!(store.get(&id(key)).await, Ok(Some(order(stamp.0, "four"))));
    }
    let before = version(store, "a").await;
    run(format!("DELETE FROM {lines}; DELETE FROM {orders}")).await;
    let after = version(store, "a").await;
    assert!(after > before && store.get(&id("a")).await == Ok(Some(tombstone(after.0))), "{before} {after}");
}

/// What the printed statements remove.
pub(crate) async fn drop_all(store: &dyn Store, mut run: impl AsyncFnMut(String)) {
    for trigger in store.triggers().into_iter().filter(|it| !it.drop.is_empty()) {
        run(trigger.drop).await;
    }
}

/// A line comes while the SDK puts its record: whether the record's row is there is asked once the SDK has committed.
pub(crate) async fn lines_wait_for_their_record(
    store: &dyn Store,
    admin: &impl Admin,
    dialect: Dialect,
    orders: &str,
) {
    let [q, own] = match dialect {
        Dialect::MySql => ["`", "SET @cutover_stamps = CONCAT(DATABASE(), '.cutover_ledger_ORDERS')"],
        _ => ["\"", "SELECT 1"],
    };
    let key = format!("{q}key{q}");
    let held = [
        own.replace("ORDERS", orders),
        format!(
            "INSERT INTO cutover_ledger_{orders} (tenant, {key}, version, deleted) VALUES ('t', 'w', 50, FALSE)"
        ),
        format!("INSERT INTO {orders} (tenant, {key}, id) VALUES ('t', 'w', 1)"),
        if dialect == Dialect::MySql { "SET @cutover_stamps = NULL" } else { "SELECT 1" }.to_owned(),
    ];
    let lines = format!("{orders}_lines");
    // With a foreign key a line could not come first.
    let drop = match dialect {
        Dialect::MySql => format!("ALTER TABLE {lines} DROP FOREIGN KEY {lines}_ibfk_1"),
        _ => format!("ALTER TABLE {lines} DROP CONSTRAINT {lines}_tenant_of_fkey"),
    };
    admin.run(drop).await;
    let (level, waits_for) = match dialect {
        Dialect::MySql => {
            ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; ", format!("cutover_ledger_{orders}"))
        }
        _ => ("", lines.clone()),
    };
    let begun = Notify::new();
    let insert = async {
        begun.notified().await;
        let columns = format!("tenant, {q}of{q}, {q}position{q}, sku");
        admin.run(format!("{level}INSERT INTO {q}{lines}{q} ({columns}) VALUES ('t', 'w', 0, 'x')")).await;
    };
    tokio::join!(insert, admin.hold(&held, &begun, &waits_for));
    let stamp = version(store, "w").await;
    assert!(is_stamped(stamp), "the row is there, and so is a version: {stamp}");
    assert!(!store.get(&id("w")).await.expect("read").expect("a record").is_tombstone());
}
