//! Tables whose keys are numbers, UUIDs, or texts of which only the server knows the order or which are equal.

#[path = "typed_keys/keyed.rs"]
mod keyed;
#[path = "typed_keys/listed.rs"]
mod listed;
#[path = "typed_keys/loose.rs"]
mod loose;
#[path = "typed_keys/order.rs"]
mod order;
#[cfg(feature = "sqlite")]
#[path = "typed_keys/sqlite.rs"]
mod sqlite;
#[cfg(all(feature = "sqlite", feature = "spec"))]
#[path = "typed_keys/stripped.rs"]
mod stripped;

#[path = "typed_keys/uuids.rs"]
mod uuids;

use std::collections::BTreeSet;

use cutover_store::{
    Cursor, Id, MySqlStore, PostgresStore, Put, Record, ScanOrder, Scope, Segment, Store, StoreError,
    Version,
    mapping::{SqlTable, Versions},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::{
    servers::{options, pages, record, scanned, sql, table, url},
    suite,
};
use keyed::{Keyed, Kind};

fn of(name: &str, versions: Versions) -> SqlTable {
    SqlTable { versions, ..SqlTable::from(name) }
}

fn id(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).expect("valid")
}

/// A server, its own table and its own store.
enum Server {
    MySql(String, MySqlPool),
    Postgres(String, PgPool),
}

impl Server {
    async fn mysql() -> Option<Self> {
        let url = url("MySQL", "CUTOVER_TEST_MYSQL")?;
        let admin = MySqlPool::connect(&url).await.expect("connected");
        Some(Self::MySql(url, admin))
    }

    async fn postgres() -> Option<Self> {
        let url = url("PostgreSQL", "CUTOVER_TEST_POSTGRES")?;
        let admin = PgPool::connect(&url).await.expect("connected");
        Some(Self::Postgres(url, admin))
    }

    async fn sql(&self, text: String) {
        match self {
            Self::MySql(_, admin) => sql(admin, text).await,
            Self::Postgres(_, admin) => sql(admin, text).await,
        }
    }

    async fn count(&self, text: String) -> i64 {
        let text = AssertSqlSafe(text);
        match self {
            Self::MySql(_, admin) => sqlx::query_scalar(text).fetch_one(admin).await,
            Self::Postgres(_, admin) => sqlx::query_scalar(text).fetch_one(admin).await,
        }
        .expect("counted")
    }

    /// An empty table with these types of tenant and key.
    async fn create(&self, name: &str, versions: Versions, [tenant, key]: [&str; 2]) {
        let (k, blob) = match self {
            Self::MySql(..) => ("`key`", "LONGBLOB"),
            Self::Postgres(..) => ("key", "BYTEA"),
        };
        let content = match versions {
            Versions::Columns => format!("cutover_version BIGINT NOT NULL DEFAULT 0, value {blob}"),
            Versions::Ledger | Versions::Absent => format!("value {blob} NOT NULL"),
        };
        self.drop(name).await;
        self.sql(format!(
            "CREATE TABLE {name} ({content}, tenant {tenant} NOT NULL, {k} {key} NOT NULL, PRIMARY KEY (tenant, {k}))"
        ))
        .await;
    }

    async fn drop(&self, name: &str) {
        self.sql(format!("DROP TABLE IF EXISTS cutover_ledger_{name}, {name}")).await;
    }

    async fn open(&self, name: &str, versions: Versions) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::MySql(url, _) => Box::new(MySqlStore::create(url, of(name, versions), options()).await?),
            Self::Postgres(url, _) => {
                Box::new(PostgresStore::create(url, of(name, versions), options()).await?)
            }
        })
    }

    async fn opened(&self, name: &str, versions: Versions) -> Box<dyn Store> {
        self.open(name, versions).await.expect("it fits")
    }
}

const BOTH: [Versions; 2] = [Versions::Columns, Versions::Ledger];

