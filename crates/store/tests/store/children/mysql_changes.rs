//! Child tables that change while a store is open, and what users with few rights can't see, in MySQL and MariaDB.

use super::*;

/// Each write inserts all rows again: a column that it does not know would lose its values.
#[tokio::test]
async fn a_column_that_is_added_while_the_store_is_open_keeps_its_values() {
    let Some((url, admin)) = server().await else { return };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = table("children_added");
        let store = create(&url, orders(Dialect::MySql, &name, versions)).await;
        let old = numbered(1, 3);
        assert_eq!(store.put_if_newer(&id("k"), &old).await, Ok(Put::Applied));
        sql(&admin, format!("ALTER TABLE {name}_lines ADD shipped int AFTER tenant")).await;
        sql(&admin, format!("UPDATE {name}_lines SET shipped = 3")).await;
        let new = numbered(2, 3);
        for put in [
            store.put_if_newer(&id("k"), &new).await.map(drop),
            store.put_if_unchanged(&id("k"), &new, Some(Version(1))).await.map(drop),
            store.put_many_if_newer(&[(id("k"), new.clone()), (id("l"), new.clone())]).await.map(drop),
            store.put_all_if_newer(&[(id("k"), new.clone()), (id("l"), new.clone())]).await.map(drop),
        ] {
            let error = put.expect_err("a column is not mapped");
            let StoreError::Permanent { field, what, .. } = &error else { panic!("{error}") };
            assert!(field == "table" && what.contains("its columns changed: open it again"), "{error}");
        }
        let shipped = format!("SELECT COUNT(*) FROM {name}_lines WHERE shipped = 3");
        let shipped: i64 = sqlx::query_scalar(AssertSqlSafe(shipped)).fetch_one(&admin).await.expect("asked");
        assert_eq!((shipped, store.get(&id("k")).await), (3, Ok(Some(old))));
        sql(&admin, format!("ALTER TABLE {name}_lines DROP shipped, ADD twice int AS (n * 2)")).await;
        assert!(store.put_if_newer(&id("k"), &new).await.is_err(), "it does not know the column");
        let store = MySqlStore::open(&url, orders(Dialect::MySql, &name, versions), options()).await;
        let store = store.expect("a generated column loses nothing");
        assert_eq!(store.put_if_newer(&id("k"), &new).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("k")).await, Ok(Some(new)));
        drop_all(&admin, &name).await;
    }
}

/// In a collation in which they are equal, an id would take the rows of another one.
#[tokio::test]
async fn another_collation_while_the_store_is_open_mixes_up_no_rows() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_collation");
    let text = "varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
    for versions in [Versions::Columns, Versions::Ledger] {
        let own = match versions {
            Versions::Ledger => "",
            _ => "cutover_version bigint NOT NULL, cutover_deleted boolean NOT NULL, ",
        };
        sql(
            &admin,
            format!(
                "CREATE TABLE {name} (tenant varbinary(256) NOT NULL, `key` {text} NOT NULL, rest longtext, id bigint, {own}\
                 PRIMARY KEY (tenant, `key`)) CHARACTER SET utf8mb4"
            ),
        )
        .await;
        let store = create(&url, orders(Dialect::MySql, &name, versions)).await;
        let of_other = numbered(1, 4);
        assert_eq!(store.put_if_newer(&id("ABC"), &of_other).await, Ok(Put::Applied));
        assert_eq!(store.put_if_newer(&id("abc"), &numbered(2, 0)).await, Ok(Put::Applied));
        let loose = text.replace("nopad_bin", "general_ci");
        sql(
            &admin,
            format!(
                "ALTER TABLE {name}_lines DROP FOREIGN KEY {name}_lines_ibfk_1, MODIFY `of` {loose} NOT NULL; \
                 ALTER TABLE {name}_tags DROP FOREIGN KEY {name}_tags_ibfk_1, MODIFY `of` {loose} NOT NULL"
            ),
        )
        .await;
        assert_eq!(store.get(&id("abc")).await, Ok(Some(numbered(2, 0))));
        assert_eq!(store.put_if_newer(&id("abc"), &numbered(3, 0)).await, Ok(Put::Applied));
        assert_eq!(store.put_if_newer(&id("abc"), &tombstone(4)).await, Ok(Put::Applied));
        store
            .put_if_newer(&id("abc"), &numbered(5, 2))
            .await
            .expect_err("its rows have the places of others");
        assert_eq!(store.get(&id("ABC")).await, Ok(Some(of_other)), "nobody took its rows");
        // The records' key as well, and rows that have no record.
        sql(
            &admin,
            format!(
                "DELETE FROM {name} WHERE `key` = 'ABC'; ALTER TABLE {name} MODIFY `key` {loose} NOT NULL"
            ),
        )
        .await;
        assert_eq!(store.put_if_newer(&id("abc"), &numbered(6, 0)).await, Ok(Put::Applied));
        assert_eq!(store.get(&id("abc")).await, Ok(Some(numbered(6, 0))));
        drop_all(&admin, &name).await;
    }
}

