//! What other tables, triggers and changed columns could do to the rows of lists, in PostgreSQL.

use super::*;

async fn refused(url: &str, of: SqlTable) -> String {
    PostgresStore::open(url, of, options()).await.expect_err("refused").to_string()
}

/// Each write of a record replaces its rows.
#[tokio::test]
async fn foreign_keys_to_rows_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_referred");
    let of = || orders(Dialect::Postgres, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    let reference = |to: &str, action: &str| {
        format!("FOREIGN KEY (tenant, \"of\", position) REFERENCES {name}_{to} ON DELETE {action}")
    };
    for action in ["CASCADE", "SET NULL", "NO ACTION"] {
        let key = reference("lines", action);
        sql(
            &admin,
            format!(
                "CREATE TABLE {name}_shipments (tenant text COLLATE \"C\", \"of\" text COLLATE \"C\", position int, {key})"
            ),
        )
        .await;
        let told = refused(&url, of()).await;
        let fault = format!("of {name}_shipments refers to this child table with ON DELETE {action}");
        assert!(told.contains(&fault), "{told}");
        sql(&admin, format!("DROP TABLE {name}_shipments")).await;
    }
    for (from, to, action, fault) in [
        ("tags", "lines", "CASCADE", "refers to this child table with ON DELETE CASCADE"),
        ("lines", "tags", "NO ACTION", "refers to this child table and comes before it in the spec"),
    ] {
        let key = reference(to, action);
        sql(&admin, format!("ALTER TABLE {name}_{from} ADD CONSTRAINT {name}_refers {key}")).await;
        let told = refused(&url, of()).await;
        assert!(told.contains(fault), "{told}");
        sql(&admin, format!("ALTER TABLE {name}_{from} DROP CONSTRAINT {name}_refers")).await;
    }
    sql(&admin, format!("ALTER TABLE {name}_tags ADD {}", reference("lines", "NO ACTION"))).await;
    for versions in [Versions::Columns, Versions::Ledger] {
        if versions == Versions::Ledger {
            drop_all(&admin, &name).await;
            create(&url, orders(Dialect::Postgres, &name, versions)).await.close().await;
            sql(&admin, format!("ALTER TABLE {name}_tags ADD {}", reference("lines", "NO ACTION"))).await;
        }
        let store = create(&url, orders(Dialect::Postgres, &name, versions)).await;
        for record in [numbered(1, 5), numbered(2, 3), numbered(3, 6), tombstone(4)] {
            assert_eq!(store.put_if_newer(&id("k"), &record).await, Ok(Put::Applied));
            assert_eq!(store.get(&id("k")).await, Ok(Some(record)));
        }
    }
    drop_all(&admin, &name).await;
}

/// A row that a block with EXCEPTION changes no longer has the id of the transaction.
#[tokio::test]
async fn a_trigger_with_a_subtransaction_loses_no_list() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_subtransaction");
    sql(
        &admin,
        format!(
            "CREATE FUNCTION {name}_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             UPDATE {name} SET id = id; RETURN NULL; EXCEPTION WHEN division_by_zero THEN RETURN NULL; END $$"
        ),
    )
    .await;
    for versions in [Versions::Columns, Versions::Ledger] {
        for (on, event, first) in [("", "INSERT OR UPDATE", 1), ("_lines", "DELETE", 2)] {
            let store = create(&url, orders(Dialect::Postgres, &name, versions)).await;
            sql(
                &admin,
                format!(
                    "CREATE TRIGGER touches AFTER {event} ON {name}{on} FOR EACH ROW WHEN (pg_trigger_depth() = 0) \
                     EXECUTE FUNCTION {name}_touch()"
                ),
            )
            .await;
            let told = store.warnings().await.expect("asked").join("\n");
            assert!(told.contains("trigger touches runs on Cutover's writes too"), "{event}: {told}");
            for version in 1..first {
                let put = store.put_if_newer(&id("k"), &numbered(version, 3)).await;
                assert_eq!(put, Ok(Put::Applied), "nothing to delete yet");
            }
            let before = store.get(&id("k")).await;
            for put in [
                store.put_if_newer(&id("k"), &numbered(7, 2)).await.map(drop),
                store.put_if_unchanged(&id("l"), &numbered(7, 2), None).await.map(drop),
                store.put_all_if_newer(&[(id("k"), numbered(8, 2))]).await.map(drop),
            ]
            .into_iter()
            .step_by(if on.is_empty() { 1 } else { 2 })
            {
                let told = put.expect_err("its list would be lost").to_string();
                assert!(told.contains("wrote nothing"), "{told}");
            }
            assert_eq!(store.get(&id("k")).await, before);
            store.close().await;
            drop_all(&admin, &name).await;
        }
    }
    sql(&admin, format!("DROP FUNCTION {name}_touch")).await;
}

