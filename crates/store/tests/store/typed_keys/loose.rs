//! Keys of which different ones are equal for the server.

use super::*;

/// Ids of which the later ones are equal to an earlier one, or none.
const EQUAL: [(&str, &str); 3] = [("Straße", "STRASSE"), ("bär", "BAR"), ("key", "KEY")];

async fn keep_both_apart(server: &Server, kind: &str, pairs: &[(&str, &str)]) {
    let name = table("loose");
    let text = if matches!(server, Server::MySql(..)) { "VARBINARY(256)" } else { "TEXT COLLATE \"C\"" };
    server.create(&name, Versions::Columns, [text, kind]).await;
    let store = server.opened(&name, Versions::Columns).await;
    let id = |key: &str| id("t", key);
    for (first, second) in pairs {
        assert_eq!(store.put_if_newer(&id(first), &record(1)).await, Ok(Put::Applied), "{first}");
        for newer in [record(9), record(0), Record { value: None, ..record(9) }] {
            let both = [(id(first), record(1)), (id(second), newer.clone())];
            for error in [
                store.put_if_newer(&id(second), &newer).await.expect_err(second),
                store.put_if_unchanged(&id(second), &newer, None).await.expect_err(second),
                store.put_many_if_newer(&both).await.expect_err(second),
            ] {
                let told = error.to_string();
                let expected = format!("\"t\"/{second:?} is equal to \"t\"/{first:?}, which is there");
                assert!(!error.may_apply() && told.contains(&expected) && told.contains("column"), "{told}");
            }
            let replaced = store.put_if_unchanged(&id(second), &newer, Some(Version(1))).await;
            assert_eq!(replaced, Ok(Put::Stale(Version::ZERO)), "{second}");
        }
        assert_eq!(store.get(&id(second)).await, Ok(None), "{second}");
        let ids = [id(second), id(first)];
        assert_eq!(store.get_many(&ids).await, Ok(vec![None, Some(record(1))]), "{second}");
        assert_eq!(store.get_versions(&ids).await, Ok(vec![None, Some(Version(1))]), "{second}");
        // The first one is written as any other.
        assert_eq!(store.put_if_newer(&id(first), &record(2)).await, Ok(Put::Applied));
        assert_eq!(store.put_if_unchanged(&id(first), &record(3), Some(Version(2))).await, Ok(Put::Applied));
        let gone = Record { value: None, ..record(4) };
        assert_eq!(store.put_if_newer(&id(first), &gone).await, Ok(Put::Applied));
        assert_eq!(store.put_if_newer(&id(first), &record(5)).await, Ok(Put::Applied));
    }
    // Both in one statement, into an empty place; and at once.
    for round in 0..8 {
        let (lower, upper) = (id(&format!("both-{round}")), id(&format!("BOTH-{round}")));
        let batch = [(lower.clone(), record(1)), (upper.clone(), record(2))];
        if round == 0 {
            store.put_many_if_newer(&batch).await.expect_err("they are equal");
        }
        let (one, other) = ([batch[0].clone()], [batch[1].clone()]);
        let (one, other) = tokio::join!(store.put_many_if_newer(&one), store.put_many_if_newer(&other));
        assert!(one.is_ok() != other.is_ok(), "one of them is refused: {one:?} {other:?}");
        let (has, lacks) = if one.is_ok() { (0, 1) } else { (1, 0) };
        assert_eq!(store.get(&batch[has].0).await, Ok(Some(batch[has].1.clone())));
        assert_eq!(store.get(&batch[lacks].0).await, Ok(None));
    }
    // Everything once, whatever the server's order.
    for n in 0..40 {
        let key = if n % 2 == 0 { format!("word-{n}") } else { format!("WORD-{n}") };
        store.put_if_newer(&id(&key), &record(1)).await.expect("written");
    }
    let all = scanned(&*store, &Scope::All, Segment::ALL, 1 << 20).await;
    assert_eq!(all.len(), pairs.len() + 8 + 40);
    let mut parts = Vec::new();
    for segment in Segment::split(3) {
        parts.extend(scanned(&*store, &Scope::All, segment, 60).await);
    }
    parts.sort_by_key(|(id, _)| all.iter().position(|(of, _)| of == id));
    assert_eq!(parts, all);
    let own: BTreeSet<&str> = all.iter().map(|(id, _)| id.key.as_str()).collect();
    assert_eq!(own.len(), all.len());
    server.drop(&name).await;
    // Tenants that are equal to each other have their own records.
    server.create(&name, Versions::Columns, [kind, kind]).await;
    let store = server.opened(&name, Versions::Columns).await;
    let of = |tenant: &str, key: &str| Id::new(tenant, key).expect("valid");
    for (tenant, key) in [("a", "1"), ("A", "2"), ("a", "3"), ("A", "4"), ("b", "5")] {
        assert_eq!(store.put_if_newer(&of(tenant, key), &record(1)).await, Ok(Put::Applied));
    }
    store.put_if_newer(&of("A", "1"), &record(9)).await.expect_err("it is equal");
    for (tenant, keys) in [("a", ["1", "3"]), ("A", ["2", "4"])] {
        let found = scanned(&*store, &Scope::Tenant(tenant.to_owned()), Segment::ALL, 1).await;
        assert_eq!(found, keys.map(|key| (of(tenant, key), record(1))));
    }
    assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 1).await.len(), 5);
    server.drop(&name).await;
    // A ledger would have one entry for both.
    server.create(&name, Versions::Ledger, [text, kind]).await;
    let told = server.open(&name, Versions::Ledger).await.err().expect("it can't").to_string();
    assert!(told.contains("in which different ids may be equal"), "{told}");
    server.drop(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_mysql_takes_for_one_are_never_one_row() {
    let Some(server) = Server::mysql().await else { return };
    let kind = "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
    keep_both_apart(&server, kind, &[EQUAL[0], EQUAL[1], EQUAL[2], ("blank", "blank ")]).await;
    let kind = "CHAR(36) CHARACTER SET ascii COLLATE ascii_general_ci";
    keep_both_apart(&server, kind, &[(UUID, UUIDS[0])]).await;
    let kind = "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";
    keep_both_apart(&server, kind, &EQUAL[1..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_postgresql_takes_for_one_are_never_one_row() {
    let Some(server) = Server::postgres().await else { return };
    let collation = table("nocase");
    server
        .sql(format!(
            "CREATE COLLATION {collation} (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
        ))
        .await;
    let kind = format!("TEXT COLLATE \"{collation}\"");
    keep_both_apart(&server, &kind, &EQUAL).await;
    let name = table("loose_index");
    server.create(&name, Versions::Columns, ["TEXT COLLATE \"C\"", &kind]).await;
    // An index that tells more apart than the order does: a page could end between two equal keys.
    server
        .sql(format!(
            "ALTER TABLE {name} DROP CONSTRAINT {name}_pkey; CREATE UNIQUE INDEX ON {name} (tenant, key COLLATE \"C\")"
        ))
        .await;
    let told = server.open(&name, Versions::Columns).await.err().expect("it can't").to_string();
    assert!(told.contains("no primary key or unique index on (tenant, key)"), "{told}");
    server.drop(&name).await;
    server.sql(format!("DROP COLLATION {collation}")).await;
}

/// A column that cuts blanks takes no id that ends with one.
#[tokio::test(flavor = "multi_thread")]
async fn a_char_column_cuts_no_ids() {
    for server in [Server::mysql().await, Server::postgres().await].into_iter().flatten() {
        let name = table("char");
        let kinds = match server {
            Server::MySql(..) => ["VARBINARY(256)", "CHAR(9) CHARACTER SET utf8mb4"],
            Server::Postgres(..) => ["TEXT COLLATE \"C\"", "CHAR(9) COLLATE \"C\""],
        };
        server.create(&name, Versions::Columns, kinds).await;
        let store = server.opened(&name, Versions::Columns).await;
        assert_eq!(store.put_if_newer(&id("t", "k"), &record(1)).await, Ok(Put::Applied));
        // "k\u{1}" is before "k " in the order of bytes, and here after it.
        assert!(store.scan_order() != ScanOrder::Bytes, "{:?}", store.scan_order());
        let up_to = Scope::UpTo(Cursor::after_record(&id("t", "k ")));
        let told = store.scan(&up_to, Segment::ALL, None, 1 << 20).await.expect_err("no place").to_string();
        assert!(told.contains("not scanned in byte order"), "{told}");
        let blank = id("t", "k ");
        let told = store.put_if_newer(&blank, &record(9)).await.expect_err("it would be cut").to_string();
        assert!(told.contains("\"k \" is no id for column key"), "{told}");
        let ids = [blank, id("t", "k")];
        assert_eq!(store.get_many(&ids).await, Ok(vec![None, Some(record(1))]));
        assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 9).await, [(id("t", "k"), record(1))]);
        server.drop(&name).await;
        // Its entries would be in another order, or blanks at the end mean another one.
        for kinds in [kinds, [kinds[1], kinds[0]]] {
            server.create(&name, Versions::Ledger, kinds).await;
            let told = server.open(&name, Versions::Ledger).await.err().expect("it can't").to_string();
            assert!(told.contains("in which different ids may be equal"), "{told}");
            server.drop(&name).await;
        }
    }
}
