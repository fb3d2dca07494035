//! Child tables of a MySQL or MariaDB server.

#[path = "mysql_changes.rs"]
mod changes;
#[path = "mysql_harm.rs"]
mod harm;

use std::time::Duration;

use cutover_store::MySqlStore;
use sqlx::{AssertSqlSafe, MySqlPool};

use super::{
    super::servers::{options, sql, table, waiting},
    *,
};

async fn server() -> Option<(String, MySqlPool)> {
    let url = super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")?;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    Some((url, admin))
}

async fn create(url: &str, table: SqlTable) -> MySqlStore {
    MySqlStore::create(url, table, options()).await.expect("created")
}

async fn drop_all(admin: &MySqlPool, name: &str) {
    let ledger =
        SqlTable { versions: Versions::Ledger, ..SqlTable::from(name) }.ledger().expect("it has one");
    sql(admin, format!("DROP TABLE IF EXISTS {name}_tags, {name}_lines, {name}_parts, {name}, {ledger}"))
        .await;
}

async fn passes_on(versions: Versions, story: &str) {
    let Some((url, admin)) = server().await else { return };
    let names = of_suite(story);
    passes(Dialect::MySql, versions, &names, async |table| create(&url, table).await).await;
    let rows = sqlx::query_scalar(AssertSqlSafe(parts_of(&names)));
    let rows: i64 = rows.fetch_one(&admin).await.expect("counted");
    assert!(rows > 0, "the lists are rows");
    for name in &names {
        drop_all(&admin, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    passes_on(Versions::Columns, "children_suite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_with_a_ledger() {
    passes_on(Versions::Ledger, "children_ledger").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_promises_of_lists() {
    let Some((url, admin)) = server().await else { return };
    for (versions, story) in [(Versions::Columns, "children_c"), (Versions::Ledger, "children_l")] {
        let name = |part: &str| table(&format!("{story}{part}"));
        let made = async |part: &str| create(&url, orders(Dialect::MySql, &name(part), versions)).await;
        every_kind_of_element_comes_back(&made("1").await).await;
        floats_come_back_bit_by_bit(&made("1").await).await;
        what_is_not_newer_touches_no_row(&made("2").await).await;
        racing_writers_leave_whole_lists(Arc::new(made("3").await)).await;
        let run = async |text: String| sql(&admin, text.replace('"', "`")).await;
        rows_of_others_are_read_or_refused(&made("4").await, &name("4"), run).await;
        made("5").await.close().await;
        // It gives each such decimal back.
        sql(&admin, format!("ALTER TABLE {}_lines MODIFY price DOUBLE(12,2)", name("5"))).await;
        let of_floats = MySqlStore::open(&url, orders(Dialect::MySql, &name("5"), versions), options()).await;
        every_kind_of_element_comes_back(&of_floats.expect("it fits")).await;
        for part in ["1", "2", "3", "4", "5"] {
            drop_all(&admin, &name(part)).await;
        }
    }
}

#[tokio::test]
async fn every_type_comes_back() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_kinds");
    for versions in [Versions::Columns, Versions::Ledger] {
        let store = create(&url, of_kinds(Dialect::MySql, &name, versions)).await;
        every_type_comes_back_in_rows(&store, Dialect::MySql).await;
        // Types of the server's own, and texts in another character set.
        let has_uuid = "SELECT CAST(NULL AS UUID)";
        let guid =
            if sqlx::query(has_uuid).execute(&admin).await.is_ok() { "guid UUID" } else { "guid CHAR(36)" };
        sql(
            &admin,
            format!(
                "DELETE FROM {name}; DELETE FROM {name}_lines; ALTER TABLE {name}_lines MODIFY single DOUBLE, \
                 MODIFY {guid}, MODIFY bits BIT(64), MODIFY code VARCHAR(9) CHARACTER SET utf8mb4, \
                 MODIFY state ENUM('2', '', 'it''s', 'PAID', 'paid') CHARACTER SET latin1 COLLATE latin1_bin"
            ),
        )
        .await;
        if versions == Versions::Ledger {
            sql(&admin, format!("DELETE FROM cutover_ledger_{name} WHERE `key` = 'k'")).await;
        }
        let store = MySqlStore::open(&url, of_kinds(Dialect::MySql, &name, versions), options()).await;
        every_type_comes_back_in_rows(&store.expect("it fits"), Dialect::MySql).await;
        drop_all(&admin, &name).await;
    }
}

/// A put waits for a lock on the rows of lines, and its connection is killed there.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_between_record_and_rows_leaves_neither() {
    let Some((url, admin)) = server().await else { return };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = table("children_killed");
        let store = Arc::new(create(&url, orders(Dialect::MySql, &name, versions)).await);
        let old = numbered(3, 4);
        assert_eq!(store.put_if_newer(&id("k"), &old).await, Ok(Put::Applied));
        for (new, kills) in [(numbered(5, 2), 3), (numbered(6, 6), 1), (tombstone(7), 3), (numbered(8, 3), 2)]
        {
            let before = store.get(&id("k")).await.expect("read");
            // Its rows, and the places where there is none.
            let mut lock = admin.begin().await.expect("begun");
            sql(&mut *lock, format!("SELECT * FROM {name}_lines FOR UPDATE")).await;
            let (writer, put) = (store.clone(), new.clone());
            let writing = tokio::spawn(async move { writer.put_if_newer(&id("k"), &put).await });
            let (mut killed, mut last) = (0, None);
            while killed < kills && !writing.is_finished() {
                let found = waiting(&admin, &format!("{name}_lines")).await;
                if let Some(found) = found.filter(|found| Some(*found) != last) {
                    // It may have ended by itself.
                    let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {found}"))).execute(&admin).await;
                    killed += usize::from(kill.is_ok());
                    last = Some(found);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(killed > 0, "it waited for the rows");
            assert_eq!(store.get(&id("k")).await, Ok(before), "nothing half is seen");
            lock.rollback().await.expect("released");
            match writing.await.expect("no panic") {
                Ok(put) => assert_eq!(put, Put::Applied),
                Err(error) => assert!(!matches!(error, StoreError::Permanent { .. }), "{error}"),
            }
            let again = store.put_if_newer(&id("k"), &new).await;
            assert!(matches!(again, Ok(Put::Applied | Put::Present)), "given again: {again:?}");
            assert_eq!(store.get(&id("k")).await, Ok(Some(new)));
        }
        drop_all(&admin, &name).await;
    }
}

#[tokio::test]
async fn every_fault_of_a_child_table_is_told_at_once() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_faults");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    let open = async || MySqlStore::open(&url, of(), options()).await;
    create(&url, of()).await.close().await;
    let store = open().await.expect("as it was created");
    assert_eq!(store.warnings().await, Ok(Vec::new()), "its own foreign keys are none");
    assert_eq!(store.unmapped().await, Ok(Vec::new()));
    assert_eq!(store.missing_privileges().await, Ok(Vec::new()));
    let identity = store.identity().await.expect("asked").expect("known");
    sql(
        &admin,
        format!(
            "DROP TABLE {name}_lines; CREATE TABLE {name}_lines (tenant varbinary(256) NOT NULL, `of` varbinary(10), \
             position int NOT NULL, sku varchar(5), price decimal(12,2), ratio float, gift boolean, photo longblob, \
             at_shelf longtext, due date, id char(36), more longtext, note text, weight int NOT NULL) \
             CHARACTER SET utf8mb4"
        ),
    )
    .await;
    let told = open().await.expect_err("many faults").to_string();
    let lines = format!("\"{name}_lines\" can't be used:");
    for fault in [
        lines.as_str(),
        "column of is varbinary(10) and has to be varbinary(1024)",
        "column sku is varchar(5) and has to be varchar(20)",
        "it has no column n. Run: ALTER TABLE",
        "column ratio is float and has to be double",
        "column note is not mapped, and each write of a record deletes its rows here",
        "column weight is not mapped",
        "it has no primary key or unique index on (tenant, of, position)",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    sql(
        &admin,
        format!(
            "ALTER TABLE {name}_lines MODIFY `of` varbinary(1024) NOT NULL, MODIFY sku varchar(20), ADD n int, \
             MODIFY ratio double, DROP note, DROP weight, ADD more_days date AS (due + INTERVAL 1 DAY); \
             CREATE UNIQUE INDEX lines_of ON {name}_lines (tenant, `of`, position)"
        ),
    )
    .await;
    let store = open().await.expect("mended");
    let warnings = store.warnings().await.expect("asked").join("\n");
    assert!(warnings.contains(&format!("{name}_lines has no foreign key to {name}")), "{warnings}");
    let advice = warnings.split_once("Run: ").expect("a statement").1.lines().next().expect("a line");
    sql(&admin, advice).await;
    assert_eq!(store.warnings().await, Ok(Vec::new()), "as advised");
    let generated = vec![format!("{name}_lines.more_days (date)")];
    assert_eq!(store.unmapped().await, Ok(generated), "a generated column loses nothing");
    let other = store.identity().await.expect("asked").expect("known");
    assert_eq!(other.id, identity.id, "the same names");
    what_is_not_newer_touches_no_row(&store).await;
    // One that was lost is not made anew.
    sql(&admin, format!("DROP TABLE {name}_tags")).await;
    for opened in [open().await, MySqlStore::create(&url, of(), options()).await] {
        let told = opened.expect_err("there are orders, and no tags");
        assert!(
            told.is_no_table() && told.to_string().contains("without it every record lacks tags"),
            "{told}"
        );
        let made = told.to_string().split_once("create it:\n").expect("a statement").1.to_owned();
        assert!(made.contains("ON DELETE CASCADE"), "{made}");
        sql(&admin, made).await;
        open().await.expect("as advised");
        sql(&admin, format!("DROP TABLE {name}_tags")).await;
    }
    drop_all(&admin, &name).await;
}

/// Keys that are no bytes, and a type of the server's own. Child tables are created with the same keys.
#[tokio::test]
async fn rows_have_the_key_types_of_their_record() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_typed");
    let element =
        |columns| Mapping::new(Dialect::MySql, columns, None, OnMisfit::Quarantine).expect("a mapping");
    let child = |path: &str, elements| Child {
        table: format!("{name}_{path}"),
        path: ColumnPath::dotted(path).expect("a path"),
        tenant: "tenant".to_owned(),
        key: "key".to_owned(),
        position: "position".to_owned(),
        elements,
        of_values: false,
    };
    let lines = child("lines", element(vec![column("mask", "bit(64)")]));
    let tags = child("tags", element(vec![column("tag", "text")]));
    let mapping = element(vec![column("id", "bigint")]).with_children(vec![lines, tags]).expect("a mapping");
    let of = |versions| SqlTable { mapping: Some(mapping.clone()), versions, ..SqlTable::from(&name) };
    let text = "varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
    let uuid = "00000000-0000-4000-8000-0000000000a0";
    for (types, tenant, keys) in [
        (["bigint", "binary(16)"], "-7", [uuid, "00000000-0000-4000-8000-0000000000a1"]),
        ([text, "mediumint unsigned"], "\u{e4} ", ["7", "8"]),
        (["varbinary(300)", text], "t", ["k", "k "]),
    ] {
        for versions in [Versions::Columns, Versions::Ledger] {
            let own = match versions {
                Versions::Ledger => "",
                _ => {
                    ", cutover_version bigint NOT NULL DEFAULT 0, cutover_deleted boolean NOT NULL DEFAULT false"
                }
            };
            sql(
                &admin,
                format!(
                    "CREATE TABLE {name} (tenant {} NOT NULL, `key` {} NOT NULL, id bigint{own}, \
                     PRIMARY KEY (tenant, `key`))",
                    types[0], types[1]
                ),
            )
            .await;
            let store = create(&url, of(versions)).await;
            assert_eq!(store.warnings().await, Ok(Vec::new()), "with foreign keys");
            let full = r#"{"lines":{"L":[{"M":{"mask":{"N":"18446744073709551615"}}},{"M":{}}]},
                "tags":{"L":[{"M":{"tag":{"S":"x"}}}]}}"#;
            let ids = keys.map(|key| Id::new(tenant, key).expect("valid"));
            for record in [record(1, full), record(2, "{}"), tombstone(3), record(4, full), tombstone(5)] {
                for id in &ids {
                    assert_eq!(store.put_if_newer(id, &record).await, Ok(Put::Applied));
                    assert_eq!(store.get(id).await, Ok(Some(record.clone())));
                }
                assert_eq!(store.get_many(&ids).await, Ok(vec![Some(record.clone()), Some(record.clone())]));
                let all = ids.iter().map(|id| (id.clone(), record.clone())).collect::<Vec<_>>();
                assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 300).await, all);
            }
            store.close().await;
            drop_all(&admin, &name).await;
        }
    }
    // The rows of two ids that the server takes for one could not be told apart.
    sql(
        &admin,
        format!(
            "CREATE TABLE {name} (tenant varchar(60) COLLATE utf8mb4_general_ci NOT NULL, `key` varbinary(1024) NOT NULL, \
             id bigint, cutover_version bigint NOT NULL DEFAULT 0, cutover_deleted boolean NOT NULL DEFAULT false, \
             PRIMARY KEY (tenant, `key`)) CHARACTER SET utf8mb4"
        ),
    )
    .await;
    let told = MySqlStore::create(&url, of(Versions::Columns), options()).await.expect_err("equal ids");
    let told = told.to_string();
    assert!(
        told.contains("in which different ids may be equal, and a child table has the rows of each id"),
        "{told}"
    );
    drop_all(&admin, &name).await;
}