/// The application keeps a total in the record's row, in a trigger of the rows of its list. That is also a write of the record.
#[tokio::test]
async fn a_delete_is_whole_beside_a_trigger_that_writes_the_record() {
    let Some((url, admin)) = server().await else { return };
    for block in ["", "EXCEPTION WHEN division_by_zero THEN RETURN NULL;"] {
        let name = table("children_total");
        let store = create(&url, orders(Dialect::Postgres, &name, Versions::Ledger)).await;
        for trigger in store.triggers() {
            sql(&admin, trigger.create).await;
        }
        sql(
            &admin,
            format!(
                "CREATE FUNCTION {name}_total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 UPDATE {name} SET id = id WHERE key = OLD.\"of\"; RETURN NULL; {block} END $$; \
                 CREATE TRIGGER total AFTER DELETE ON {name}_lines FOR EACH ROW EXECUTE FUNCTION {name}_total()"
            ),
        )
        .await;
        for key in ["one", "two", "three"] {
            assert_eq!(store.put_if_newer(&id(key), &numbered(1, 3)).await, Ok(Put::Applied));
        }
        assert_eq!(store.put_if_newer(&id("one"), &tombstone(2)).await, Ok(Put::Applied));
        let unchanged = store.put_if_unchanged(&id("two"), &tombstone(2), Some(Version(1))).await;
        assert_eq!(unchanged, Ok(Put::Applied));
        store.put_all_if_newer(&[(id("three"), tombstone(2))]).await.expect("applied");
        for key in ["one", "two", "three"] {
            assert_eq!(store.get(&id(key)).await, Ok(Some(tombstone(2))), "{key}");
        }
        for drop in cutover_store::Trigger::drops(&store.triggers()) {
            sql(&admin, drop).await;
        }
        drop_all(&admin, &name).await;
        sql(&admin, format!("DROP FUNCTION {name}_total")).await;
    }
}

/// A program's own trigger that puts the record back is too much.
#[tokio::test]
async fn a_delete_that_a_trigger_thwarts_changes_nothing() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_thwarted");
    let store = create(&url, orders(Dialect::Postgres, &name, Versions::Ledger)).await;
    assert_eq!(store.put_if_newer(&id("k"), &numbered(1, 3)).await, Ok(Put::Applied));
    sql(
        &admin,
        format!(
            "CREATE FUNCTION {name}_total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             UPDATE cutover_ledger_{name} SET version = version + 1, deleted = false WHERE key = OLD.\"of\"; RETURN NULL; END $$; \
             CREATE TRIGGER total AFTER DELETE ON {name}_lines FOR EACH ROW EXECUTE FUNCTION {name}_total()"
        ),
    )
    .await;
    let put = store.put_if_newer(&id("k"), &tombstone(9)).await;
    assert_ne!(put, Ok(Put::Applied));
    assert_eq!(store.get(&id("k")).await, Ok(Some(numbered(1, 3))), "with its list");
    drop_all(&admin, &name).await;
    sql(&admin, format!("DROP FUNCTION {name}_total")).await;
}

#[tokio::test]
async fn an_id_that_a_child_table_would_cut_is_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_cut");
    let store = create(&url, orders(Dialect::Postgres, &name, Versions::Columns)).await;
    sql(&admin, format!("ALTER TABLE {name}_lines ALTER \"of\" TYPE varchar(3) COLLATE \"C\"")).await;
    assert_eq!(store.put_if_newer(&id("abc"), &numbered(1, 2)).await, Ok(Put::Applied));
    let told = store.put_if_newer(&id("abc "), &numbered(1, 1)).await.expect_err("too long").to_string();
    assert!(told.contains(&format!("column of of {name}_lines takes 3")), "{told}");
    assert_eq!(store.get(&id("abc")).await, Ok(Some(numbered(1, 2))));
    drop_all(&admin, &name).await;
}

#[tokio::test]
async fn lists_that_do_not_begin_at_0_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_places");
    let of = || orders(Dialect::Postgres, &name, Versions::Columns);
    let store = create(&url, of()).await;
    for key in ["a", "b", "c"] {
        assert_eq!(store.put_if_newer(&id(key), &numbered(1, 2)).await, Ok(Put::Applied));
    }
    sql(&admin, format!("UPDATE {name}_lines SET position = position + 10")).await;
    let told = refused(&url, of()).await;
    assert!(told.contains("column position is never 0 in the rows of the first 3 records"), "{told}");
    sql(&admin, format!("UPDATE {name}_lines SET position = position - 10 WHERE \"of\" = 'b'")).await;
    PostgresStore::open(&url, of(), options()).await.expect("a gap of some records");
    drop_all(&admin, &name).await;
}
