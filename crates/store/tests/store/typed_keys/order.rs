//! The order of scans: which collations have which, and what notices that it has changed.

use super::*;

/// A scan follows the order of the columns, which an index in another collation does not have.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_has_an_index_in_the_order_of_its_columns() {
    let Some(server) = Server::postgres().await else { return };
    let name = table("other_index");
    let text = "VARCHAR(60) COLLATE \"en-x-icu\"";
    for (key, of_index) in [(text, "C"), ("TEXT COLLATE \"C\"", "en-x-icu"), (text, "de-x-icu")] {
        server.create(&name, Versions::Columns, ["BIGINT", key]).await;
        server
            .sql(format!(
                "ALTER TABLE {name} DROP CONSTRAINT {name}_pkey; CREATE UNIQUE INDEX ON {name} (tenant, key COLLATE \"{of_index}\")"
            ))
            .await;
        let told = server.open(&name, Versions::Columns).await.err().expect("it can't").to_string();
        let expected = "no primary key or unique index on (tenant, key) in the collations of these columns";
        assert!(told.contains(expected), "{told}");
        server.sql(format!("CREATE UNIQUE INDEX ON {name} (tenant, key)")).await;
        server.opened(&name, Versions::Columns).await;
    }
    server.drop(&name).await;
}

/// Anybody may call a collation "C".
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_s_collation_c_is_known_by_more_than_its_name() {
    let Some(server) = Server::postgres().await else { return };
    let (name, schema) = (table("named_c"), table("schema_c"));
    server
        .sql(format!(
            "CREATE SCHEMA {schema}; CREATE COLLATION {schema}.\"C\" (provider = icu, locale = 'en')"
        ))
        .await;
    let kind = format!("TEXT COLLATE {schema}.\"C\"");
    for versions in BOTH {
        server.create(&name, versions, ["TEXT COLLATE \"C\"", &kind]).await;
        let store = server.opened(&name, versions).await;
        let ScanOrder::Own(order) = store.scan_order() else { panic!("it is not of bytes") };
        assert!(order.contains(&format!("{schema}.\"C\"")), "{order}");
        for key in ["a", "B", "c"] {
            assert_eq!(store.put_if_newer(&id("t", key), &record(1)).await, Ok(Put::Applied));
        }
        let found = scanned(&*store, &Scope::All, Segment::ALL, 1).await;
        assert_eq!(found.iter().map(|(id, _)| &*id.key).collect::<Vec<_>>(), ["a", "B", "c"]);
        server.drop(&name).await;
    }
    server.sql(format!("DROP SCHEMA {schema} CASCADE")).await;
}

/// A table that is altered below an open store.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_changed_is_noticed() {
    for server in [Server::mysql().await, Server::postgres().await].into_iter().flatten() {
        let name = table("altered");
        let (bytes, text, wider, other, alter) = match server {
            Server::MySql(..) => (
                "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
                "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                "VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                "VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
                "MODIFY `key`",
            ),
            Server::Postgres(..) => (
                "VARCHAR(60) COLLATE \"C\"",
                "VARCHAR(60) COLLATE \"en-x-icu\"",
                "VARCHAR(80) COLLATE \"en-x-icu\"",
                "VARCHAR(80) COLLATE \"de-x-icu\"",
                "ALTER key TYPE",
            ),
        };
        let null = if matches!(server, Server::MySql(..)) { " NOT NULL" } else { "" };
        let to = async |kind: &str| server.sql(format!("ALTER TABLE {name} {alter} {kind}{null}")).await;
        server.create(&name, Versions::Columns, ["BIGINT", bytes]).await;
        let mut orders = Vec::new();
        for (kind, is_other) in [(bytes, true), (text, true), (wider, false), (other, true), ("BIGINT", true)]
        {
            let before = server.opened(&name, Versions::Columns).await;
            let kind = if matches!(server, Server::Postgres(..)) && kind == "BIGINT" {
                "BIGINT USING key::bigint"
            } else {
                kind
            };
            to(kind).await;
            let after = server.opened(&name, Versions::Columns).await;
            let is_same = before.scan_order() == after.scan_order();
            assert_eq!(is_same, !is_other || kind == bytes, "{kind}");
            match before.identity().await {
                Ok(identity) => assert!(identity.is_some() && is_same, "{kind}"),
                Err(error) => {
                    assert!(!is_same && error.to_string().contains("when the table was opened"), "{error}");
                }
            }
            assert!(after.identity().await.is_ok(), "{kind}");
            orders.push(after.scan_order());
        }
        orders.dedup();
        assert_eq!(orders.len(), 4, "{orders:?}");
        server.drop(&name).await;
    }
}