/// `what`: begins the names of its tables, which no other test has.
async fn pass_the_suite(server: &Server, what: &str, types: &[([&str; 2], [Kind; 2])]) {
    for (n, (types, kinds)) in types.iter().enumerate() {
        for versions in BOTH {
            let mut stores = Vec::new();
            let names: Vec<String> =
                (0..suite::STORES).map(|at| table(&format!("{what}_{n}_{at}"))).collect();
            for name in &names {
                server.create(name, versions, *types).await;
                let store = server.opened(name, versions).await;
                assert!(store.scan_order() != ScanOrder::Bytes, "{types:?}");
                stores.push(Keyed::new(store, *kinds));
            }
            suite::run(|| stores.pop().expect("one for each story")).await;
            for name in &names {
                server.drop(name).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_keys_pass_the_suite_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    let types = [
        (["BIGINT", "BINARY(16)"], [Kind::Number(64), Kind::Uuid]),
        (["VARBINARY(256)", "INT"], [Kind::Text, Kind::Number(32)]),
    ];
    pass_the_suite(&server, "typed", &types).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_keys_pass_the_suite_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    let types = [
        (["UUID", "BIGINT"], [Kind::Uuid, Kind::Number(64)]),
        (["TEXT COLLATE \"C\"", "INTEGER"], [Kind::Text, Kind::Number(32)]),
        (["VARCHAR(300) COLLATE \"en-x-icu\"", "TEXT COLLATE \"en-x-icu\""], [Kind::Text, Kind::Text]),
    ];
    pass_the_suite(&server, "typed", &types).await;
}

/// Ids that mean one value are never one row.
async fn keep_one_spelling(server: &Server, kind: &str, fine: &str, others: &[&str]) {
    let name = table("spelling");
    for versions in BOTH {
        for turned in [false, true] {
            let text =
                if matches!(server, Server::MySql(..)) { "VARBINARY(1024)" } else { "TEXT COLLATE \"C\"" };
            let types = if turned { [kind, text] } else { [text, kind] };
            server.create(&name, versions, types).await;
            let store = server.opened(&name, versions).await;
            let id = |it: &str| if turned { id(it, "x") } else { id("x", it) };
            assert_eq!(store.put_if_newer(&id(fine), &record(1)).await, Ok(Put::Applied));
            for other in others {
                let misspelled = id(other);
                for newer in [record(9), Record { value: None, ..record(9) }] {
                    let batch = [(misspelled.clone(), newer.clone())];
                    let both = [(id(fine), newer.clone()), (misspelled.clone(), newer.clone())];
                    for error in [
                        store.put_if_newer(&misspelled, &newer).await.expect_err(other),
                        store.put_if_unchanged(&misspelled, &newer, None).await.expect_err(other),
                        store.put_if_unchanged(&misspelled, &newer, Some(Version(1))).await.expect_err(other),
                        store.put_many_if_newer(&batch).await.expect_err(other),
                        store.put_many_if_newer(&both).await.expect_err(other),
                    ] {
                        let field = if turned { "tenant" } else { "key" };
                        let told = error.to_string();
                        assert!(
                            !error.may_apply()
                                && told.contains(&format!("{other:?} is no id for column {field}")),
                            "{told}"
                        );
                    }
                }
                assert_eq!(store.get(&misspelled).await, Ok(None), "{other}");
                let ids = [misspelled.clone(), id(fine)];
                assert_eq!(store.get_many(&ids).await, Ok(vec![None, Some(record(1))]), "{other}");
                assert_eq!(store.get_versions(&ids).await, Ok(vec![None, Some(Version(1))]), "{other}");
                if turned {
                    let found =
                        scanned(&*store, &Scope::Tenant((*other).to_owned()), Segment::ALL, 100).await;
                    assert_eq!(found, [], "{other}");
                }
            }
            assert_eq!(scanned(&*store, &Scope::All, Segment::ALL, 100).await, [(id(fine), record(1))]);
        }
    }
    server.drop(&name).await;
}

const NUMBERS: [&str; 8] = ["007", "+7", " 7", "7 ", "7.0", "0x7", "seven", "99999999999999999999"];
const UUID: &str = "0123abcd-0000-4000-8000-0000000000a0";
const UUIDS: [&str; 5] = [
    "0123ABCD-0000-4000-8000-0000000000A0",
    "0123abcd0000400080000000000000a0",
    "{0123abcd-0000-4000-8000-0000000000a0}",
    "0123abcd-0000-4000-8000-0000000000a",
    "x'00'",
];

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_of_a_key_are_never_one_row_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    for kind in ["BIGINT", "TINYINT UNSIGNED", "MEDIUMINT"] {
        keep_one_spelling(&server, kind, "7", &NUMBERS).await;
    }
    keep_one_spelling(&server, "BINARY(16)", UUID, &UUIDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_spellings_of_a_key_are_never_one_row_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    for kind in ["BIGINT", "SMALLINT"] {
        keep_one_spelling(&server, kind, "7", &NUMBERS).await;
    }
    keep_one_spelling(&server, "UUID", UUID, &UUIDS).await;
}

/// Numbers whose order is not that of their digits; of every kind that two tables can be in.
async fn are_scanned_once(server: &Server) {
    let numbers: BTreeSet<i64> = (0..60)
        .flat_map(|n: i64| [n, n * 10, -n * 7, n * 1_000_003])
        .chain([i64::MAX, i64::MIN + 1])
        .collect();
    let name = table("order");
    for versions in BOTH {
        server.create(&name, versions, ["BIGINT", "BIGINT"]).await;
        let store = server.opened(&name, versions).await;
        let mut expected: Vec<(Id, Record)> = Vec::new();
        for (at, n) in numbers.iter().enumerate() {
            let (id, record) = (id(&(n % 3).to_string(), &n.to_string()), record(at as u64 + 1));
            // One in three is deleted, one in five has been deleted by another program.
            let record = if at % 3 == 0 { Record { value: None, ..record } } else { record };
            assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied), "{id:?}");
            if at % 5 == 1 && record.value.is_some() {
                let key = if matches!(server, Server::MySql(..)) { "`key`" } else { "key" };
                server.sql(format!("DELETE FROM {name} WHERE {key} = {n}")).await;
            } else {
                expected.push((id, record));
            }
        }
        let sorted = |mut found: Vec<(Id, Record)>| {
            found.sort_by(|one, other| one.0.cmp(&other.0));
            found
        };
        let expected = sorted(expected);
        for limit_bytes in [1, 40, 300, 1 << 20] {
            let found = scanned(&*store, &Scope::All, Segment::ALL, limit_bytes).await;
            let in_order: Vec<_> =
                found.iter().map(|(id, _)| (number(&id.tenant), number(&id.key))).collect();
            assert!(in_order.is_sorted(), "{in_order:?}");
            assert_eq!(sorted(found), expected, "{limit_bytes}");
            let mut of_parts = Vec::new();
            for segment in Segment::split(3) {
                of_parts.extend(scanned(&*store, &Scope::All, segment, limit_bytes).await);
            }
            assert_eq!(sorted(of_parts), expected, "{limit_bytes}");
            let of_tenant =
                scanned(&*store, &Scope::Tenant("-1".to_owned()), Segment::ALL, limit_bytes).await;
            let of_expected: Vec<_> = expected.iter().filter(|(id, _)| id.tenant == "-1").cloned().collect();
            assert_eq!(sorted(of_tenant), of_expected);
        }
        let ids: Vec<Id> = expected.iter().map(|(id, _)| id.clone()).collect();
        let records: Vec<_> = expected.iter().map(|(_, record)| Some(record.clone())).collect();
        assert_eq!(store.get_many(&ids).await, Ok(records));
        let up_to = Scope::UpTo(cutover_store::Cursor::after_record(&ids[3]));
        store.scan(&up_to, Segment::ALL, None, 100).await.expect_err("places of other stores mean nothing");
    }
    server.drop(&name).await;
}

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_scanned_once_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    are_scanned_once(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_scanned_once_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    are_scanned_once(&server).await;
}

/// The ledger's own id is at the least number, where no record can be.
async fn keep_the_ledger_s_id_apart(server: &Server) {
    let (name, least) = (table("reserved"), i64::MIN.to_string());
    let reserved = id(&least, &least);
    server.create(&name, Versions::Ledger, ["BIGINT", "BIGINT"]).await;
    let store = server.opened(&name, Versions::Ledger).await;
    let told = store.put_if_newer(&reserved, &record(1)).await.expect_err("it is the ledger's").to_string();
    assert!(told.contains("is the ledger's own id"), "{told}");
    assert_eq!(store.get(&reserved).await, Ok(None));
    assert_eq!(store.put_if_newer(&id(&least, "0"), &record(1)).await, Ok(Put::Applied));
    let value = if matches!(server, Server::MySql(..)) { "x'01'" } else { "'\\x01'" };
    server.sql(format!("INSERT INTO {name} VALUES ({value}, {least}, {least})")).await;
    assert_eq!(store.get(&reserved).await, Ok(None));
    let pages = pages(&*store, &Scope::All, Segment::ALL, 1).await;
    let (records, unreadable): (Vec<_>, Vec<_>) =
        pages.into_iter().map(|page| (page.records, page.unreadable)).unzip();
    assert_eq!(records.concat(), [(id(&least, "0"), record(1))]);
    let unreadable = unreadable.concat();
    assert!(matches!(unreadable.as_slice(), [one] if one.key == least), "{unreadable:?}");
    // A ledger that was emptied is noticed, as any other.
    server.sql(format!("DELETE FROM cutover_ledger_{name}")).await;
    store.put_if_newer(&id("1", "1"), &record(5)).await.expect_err("it has no id");
    let told = server.open(&name, Versions::Ledger).await.err().expect("it has no id").to_string();
    assert!(
        told.contains("has no id") && told.contains(&format!("VALUES ({}", quoted(server, &least))),
        "{told}"
    );
    // The statement in the error makes a ledger with the same keys.
    server.sql(format!("DROP TABLE cutover_ledger_{name}")).await;
    let told = server.open(&name, Versions::Ledger).await.err().expect("there is none").to_string();
    let made = told.split_once("has to stay:\n").expect("the statements").1;
    server.sql(made.to_owned()).await;
    let store = server.opened(&name, Versions::Ledger).await;
    assert_eq!(store.put_if_newer(&id("1", "1"), &record(5)).await, Ok(Put::Applied));
    // One with other keys is refused.
    let usual = if matches!(server, Server::MySql(..)) { "VARBINARY(256)" } else { "TEXT COLLATE \"C\"" };
    let alter = if matches!(server, Server::MySql(..)) { "MODIFY tenant" } else { "ALTER tenant TYPE" };
    server.sql(format!("ALTER TABLE cutover_ledger_{name} {alter} {usual}")).await;
    let told = server.open(&name, Versions::Ledger).await.err().expect("it has other keys").to_string();
    assert!(told.to_lowercase().contains("column tenant is ") && told.contains("has to be bigint"), "{told}");
    server.drop(&name).await;
}

fn quoted(server: &Server, number: &str) -> String {
    if matches!(server, Server::MySql(..)) { number.to_owned() } else { format!("'{number}'") }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_s_own_id_is_no_record_s_in_mysql() {
    let Some(server) = Server::mysql().await else { return };
    keep_the_ledger_s_id_apart(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_s_own_id_is_no_record_s_in_postgresql() {
    let Some(server) = Server::postgres().await else { return };
    keep_the_ledger_s_id_apart(&server).await;
}

/// A CHECK that no deleted record fulfils is found when the table is opened, whatever the keys are.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_tried_with_a_key_of_its_type() {
    for server in [Server::mysql().await, Server::postgres().await].into_iter().flatten() {
        let name = table("checked");
        let key = if matches!(server, Server::MySql(..)) { "`key`" } else { "key" };
        for (check, is_fine) in
            [(format!("tenant > 0 AND {key} > 0"), true), ("value IS NOT NULL".to_owned(), false)]
        {
            server.create(&name, Versions::Columns, ["BIGINT", "INT"]).await;
            server.sql(format!("ALTER TABLE {name} ADD CONSTRAINT c_{name} CHECK ({check})")).await;
            match server.open(&name, Versions::Columns).await {
                Ok(_) => assert!(is_fine, "{check}"),
                Err(error) => {
                    assert!(!is_fine && error.to_string().contains("refuses deleted records"), "{error}")
                }
            }
        }
        server.drop(&name).await;
    }
}
