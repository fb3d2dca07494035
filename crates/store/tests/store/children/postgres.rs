//! Child tables of a PostgreSQL server.

#[path = "postgres_harm.rs"]
mod harm;

use std::time::Duration;

use cutover_store::PostgresStore;
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    super::servers::{options, sql, table},
    *,
};

async fn server() -> Option<(String, PgPool)> {
    let url = super::super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES")?;
    let admin = PgPool::connect(&url).await.expect("connected");
    Some((url, admin))
}

async fn create(url: &str, table: SqlTable) -> PostgresStore {
    PostgresStore::create(url, table, options()).await.expect("created")
}

async fn drop_all(admin: &PgPool, name: &str) {
    let ledger = format!("cutover_ledger_{name}");
    sql(admin, format!("DROP TABLE IF EXISTS {name}_lines, {name}_tags, {name}_parts, {name}, {ledger}"))
        .await;
}

async fn passes_on(versions: Versions, story: &str) {
    let Some((url, admin)) = server().await else { return };
    let names = of_suite(story);
    passes(Dialect::Postgres, versions, &names, async |table| create(&url, table).await).await;
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
        let name = |story: &str, part: &str| table(&format!("{story}{part}"));
        let made =
            async |part: &str| create(&url, orders(Dialect::Postgres, &name(story, part), versions)).await;
        every_kind_of_element_comes_back(&made("1").await).await;
        floats_come_back_bit_by_bit(&made("1").await).await;
        what_is_not_newer_touches_no_row(&made("2").await).await;
        racing_writers_leave_whole_lists(Arc::new(made("3").await)).await;
        let run = async |text: String| sql(&admin, text).await;
        rows_of_others_are_read_or_refused(&made("4").await, &name(story, "4"), run).await;
        for part in ["1", "2", "3", "4"] {
            drop_all(&admin, &name(story, part)).await;
        }
    }
}

#[tokio::test]
async fn every_type_comes_back() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_kinds");
    for versions in [Versions::Columns, Versions::Ledger] {
        let store = create(&url, of_kinds(Dialect::Postgres, &name, versions)).await;
        every_type_comes_back_in_rows(&store, Dialect::Postgres).await;
        store.close().await;
        drop_all(&admin, &name).await;
    }
}

