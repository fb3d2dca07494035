//! UUIDs as keys: MariaDB's own type, and lists.

use cutover_store::KeyRange;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn uuids_of_mariadb_pass_the_suite() {
    let Some(server) = Server::mysql().await else { return };
    let Server::MySql(_, admin) = &server else { unreachable!("it is one") };
    if sqlx::query("SELECT CAST(NULL AS UUID)").execute(admin).await.is_err() {
        eprintln!("skipped: this server has no type UUID");
        return;
    }
    let types = [
        (["UUID", "UUID"], [Kind::Uuid, Kind::Uuid]),
        (["VARBINARY(256)", "UUID"], [Kind::Text, Kind::Uuid]),
    ];
    pass_the_suite(&server, "uuids", &types).await;
    keep_one_spelling(&server, "UUID", UUID, &UUIDS).await;
}

/// UUIDs are in the order of their texts. The ends of a range need not be any.
async fn uuids_are_listed(server: &Server, kind: &str) {
    let name = table("listed_uuids");
    for versions in BOTH {
        server.create(&name, versions, ["BIGINT", kind]).await;
        let store = server.opened(&name, versions).await;
        assert_eq!(store.key_order(), ScanOrder::Bytes, "{kind}");
        let all = ["0", "1", "9", "a", "f"].map(|it| format!("{}-0000-4000-8000-00000000000a", it.repeat(8)));
        for key in &all {
            for tenant in ["7", "8"] {
                store.put_if_newer(&id(tenant, key), &record(1)).await.expect("written");
            }
        }
        let ranges = [
            (KeyRange::all(), &all[..]),
            (KeyRange::prefix("9"), &all[2..3]),
            (KeyRange::all().at_least("1").below("b"), &all[1..4]),
            (KeyRange::all().after(&all[1]).below(&all[4]), &all[2..4]),
            (KeyRange::all().at_least(&all[1]), &all[1..]),
            (KeyRange::all().below("x"), &all[..]),
            (KeyRange::all().at_least("x"), &[]),
            (KeyRange::all().below(""), &[]),
        ];
        for (range, expected) in ranges {
            for most in [1, 9] {
                let (mut left, mut found) = (range.clone(), Vec::new());
                loop {
                    let page = store.list("7", &left, most, 1 << 20).await.expect("listed");
                    found.extend(page.records.into_iter().map(|(id, _)| id.key));
                    let Some(next) = page.next else { break };
                    left = left.after(&next);
                }
                assert_eq!(found, expected, "{versions:?} {range:?}, pages of {most}");
            }
        }
    }
    server.drop(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_are_listed_in_the_order_of_their_texts() {
    if let Some(server) = Server::mysql().await {
        uuids_are_listed(&server, "BINARY(16)").await;
    }
    if let Some(server) = Server::postgres().await {
        uuids_are_listed(&server, "UUID").await;
    }
}
