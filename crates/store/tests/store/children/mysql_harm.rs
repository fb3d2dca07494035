//! What other tables, triggers, limits and changed columns could do to the rows of lists, in MySQL and MariaDB.

use super::*;

async fn refused(url: &str, of: SqlTable) -> String {
    MySqlStore::open(url, of, options()).await.expect_err("refused").to_string()
}

/// Each write of a record replaces its rows.
#[tokio::test]
async fn foreign_keys_to_rows_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_referred");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    let reference = |to: &str, action: &str| {
        format!(
            "FOREIGN KEY (tenant, `of`, position) REFERENCES {name}_{to} (tenant, `of`, position) ON DELETE {action}"
        )
    };
    let ids = "tenant varbinary(256), `of` varbinary(1024), position int";
    for action in ["CASCADE", "SET NULL", "NO ACTION", "RESTRICT"] {
        let key = reference("lines", action);
        sql(&admin, format!("CREATE TABLE {name}_shipments ({ids}, {key})")).await;
        let told = refused(&url, of()).await;
        let fault = format!("of {name}_shipments refers to this child table with ON DELETE {action}");
        assert!(told.contains(&fault), "{told}");
        sql(&admin, format!("DROP TABLE {name}_shipments")).await;
    }
    // The server checks each row of a statement by itself.
    for (from, to, action, fault) in [
        ("tags", "lines", "CASCADE", "refers to this child table with ON DELETE CASCADE"),
        ("lines", "tags", "NO ACTION", "refers to this child table and comes before it in the spec"),
        ("lines", "lines", "NO ACTION", "which this key refuses"),
    ] {
        let key = reference(to, action);
        sql(&admin, format!("ALTER TABLE {name}_{from} ADD CONSTRAINT {name}_refers {key}")).await;
        let told = refused(&url, of()).await;
        assert!(told.contains(fault), "{told}");
        sql(&admin, format!("ALTER TABLE {name}_{from} DROP FOREIGN KEY {name}_refers")).await;
    }
    for versions in [Versions::Columns, Versions::Ledger] {
        drop_all(&admin, &name).await;
        create(&url, orders(Dialect::MySql, &name, versions)).await.close().await;
        sql(&admin, format!("ALTER TABLE {name}_tags ADD {}", reference("lines", "NO ACTION"))).await;
        let store = create(&url, orders(Dialect::MySql, &name, versions)).await;
        for record in [numbered(1, 5), numbered(2, 3), numbered(3, 6), tombstone(4)] {
            assert_eq!(store.put_if_newer(&id("k"), &record).await, Ok(Put::Applied));
            assert_eq!(store.get(&id("k")).await, Ok(Some(record)));
        }
    }
    drop_all(&admin, &name).await;
}

#[tokio::test]
async fn an_id_that_a_child_table_would_cut_is_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_cut");
    let text = |most| format!("varchar({most}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
    sql(
        &admin,
        format!(
            "CREATE TABLE {name} (tenant varbinary(256) NOT NULL, `key` {} NOT NULL, rest longtext, id bigint, \
             cutover_version bigint NOT NULL, cutover_deleted boolean NOT NULL, PRIMARY KEY (tenant, `key`)) \
             CHARACTER SET utf8mb4",
            text(100)
        ),
    )
    .await;
    let store = create(&url, orders(Dialect::MySql, &name, Versions::Columns)).await;
    let shorter = format!(
        "ALTER TABLE {name}_lines DROP FOREIGN KEY {name}_lines_ibfk_1, MODIFY `of` {} NOT NULL",
        text(3)
    );
    sql(&admin, shorter).await;
    assert_eq!(store.put_if_newer(&id("abc"), &numbered(1, 2)).await, Ok(Put::Applied));
    for put in [
        store.put_if_newer(&id("abc "), &numbered(1, 1)).await.map(drop),
        store.put_if_unchanged(&id("abc "), &numbered(1, 1), None).await.map(drop),
        store.put_many_if_newer(&[(id("abc "), numbered(1, 1))]).await.map(drop),
        store.put_all_if_newer(&[(id("abc "), numbered(1, 1))]).await.map(drop),
    ] {
        let told = put.expect_err("too long").to_string();
        assert!(told.contains(&format!("column of of {name}_lines takes 3")), "{told}");
    }
    assert_eq!(store.get(&id("abc")).await, Ok(Some(numbered(1, 2))));
    // At opening, for every id.
    for (kind, has) in [
        (text(99), "varchar(99)"),
        (text(100).replace("nopad_bin", "bin"), "varchar(100)"),
        (text(100).replace("nopad_bin", "general_ci"), "varchar(100)"),
        ("varbinary(1024)".to_owned(), "varbinary(1024)"),
    ] {
        sql(&admin, format!("ALTER TABLE {name}_lines MODIFY `of` {kind} NOT NULL")).await;
        let told = refused(&url, orders(Dialect::MySql, &name, Versions::Columns)).await;
        assert!(told.contains(&format!("column of is {has} and has to be varchar(100)")), "{told}");
    }
    sql(&admin, format!("ALTER TABLE {name}_lines MODIFY `of` {} NOT NULL", text(200))).await;
    MySqlStore::open(&url, orders(Dialect::MySql, &name, Versions::Columns), options())
        .await
        .expect("it fits");
    drop_all(&admin, &name).await;
}