/// A put waits for a lock on the rows of lines, and its connection is killed there.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_between_record_and_rows_leaves_neither() {
    let Some((url, admin)) = server().await else { return };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = table("children_killed");
        let store = Arc::new(create(&url, orders(Dialect::Postgres, &name, versions)).await);
        let old = numbered(3, 4);
        assert_eq!(store.put_if_newer(&id("k"), &old).await, Ok(Put::Applied));
        for (new, kills) in [(numbered(5, 2), 3), (numbered(6, 6), 1), (tombstone(7), 3), (numbered(8, 3), 2)]
        {
            let before = store.get(&id("k")).await.expect("read");
            let mut lock = admin.begin().await.expect("begun");
            sql(&mut *lock, format!("LOCK TABLE {name}_lines IN SHARE MODE")).await;
            let (writer, put) = (store.clone(), new.clone());
            let writing = tokio::spawn(async move { writer.put_if_newer(&id("k"), &put).await });
            let waiting = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE wait_event_type = 'Lock' AND query LIKE '%\"{name}_lines\"%'"
            );
            let mut killed = 0;
            while killed < kills && !writing.is_finished() {
                killed += sqlx::query_scalar::<_, i64>(AssertSqlSafe(waiting.clone()))
                    .fetch_one(&admin)
                    .await
                    .expect("killed");
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
    let of = || orders(Dialect::Postgres, &name, Versions::Columns);
    let open = async || PostgresStore::open(&url, of(), options()).await;
    create(&url, of()).await.close().await;
    let store = open().await.expect("as it was created");
    assert_eq!(store.warnings().await, Ok(Vec::new()), "its own foreign keys are none");
    assert_eq!(store.unmapped().await, Ok(Vec::new()));
    let identity = store.identity().await.expect("asked").expect("known");
    sql(
        &admin,
        format!(
            "DROP TABLE {name}_lines; CREATE TABLE {name}_lines (tenant text NOT NULL, \"of\" varchar(10) COLLATE \"C\", \
             position int NOT NULL, sku varchar(5), price numeric(12,2), ratio real, gift boolean, photo bytea, \
             at_shelf text, due date, id uuid, more jsonb, note text, weight int NOT NULL)"
        ),
    )
    .await;
    let told = open().await.expect_err("many faults").to_string();
    let lines = format!("\"{name}_lines\" can't be used:");
    for fault in [
        lines.as_str(),
        "column of has to be NOT NULL",
        "column sku is character varying(5) and has to be varchar(20)",
        "it has no column n. Run: ALTER TABLE",
        "column ratio is real and has to be double precision",
        "column note is not mapped, and each write of a record deletes its rows here",
        "column weight is not mapped",
        "column of takes 10 characters, and the column of the records' table more",
        "it has no primary key or unique index on (tenant, of, position)",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    sql(
        &admin,
        format!(
            "ALTER TABLE {name}_lines ALTER \"of\" SET NOT NULL, ALTER \"of\" TYPE text COLLATE \"C\", \
             ALTER sku TYPE varchar(20), ADD n int, ALTER ratio TYPE float8, ALTER tenant TYPE text COLLATE \"C\", \
             DROP note, DROP weight, ADD more_days date GENERATED ALWAYS AS (due + 1) STORED; \
             CREATE UNIQUE INDEX ON {name}_lines (tenant, \"of\", position)"
        ),
    )
    .await;
    let store = open().await.expect("mended");
    let warnings = store.warnings().await.expect("asked").join("\n");
    assert!(warnings.contains(&format!("{name}_lines has no foreign key to {name}")), "{warnings}");
    let generated = vec![format!("{name}_lines.more_days (date)")];
    assert_eq!(store.unmapped().await, Ok(generated), "a generated column loses nothing");
    let other = store.identity().await.expect("asked").expect("known");
    assert!(other.id != identity.id && other.shares_table(&identity), "another table of lines: {other}");
    // One that was lost is not made anew.
    assert_eq!(store.put_if_newer(&id("k"), &numbered(1, 1)).await, Ok(Put::Applied));
    sql(&admin, format!("DROP TABLE {name}_tags")).await;
    for opened in [open().await, PostgresStore::create(&url, of(), options()).await] {
        let told = opened.expect_err("there are orders, and no tags");
        assert!(
            told.is_no_table() && told.to_string().contains("without it every record lacks tags"),
            "{told}"
        );
        let made = told.to_string().split_once("create it:\n").expect("a statement").1.to_owned();
        assert!(made.contains("ON DELETE CASCADE") && made.contains(&format!("{name}_tags")), "{made}");
    }
    drop_all(&admin, &name).await;
}

/// Keys that are no texts, a type of the server's own, and columns that can't be given in arrays.
#[tokio::test]
async fn rows_have_the_key_types_of_their_record() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_typed");
    let element =
        |columns| Mapping::new(Dialect::Postgres, columns, None, OnMisfit::Quarantine).expect("a mapping");
    let state = cutover_store::mapping::Column {
        labels: vec!["new".to_owned(), "sold".to_owned()],
        ..column("state", "enum")
    };
    let child = |path: &str, elements| Child {
        table: format!("{name}_{path}"),
        path: ColumnPath::dotted(path).expect("a path"),
        tenant: "tenant".to_owned(),
        key: "key".to_owned(),
        position: "position".to_owned(),
        elements,
        of_values: false,
    };
    let lines = child(
        "lines",
        element(vec![state, column("flags", "bit(4)"), column("mask", "bit(64)"), column("sizes", "int[]")]),
    );
    let tags = child("tags", element(vec![column("tag", "text")]));
    let mapping = Mapping::new(Dialect::Postgres, vec![column("id", "bigint")], None, OnMisfit::Quarantine);
    let mapping = mapping.expect("a mapping").with_children(vec![lines, tags]).expect("a mapping");
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
                "CREATE TYPE {name}_state AS ENUM ('new', 'sold'); CREATE TABLE {name} (tenant bigint, key uuid, \
                 id bigint{own}, PRIMARY KEY (tenant, key)); CREATE TABLE {name}_lines (tenant bigint, key uuid, \
                 position int, state {name}_state, flags bit(4), mask bit(64), sizes int[], PRIMARY KEY (tenant, key, position), \
                 FOREIGN KEY (tenant, key) REFERENCES {name})"
            ),
        )
        .await;
        let (mapping, fields) = (Some(mapping.clone()), Fields::default());
        let store = create(&url, SqlTable { name: name.clone(), fields, mapping, versions }).await;
        let id = Id::new("-7", "00000000-0000-4000-8000-0000000000a0").expect("valid");
        let full = r#"{"lines":{"L":[{"M":{"state":{"S":"sold"},"flags":{"N":"9"},"mask":{"N":"18446744073709551615"},"sizes":{"L":[{"N":"1"},{"NULL":true}]}}},
            {"M":{}}]},"tags":{"L":[{"M":{"tag":{"S":"x"}}}]}}"#;
        for record in [record(1, full), record(2, "{}"), tombstone(3), record(4, full), tombstone(5)] {
            assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied));
            assert_eq!(store.get(&id).await, Ok(Some(record.clone())));
            assert_eq!(store.get_many(std::slice::from_ref(&id)).await, Ok(vec![Some(record)]));
        }
        store.close().await;
        drop_all(&admin, &name).await;
        sql(&admin, format!("DROP TYPE {name}_state")).await;
    }
    // The rows of two ids that the server takes for one could not be told apart.
    sql(
        &admin,
        format!(
            "CREATE COLLATION {name}_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE TABLE {name} (tenant text COLLATE {name}_ci, key text COLLATE \"C\", id bigint, \
             cutover_version bigint NOT NULL DEFAULT 0, cutover_deleted boolean NOT NULL DEFAULT false, \
             PRIMARY KEY (tenant, key))"
        ),
    )
    .await;
    let of = SqlTable {
        name: name.clone(),
        fields: Fields::default(),
        mapping: Some(mapping),
        versions: Versions::Columns,
    };
    let told = PostgresStore::create(&url, of, options()).await.expect_err("equal ids").to_string();
    assert!(
        told.contains("in which different ids may be equal, and a child table has the rows of each id"),
        "{told}"
    );
    drop_all(&admin, &name).await;
    sql(&admin, format!("DROP COLLATION {name}_ci")).await;
}
