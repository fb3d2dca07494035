//! Lists where a key has another type.

use cutover_store::{KeyRange, ScanOrder};

use sqlx::PgPool;

use super::{BOTH, Server, id, record, table};

/// `bytes`: a type that is compared byte by byte.
async fn keys_are_listed_by_their_bytes_only(server: &Server, bytes: &str) {
    let name = table("listed");
    for versions in BOTH {
        // The least number is the tenant of the ledger's own entry.
        let least = i64::MIN.to_string();
        server.create(&name, versions, ["BIGINT", bytes]).await;
        let store = server.opened(&name, versions).await;
        assert!(store.scan_order() != ScanOrder::Bytes && store.key_order() == ScanOrder::Bytes);
        for tenant in ["7", "70", least.as_str()] {
            for key in ["b", "a", "c", "B"] {
                store.put_if_newer(&id(tenant, key), &record(1)).await.expect("written");
            }
            for most in [1, 9] {
                let (mut range, mut found) = (KeyRange::all().below("c"), Vec::new());
                loop {
                    let page = store.list(tenant, &range, most, 1 << 20).await.expect("listed");
                    found.extend(page.records.into_iter().map(|(id, _)| id.key));
                    let Some(next) = page.next else { break };
                    range = range.after(&next);
                }
                assert_eq!(found, ["B", "a", "b"], "{versions:?}, pages of {most}");
            }
        }
        assert!(store.list("no number", &KeyRange::all(), 9, 99).await.expect("listed").records.is_empty());

        server.create(&name, versions, [bytes, "BIGINT"]).await;
        let store = server.opened(&name, versions).await;
        store.put_if_newer(&id("t", "9"), &record(1)).await.expect("written");
        let ScanOrder::Own(order) = store.key_order() else { panic!("10 would come after 9") };
        assert!(order.starts_with("number of column key, bigint"), "{order}");
        store.list("t", &KeyRange::all(), 9, 99).await.expect_err("refused");
    }
    server.drop(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_their_bytes_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    keys_are_listed_by_their_bytes_only(&server, "VARBINARY(1024)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_their_bytes_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    keys_are_listed_by_their_bytes_only(&server, "TEXT COLLATE \"C\"").await;
}

/// COLLATE "C" compares the bytes that the server holds: the euro sign is 80 in WIN1252 and comes before letters with accents.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_not_listed_in_postgresql_if_the_bytes_are_not_utf8() {
    let Some(utf8) = Server::postgres().await else { return };
    let Server::Postgres(url, _) = &utf8 else { unreachable!("it is PostgreSQL") };
    let database = table("encoded");
    for (encoding, is_listed) in [("WIN1252", false), ("LATIN1", true), ("SQL_ASCII", true)] {
        utf8.sql(format!("CREATE DATABASE {database} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
            .await;
        let own = format!("{}/{database}", url.rsplit_once('/').expect("it names a database").0);
        let admin = PgPool::connect(&own).await.expect("connected");
        let server = Server::Postgres(own, admin.clone());
        for versions in BOTH {
            server.create("listed", versions, ["TEXT COLLATE \"C\""; 2]).await;
            let store = server.opened("listed", versions).await;
            store.put_if_newer(&id("t", "\u{e9}"), &record(1)).await.expect("written");
            assert_eq!(store.key_order() == ScanOrder::Bytes, is_listed, "{encoding}");
            let own = ScanOrder::Own(format!("\"C\" {encoding}, \"C\" {encoding}"));
            assert_eq!(store.scan_order(), if is_listed { ScanOrder::Bytes } else { own }, "{versions:?}");
            let listed = store.list("t", &KeyRange::all(), 9, 1 << 20).await;
            assert_eq!(listed.is_ok_and(|page| page.records.len() == 1), is_listed, "{encoding}");
        }
        admin.close().await;
        utf8.sql(format!("DROP DATABASE {database} WITH (FORCE)")).await;
    }
}