#[tokio::test]
async fn lists_that_do_not_begin_at_0_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_places");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    let store = create(&url, of()).await;
    for key in ["a", "b", "c"] {
        assert_eq!(store.put_if_newer(&id(key), &numbered(1, 2)).await, Ok(Put::Applied));
    }
    sql(&admin, format!("UPDATE {name}_lines SET position = position + 10")).await;
    let told = refused(&url, of()).await;
    assert!(told.contains("column position is never 0 in the rows of the first 3 records"), "{told}");
    sql(&admin, format!("UPDATE {name}_lines SET position = position - 10 WHERE `of` = 'b'")).await;
    MySqlStore::open(&url, of(), options()).await.expect("a gap of some records");
    drop_all(&admin, &name).await;
}

/// Of several engines a read would have two moments, and some keep half a transaction.
#[tokio::test]
async fn tables_that_a_transaction_does_not_hold_together_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_engines");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    for engine in ["MyISAM", "Aria", "MEMORY"] {
        sql(
            &admin,
            format!(
                "DROP TABLE {name}_tags; CREATE TABLE {name}_tags (tenant varbinary(256) NOT NULL, `of` varbinary(300) NOT NULL, \
                 position int unsigned NOT NULL, tag varchar(9), PRIMARY KEY (tenant, `of`, position)) ENGINE = {engine}"
            ),
        )
        .await;
        let told = refused(&url, of()).await;
        assert!(told.contains(&format!("it has the engine {engine}, which has no transactions")), "{told}");
    }
    sql(
        &admin,
        format!(
            "DROP TABLE {name}_tags; CREATE VIEW {name}_tags AS SELECT 1 AS tenant, 2 AS `of`, 3 AS position"
        ),
    )
    .await;
    let told = refused(&url, of()).await;
    assert!(told.contains("it is a view"), "{told}");
    sql(&admin, format!("DROP VIEW {name}_tags")).await;
    drop_all(&admin, &name).await;
}

/// For an element without a value such a column would have one.
#[tokio::test]
async fn columns_that_fill_themselves_are_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_filled");
    let of = |is_required| {
        let number = cutover_store::mapping::Column { required: is_required, ..column("n", "bigint") };
        let columns = vec![number, column("at", "timestamp(0)")];
        let elements = Mapping::new(Dialect::MySql, columns, None, OnMisfit::Quarantine).expect("a mapping");
        let table = orders(Dialect::MySql, &name, Versions::Columns);
        let mapping = table.mapping.expect("a mapping");
        let lines = Child { elements, ..mapping.children()[0].clone() };
        SqlTable { mapping: Some(mapping.with_children(vec![lines]).expect("a mapping")), ..table }
    };
    create(&url, of(false)).await.close().await;
    sql(&admin, format!("ALTER TABLE {name}_lines MODIFY n bigint NOT NULL AUTO_INCREMENT, ADD KEY (n)"))
        .await;
    let told = refused(&url, of(false)).await;
    assert!(told.contains("column n stores a number or a time of its own for an element"), "{told}");
    let store = MySqlStore::open(&url, of(true), options()).await.expect("no element lacks it");
    let lines = r#"{"lines":{"L":[{"M":{"n":{"N":"7"}}},{"M":{"n":{"N":"0"}}}]}}"#;
    let batch = [(id("a"), record(1, lines)), (id("b"), record(1, lines))];
    assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Written; 2]));
    assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 100).await, batch, "and 0 is a number");
    sql(&admin, format!("ALTER TABLE {name}_lines MODIFY at timestamp NOT NULL DEFAULT now()")).await;
    let told = refused(&url, of(true)).await;
    assert!(told.contains("column at stores a number or a time of its own for an element"), "{told}");
    drop_all(&admin, &name).await;
}