#[tokio::test]
async fn another_index_while_the_store_is_open_is_not_the_record_s_fault() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_index");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    sql(
        &admin,
        format!(
            "ALTER TABLE {name}_lines DROP PRIMARY KEY, ADD UNIQUE places (tenant, `of`, position), ADD UNIQUE (sku)"
        ),
    )
    .await;
    let store = MySqlStore::open(&url, of(), options()).await.expect("another index will do");
    let told = store.warnings().await.expect("asked").join("\n");
    assert!(told.contains(&format!("{name}_lines: the unique index sku refuses a row")), "{told}");
    assert!(!told.contains("unique index places"), "{told}");
    sql(&admin, format!("ALTER TABLE {name}_lines RENAME INDEX places TO other")).await;
    for error in
        [store.put_if_newer(&id("k"), &numbered(1, 2)).await.map(drop), store.get(&id("k")).await.map(drop)]
    {
        let error = error.expect_err("the index is gone");
        let StoreError::Permanent { field, what, .. } = &error else { panic!("{error}") };
        assert!(field == "table" && what.contains("its indexes changed: open it again"), "{error}");
    }
    drop_all(&admin, &name).await;
}

/// MariaDB makes a hash of an index that is too long, which finds no rows by tenant and key.
#[tokio::test]
async fn an_index_that_is_a_hash_is_none() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_hash");
    let (tenant, key) = ("varchar(256)", "varchar(512)");
    let kind = |of: &str| format!("{of} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    sql(
        &admin,
        format!(
            "DROP TABLE {name}_lines, {name}_tags; ALTER TABLE {name} MODIFY tenant {tenant}, MODIFY `key` {key}; \
             CREATE TABLE {name}_tags (tenant {tenant}, `of` {key}, position int NOT NULL, tag longtext, \
             UNIQUE (tenant, `of`, position)) CHARACTER SET utf8mb4; CREATE TABLE {name}_lines LIKE {name}_tags",
            tenant = kind(tenant),
            key = kind(key)
        ),
    )
    .await;
    let told = MySqlStore::open(&url, of(), options()).await.expect_err("a hash").to_string();
    assert!(told.contains("it has no primary key or unique index on (tenant, of, position)"), "{told}");
    drop_all(&admin, &name).await;
}

/// A user with rights on the tables alone, as the guide has it.
#[tokio::test]
async fn foreign_keys_and_triggers_that_the_user_cannot_see_are_warned_of() {
    let Some((url, admin)) = server().await else { return };
    let name = table("children_rights");
    let of = || orders(Dialect::MySql, &name, Versions::Columns);
    create(&url, of()).await.close().await;
    sql(&admin, format!("CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'cutover'")).await;
    let grant = async |right: &str, on: &str| {
        sql(&admin, format!("GRANT {right} ON {on} TO {name}@'127.0.0.1'")).await;
    };
    for part in ["", "_lines", "_tags"] {
        grant("SELECT, INSERT, UPDATE, DELETE", &format!("{name}{part}")).await;
    }
    let at = url.find("@").expect("a user");
    let url = format!("mysql://{name}:cutover{}", &url[at..]);
    let warned = async || {
        let store = MySqlStore::open(&url, of(), options()).await.expect("it may read and write");
        let told = store.warnings().await.expect("asked");
        store.close().await;
        told
    };
    let told = warned().await;
    assert_eq!(told.len(), 4, "{told:?}");
    let process = format!("run: GRANT PROCESS ON *.* TO '{name}'@'127.0.0.1'");
    assert!(told[0].contains(&format!("refer to {name}_lines")) && told[0].ends_with(&process), "{told:?}");
    let trigger = format!("run: GRANT TRIGGER ON `cutover`.`{name}_lines` TO '{name}'@'127.0.0.1'");
    assert!(told[1].ends_with(&trigger), "{told:?}");
    for advice in told.iter().filter_map(|it| it.split_once("run: ")) {
        sql(&admin, advice.1).await;
    }
    assert_eq!(warned().await, Vec::<String>::new(), "as advised");
    let other = format!("{name}-more");
    let ids = "tenant varbinary(256), `of` varbinary(1024), position int";
    for (database, shown) in
        [("cutover", format!("{name}_ships")), (other.as_str(), format!("{name}@002dmore.{name}_ships"))]
    {
        for action in ["CASCADE", "SET NULL", "NO ACTION"] {
            sql(
                &admin,
                format!(
                    "CREATE DATABASE IF NOT EXISTS `{database}`; CREATE TABLE `{database}`.{name}_ships ({ids}, \
                     CONSTRAINT {name}_key FOREIGN KEY (tenant, `of`, position) REFERENCES cutover.{name}_lines \
                     (tenant, `of`, position) ON DELETE {action})"
                ),
            )
            .await;
            let told = MySqlStore::open(&url, of(), options()).await.expect_err("refused").to_string();
            let fault = format!("of {shown} refers to this child table with ON DELETE {action}");
            assert!(told.contains(&fault), "{told}");
            sql(&admin, format!("DROP TABLE `{database}`.{name}_ships")).await;
        }
    }
    // One without rights on a column can't tell whether it would be wiped.
    sql(
        &admin,
        format!(
            "DROP DATABASE `{other}`; ALTER TABLE {name}_lines ADD secret int; REVOKE SELECT, INSERT ON {name}_lines FROM \
             {name}@'127.0.0.1'"
        ),
    )
    .await;
    let columns = "tenant, `of`, position, sku, n, price, ratio, gift, photo, at_shelf, due, id, more";
    grant(&format!("SELECT ({columns}), INSERT ({columns})"), &format!("{name}_lines")).await;
    let told = MySqlStore::open(&url, of(), options()).await.expect_err("a column that it can't see");
    assert!(told.to_string().contains("SELECT command denied"), "{told}");
    sql(&admin, format!("DROP USER {name}@'127.0.0.1'")).await;
    drop_all(&admin, &name).await;
}