/// A service goes on with a store that it opened before somebody made different keys equal.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_become_equal_below_an_open_store_are_not_mixed_up() {
    let Some(server) = Server::mysql().await else { return };
    let name = table("made_equal");
    let text = |collation| format!("VARCHAR(60) CHARACTER SET utf8mb4 COLLATE {collation}");
    server.create(&name, Versions::Columns, ["VARBINARY(256)", &text("utf8mb4_nopad_bin")]).await;
    let store = server.opened(&name, Versions::Columns).await;
    let (small, capital) = (id("t", "key"), id("t", "KEY"));
    assert_eq!(store.put_if_newer(&small, &record(5)).await, Ok(Put::Applied));
    server.sql(format!("ALTER TABLE {name} MODIFY `key` {} NOT NULL", text("utf8mb4_general_ci"))).await;
    let put = store.put_if_newer(&capital, &record(9)).await;
    assert!(!matches!(put, Ok(Put::Applied)), "{put:?}");
    let many = store.put_many_if_newer(&[(capital.clone(), record(9))]).await;
    assert!(many.is_err(), "{many:?}");
    let put = store.put_if_unchanged(&capital, &record(9), Some(record(5).version)).await;
    assert!(!matches!(put, Ok(Put::Applied)), "{put:?}");
    assert_eq!(store.get(&small).await, Ok(Some(record(5))));
    assert_eq!(store.get(&capital).await, Ok(None));
    assert_eq!(store.put_if_newer(&small, &record(6)).await, Ok(Put::Applied), "its own");
    server.drop(&name).await;
}

/// Most columns name no collation.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_postgresql_s_default_collation_has_the_locale() {
    let Some(server) = Server::postgres().await else { return };
    let name = table("default_order");
    server.create(&name, Versions::Columns, ["TEXT", "VARCHAR(60)"]).await;
    let store = server.opened(&name, Versions::Columns).await;
    let ScanOrder::Own(order) = store.scan_order() else { panic!("{:?}", store.scan_order()) };
    assert!(order.contains("\"default\" C.UTF-8"), "{order}");
    server.drop(&name).await;
}

/// A number of its own is not taken for the next one of AUTO_INCREMENT.
#[tokio::test(flavor = "multi_thread")]
async fn the_number_0_stays_0() {
    let Some(server) = Server::mysql().await else { return };
    let name = table("auto");
    for versions in BOTH {
        server.create(&name, versions, ["BIGINT", "BIGINT"]).await;
        server
            .sql(format!("ALTER TABLE {name} ADD KEY (`key`), MODIFY `key` BIGINT NOT NULL AUTO_INCREMENT"))
            .await;
        let store = server.opened(&name, versions).await;
        let batch: Vec<_> = (-2..3).map(|n| (id("1", &n.to_string()), record(1))).collect();
        store.put_many_if_newer(&batch).await.expect("written");
        assert_eq!(store.put_if_newer(&id("2", "0"), &record(2)).await, Ok(Put::Applied));
        assert_eq!(store.put_if_newer(&id("2", "0"), &record(2)).await, Ok(Put::Present));
        assert_eq!(store.put_if_unchanged(&id("3", "0"), &record(2), None).await, Ok(Put::Applied));
        assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 50).await.len(), 7);
        assert_eq!(server.count(format!("SELECT COUNT(*) FROM {name}")).await, 7);
    }
    server.drop(&name).await;
}