/// A number that a record's row gets by itself hides whether the row was written.
#[tokio::test]
async fn an_auto_increment_beside_records_harms_nothing() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_serial");
    for versions in [Versions::Columns, Versions::Ledger] {
        let store = create(&url, orders(Dialect::MySql, &name, versions)).await;
        sql(&admin, format!("ALTER TABLE {name} ADD n bigint NOT NULL AUTO_INCREMENT, ADD KEY (n)")).await;
        let numbers =
            |version: u64, lines| ["a", "b", "c"].map(|key| (id(key), numbered(version, lines))).to_vec();
        for (version, lines) in [(0, 3), (1, 2), (5, 4), (6, 1)] {
            let batch = numbers(version, lines);
            assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Written; 3]), "{version}");
            assert_eq!(store.put_many_if_newer(&batch).await, Ok(vec![Copied::Present; 3]));
            let older = store.put_if_newer(&id("a"), &numbered(0, 9)).await;
            assert!(older != Ok(Put::Applied), "{older:?}");
            assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 300).await, batch);
        }
        assert_eq!(store.put_all_if_newer(&numbers(7, 2)).await, Ok(PutAll::Applied));
        assert_eq!(store.put_if_unchanged(&id("d"), &numbered(1, 2), None).await, Ok(Put::Applied));
        assert_eq!(store.put_if_unchanged(&id("d"), &numbered(1, 3), None).await, Ok(Put::Present));
        assert_eq!(store.get(&id("d")).await, Ok(Some(numbered(1, 2))));
        // One of a batch is there in a newer version: the others are written.
        let batch = [(id("a"), numbered(6, 9)), (id("d"), numbered(8, 3)), (id("e"), numbered(8, 1))];
        let answers = vec![Copied::Stale(Version(7)), Copied::Written, Copied::Written];
        assert_eq!(store.put_many_if_newer(&batch).await, Ok(answers));
        drop_all(&admin, &name).await;
    }
}

/// Rows have an index that is not the primary key, and a column got shorter while the store was open.
#[tokio::test]
async fn a_row_that_is_refused_takes_its_record_along() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_refused");
    for versions in [Versions::Columns, Versions::Ledger] {
        let of = || orders(Dialect::MySql, &name, versions);
        create(&url, of()).await.close().await;
        sql(
            &admin,
            format!(
                "ALTER TABLE {name}_lines DROP PRIMARY KEY, ADD PRIMARY KEY (position, `of`, tenant), \
                 ADD UNIQUE KEY places (tenant, `of`, position)"
            ),
        )
        .await;
        let store = MySqlStore::open(&url, of(), options()).await.expect("another index will do");
        let old = numbered(1, 3);
        assert_eq!(store.put_if_newer(&id("k"), &old).await, Ok(Put::Applied));
        sql(
            &admin,
            format!(
                "ALTER TABLE {name}_lines MODIFY sku varchar(3); CREATE TRIGGER {name}_refuses BEFORE INSERT ON \
                 {name}_tags FOR EACH ROW BEGIN IF NEW.tag = '8.0' THEN SIGNAL SQLSTATE '45000'; END IF; END"
            ),
        )
        .await;
        let told = store.warnings().await.expect("asked").join("\n");
        assert!(told.contains(&format!("{name}_tags: trigger {name}_refuses runs BEFORE INSERT")), "{told}");
        for new in [numbered(10, 2), numbered(8, 2)] {
            for put in [
                store.put_if_newer(&id("k"), &new).await.map(drop),
                store.put_if_unchanged(&id("k"), &new, Some(Version(1))).await.map(drop),
                store.put_if_unchanged(&id("new"), &new, None).await.map(drop),
                store.put_many_if_newer(&[(id("k"), new.clone()), (id("l"), new.clone())]).await.map(drop),
                store.put_all_if_newer(&[(id("k"), new.clone()), (id("l"), new.clone())]).await.map(drop),
            ] {
                let error = put.expect_err("a row is refused");
                assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
            }
        }
        assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 300).await, [(id("k"), old)]);
        drop_all(&admin, &name).await;
    }
}

/// A list is never shorter than its rows: the server leaves out and cuts what is too long.
#[tokio::test]
async fn a_list_that_the_server_cannot_give_whole_is_unreadable() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_long");
    let packet = sqlx::query_scalar("SELECT CAST(@@max_allowed_packet AS SIGNED)");
    let packet: i64 = packet.fetch_one(&admin).await.expect("asked");
    for (versions, rows, bytes) in [(Versions::Columns, 5, packet / 8), (Versions::Ledger, 1, packet * 3 / 4)]
    {
        let store = create(&url, orders(Dialect::MySql, &name, versions)).await;
        let fine = [(id("a"), numbered(1, 2)), (id("b"), numbered(1, 4)), (id("c"), numbered(1, 1))];
        assert_eq!(store.put_many_if_newer(&fine).await, Ok(vec![Copied::Written; 3]));
        for place in 4..4 + rows {
            let row = format!("('t', 'b', {place}, REPEAT('x', {bytes}))");
            sql(&admin, format!("INSERT INTO {name}_lines (tenant, `of`, position, at_shelf) VALUES {row}"))
                .await;
        }
        for error in [store.get(&id("b")).await.map(drop), store.get_many(&[id("b")]).await.map(drop)] {
            let told = error.expect_err("rows are missing").to_string();
            assert!(told.contains("did not give all its rows"), "{told}");
        }
        let page = store.scan(&Scope::All, Segment::ALL, None, 1 << 30).await.expect("scanned");
        let keys: Vec<_> = page.records.iter().map(|(id, _)| id.key.as_str()).collect();
        assert_eq!((keys, page.unreadable.len()), (vec!["a", "c"], 1));
        assert_eq!(store.put_if_newer(&id("b"), &numbered(2, 1)).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("b")).await, Ok(Some(numbered(2, 1))), "a write replaces them");
        drop_all(&admin, &name).await;
    }
}

/// It could be written in several statements, and then not be read.
#[tokio::test]
async fn a_list_that_the_server_could_not_give_back_is_refused() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_longer");
    let store = create(&url, orders(Dialect::MySql, &name, Versions::Columns)).await;
    // As much as a statement has: each takes one of its own.
    let shelf = "x".repeat(8 << 20);
    let of = |lines| {
        let line = format!(r#"{{"M":{{"at":{{"M":{{"shelf":{{"S":"{shelf}"}}}}}}}}}}"#);
        record(1, &format!(r#"{{"lines":{{"L":[{}]}}}}"#, vec![line; lines].join(",")))
    };
    let told = store.put_if_newer(&id("k"), &of(4)).await.expect_err("too long").to_string();
    assert!(told.contains("4 elements take up to ") && told.contains("max_allowed_packet"), "{told}");
    assert_eq!(store.get(&id("k")).await, Ok(None));
    let most = of(3);
    assert_eq!(store.put_if_newer(&id("k"), &most).await, Ok(Put::Applied));
    assert!(store.get(&id("k")).await == Ok(Some(most)));
    drop_all(&admin, &name).await;
}

/// The names that the statements give to tables are no table's. The server names no foreign key of a long one.
#[tokio::test]
async fn no_name_of_a_table_mixes_up_records() {
    let Some((url, admin)) = server().await else { return };
    for name in ["c", "t", "l", "record", &format!("{:x<57}", table("long"))] {
        for versions in [Versions::Columns, Versions::Ledger] {
            drop_all(&admin, name).await;
            let store = create(&url, orders(Dialect::MySql, name, versions)).await;
            let records = [(id("a"), numbered(1, 2)), (id("b"), numbered(2, 5)), (id("c"), numbered(3, 0))];
            assert_eq!(store.put_many_if_newer(&records).await, Ok(vec![Copied::Written; 3]));
            for (id, record) in &records {
                assert_eq!(store.get(id).await.as_ref(), Ok(&Some(record.clone())), "{name}");
            }
            assert_eq!(scanned(&store, &Scope::All, Segment::ALL, 1 << 20).await, records, "{name}");
            drop_all(&admin, name).await;
        }
    }
}
