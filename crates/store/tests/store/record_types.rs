//! Record types with a table each, opened from a spec, on every SQL database.

#[path = "record_types/mixed.rs"]
mod mixed;
#[path = "record_types/stamped.rs"]
mod stamped;

use cutover_core::outcome::ErrorClass;
use cutover_store::{
    Copied, Cursor, Id, Put, PutAll, Record, Scope, Segment, Store, Version,
    spec::{Missing, Spec},
    suite,
};
use sqlx::{MySqlPool, PgPool};
use std::sync::Arc;

use super::{
    columns::{record, refused},
    servers::{sql, table, url},
};
use mixed::{Mixed, NUMBERS, tables_in_other_orders_are_scanned_one_by_one};

fn spec(url: &str, types: &str) -> Spec {
    let source = "migration = \"m\"\n[source]\nurl = \"sqlite:none.db\"\ntable = \"none\"\n";
    format!("{source}[target]\nurl = {url:?}\n{types}").parse().expect("a spec")
}

async fn opened(url: &str, types: &str) -> Arc<dyn Store> {
    spec(url, types).target.open(Missing::Create, |_| None).await.expect("opened")
}

/// Orders have columns, users a ledger and other names.
fn types(orders: &str, users: &str) -> String {
    format!(
        "[[target.types]]\nkey_prefix = \"ORDER#\"\ntable = {orders:?}\noverflow = \"rest\"\n\
         columns = [{{ name = \"total\", type = \"bigint\" }}]\n\
         [[target.types]]\nkey_prefix = \"USER#\"\ntable = {users:?}\ntenant = \"org\"\nkey = \"login\"\n\
         versions = \"ledger\"\ncolumns = [{{ name = \"name\", type = \"varchar(9)\", required = true }}]\n"
    )
}

/// The same in tables whose keys are without the prefix of their type.
async fn without_prefixes_all_is_the_same(url: &str, story: &str) {
    let [orders, users] = ["orders", "users"].map(|of| table(&format!("{story}_bare_{of}")));
    let types = ["ORDER#", "USER#"].iter().fold(types(&orders, &users), |types, prefix| {
        let whole = format!("key_prefix = {prefix:?}\n");
        types.replace(&whole, &format!("{whole}strip_prefix = {prefix:?}\n"))
    });
    let store = opened(url, &types).await;
    each_type_is_in_its_table(&*store).await;
    types_are_written_together(&*store).await;
}

fn id(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).expect("valid")
}

async fn each_type_is_in_its_table(store: &dyn Store) {
    let order = |version| record(version, r#"{"total":{"N":"7"},"note":{"S":"x"}}"#);
    let user = |version| record(version, r#"{"name":{"S":"Ada"}}"#);
    let mut all = Vec::new();
    for tenant in ["a", "b", "c"] {
        for n in 0..5 {
            all.push((id(tenant, &format!("ORDER#{n}")), order(n + 1)));
            all.push((id(tenant, &format!("USER#{n}")), user(n + 1)));
        }
    }
    assert_eq!(store.put_many_if_newer(&all).await, Ok(vec![Copied::Written; all.len()]));
    assert_eq!(store.put_many_if_newer(&all).await, Ok(vec![Copied::Present; all.len()]));
    let ids: Vec<Id> = all.iter().map(|(id, _)| id.clone()).collect();
    let found = store.get_many(&ids).await.expect("found");
    assert!(all.iter().zip(&found).all(|((_, record), found)| found.as_ref() == Some(record)));

    // Its key says what it is, so it does not fit as another type, and stays as it was.
    let at = id("a", "ORDER#0");
    let put = store.put_if_newer(&at, &Record { version: Version(99), ..user(1) }).await;
    assert_eq!(put, Ok(Put::Applied), "the overflow of orders takes any attribute");
    let put = store.put_if_newer(&id("a", "USER#0"), &order(99)).await;
    refused(put, ErrorClass::Constraint);
    assert_eq!(store.get(&id("a", "USER#0")).await, Ok(Some(user(1))));
    let none = id("a", "INVOICE#1");
    let put = store.put_if_newer(&none, &order(1)).await.map(drop);
    for answer in [put, store.get(&none).await.map(drop)] {
        let (field, told) = refused(answer, ErrorClass::Constraint);
        assert!(field == "key" && told.contains("no record type takes it"), "{told}");
    }

    let gone = Record { version: Version(100), value: None };
    for at in [at, id("c", "USER#4")] {
        assert_eq!(store.put_if_newer(&at, &gone).await, Ok(Put::Applied));
        all.retain(|(id, _)| *id != at);
        all.push((at, gone.clone()));
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan(&Scope::All, Segment::ALL, cursor.as_ref(), 120).await.expect("scanned");
        assert_eq!(page.unreadable, []);
        found.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, all, "in order, each once");
    let identity = store.identity().await.expect("asked").expect("it can tell");
    assert!(identity.id.len() <= 1024 && identity.ledger.contains(" and "), "{identity:?}");
}

/// An order and a user are in two tables.
async fn types_are_written_together(store: &dyn Store) {
    let order = |version| record(version, r#"{"total":{"N":"7"}}"#);
    let user = |version| record(version, r#"{"name":{"S":"Ada"}}"#);
    let ids = ["USER#1", "ORDER#1", "USER#2", "ORDER#2"].map(|key| id("together", key));
    let all = |version| -> Vec<(Id, Record)> {
        let of = |id: &Id| if id.key.starts_with("USER#") { user(version) } else { order(version) };
        ids.iter().map(|id| (id.clone(), of(id))).collect()
    };
    assert_eq!(store.check_all(&ids), Ok(()));
    assert_eq!(store.put_all_if_newer(&all(5)).await, Ok(PutAll::Applied));
    assert_eq!(store.put_if_newer(&ids[2], &user(9)).await, Ok(Put::Applied));
    let refused_at =
        |places: &[usize]| Ok(PutAll::Refused(places.iter().map(|place| (*place, Version(9))).collect()));
    assert_eq!(store.put_all_if_newer(&all(7)).await, refused_at(&[2]), "the place in the list");
    assert_eq!(store.put_if_newer(&ids[1], &order(9)).await, Ok(Put::Applied));
    assert_eq!(store.put_all_if_newer(&all(7)).await, refused_at(&[1, 2]));
    let versions = [5, 9, 9, 5].map(|version| Some(Version(version)));
    assert_eq!(store.get_versions(&ids).await, Ok(versions.to_vec()), "nothing in either table");
    // What a table refuses keeps the other one as it is.
    let mut misfit = all(10);
    misfit[0].1 = order(10);
    let (_, told) = refused(store.put_all_if_newer(&misfit).await, ErrorClass::Constraint);
    assert!(told.contains(r#"key "USER#1" of tenant "together""#), "{told}");
    assert_eq!(store.get_versions(&ids).await, Ok(versions.to_vec()));
    let gone = |id: &Id| (id.clone(), Record { version: Version(11), value: None });
    let gone: Vec<_> = ids.iter().map(gone).collect();
    assert_eq!(store.put_all_if_newer(&gone).await, Ok(PutAll::Applied));
    assert_eq!(store.get_many(&ids).await, Ok(gone.into_iter().map(|(_, record)| Some(record)).collect()));
    // A put of a key without a type is refused by the store that it goes to, and no sooner.
    let mut unknown = all(12);
    unknown[3].0 = id("together", "INVOICE#1");
    assert_eq!(store.check_all(&unknown.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>()), Ok(()));
    let (field, _) = refused(store.put_all_if_newer(&unknown).await, ErrorClass::Constraint);
    assert_eq!(field, "key");
    assert_eq!(store.get_versions(&ids[..3]).await, Ok(vec![Some(Version(11)); 3]));
}

/// Orders refer to users, which are before them in the spec.
async fn a_table_may_refer_to_one_before_it(url: &str, admin: impl AsyncFn(String), story: &str) {
    let [users, orders] = ["users", "orders"].map(|of| table(&format!("{story}_{of}")));
    let rest = "versions = \"ledger\"\ncolumns = [{ name = \"name\", type = \"varchar(9)\" }]\n";
    let types = format!(
        "[[target.types]]\nkey_prefix = \"USER#\"\ntable = {users:?}\ntenant = \"id\"\nkey = \"id\"\n{rest}\
         [[target.types]]\nkey_prefix = \"ORDER#\"\ntable = {orders:?}\n{rest}"
    );
    let store = opened(url, &types).await;
    admin(format!("ALTER TABLE {orders} ADD FOREIGN KEY (tenant) REFERENCES {users} (id)")).await;
    let ids = ["ORDER#1", "USER#1", "ORDER#2"].map(|key| id("USER#1", key));
    for version in [1, 3] {
        let all = |of: Record| ids.iter().map(|id| (id.clone(), of.clone())).collect::<Vec<_>>();
        let there = record(version, r#"{"name":{"S":"Ada"}}"#);
        assert_eq!(store.put_all_if_newer(&all(there)).await, Ok(PutAll::Applied), "users, then orders");
        let gone = Record { version: Version(version + 1), value: None };
        assert_eq!(store.put_all_if_newer(&all(gone)).await, Ok(PutAll::Applied), "orders, then users");
    }
    // The server does not say whose user is missing.
    let mut lost: Vec<(Id, Record)> =
        ["ORDER#1", "ORDER#2"].map(|key| (id("USER#2", key), record(1, r#"{"name":{"S":"x"}}"#))).into();
    let (_, told) = refused(store.put_all_if_newer(&lost).await, ErrorClass::Constraint);
    assert!(told.contains("one of the 2 records"), "{told}");
    lost.pop();
    let (_, told) = refused(store.put_all_if_newer(&lost).await, ErrorClass::Constraint);
    assert!(told.contains(r#"key "ORDER#1" of tenant "USER#2""#), "{told}");
}

/// The user of a tenant has the tenant's name as its key. Pages end between the orders of a tenant, before and after it.
async fn a_type_may_have_one_column_for_tenant_and_key(url: &str, story: &str) {
    for (versions, strips) in [("columns", false), ("ledger", false), ("columns", true), ("ledger", true)] {
        let [orders, users] =
            ["orders", "users"].map(|of| table(&format!("{story}_{of}_{versions}_{strips}")));
        let strip =
            |prefix: &str| if strips { format!("strip_prefix = \"{prefix}\"\n") } else { String::new() };
        let types = format!(
            "[[target.types]]\nkey_prefix = \"ORDER#\"\ntable = {orders:?}\n{}\
             [[target.types]]\nkey_prefix = \"USER#\"\ntable = {users:?}\ntenant = \"id\"\nkey = \"id\"\n{}\
             versions = {versions:?}\ncolumns = [{{ name = \"name\", type = \"varchar(9)\" }}]\n",
            strip("ORDER#"),
            strip("USER#")
        );
        let store = opened(url, &types).await;
        let mut all = Vec::new();
        for n in 0..4 {
            let tenant = format!("USER#{n}");
            all.extend(
                (0..4).map(|order| {
                    (id(&tenant, &format!("ORDER#{order}")), record(1, r#"{"name":{"S":"x"}}"#))
                }),
            );
            all.push((id(&tenant, &tenant), record(1, r#"{"name":{"S":"Ada"}}"#)));
        }
        assert_eq!(store.put_many_if_newer(&all).await, Ok(vec![Copied::Written; all.len()]));
        for limit_bytes in [1, 60, 120, 200, 1 << 20] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = store
                    .scan(&Scope::All, Segment::ALL, cursor.as_ref(), limit_bytes)
                    .await
                    .expect("scanned");
                found.extend(page.records);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, all, "{versions}, {strips}, pages of {limit_bytes} bytes");
        }
        for (at, _) in &all {
            let end = Cursor::after_record(at);
            let page = store.scan(&Scope::UpTo(end), Segment::ALL, None, 1 << 20).await.expect("scanned");
            assert_eq!(page.records.last().map(|(id, _)| id), Some(at));
        }
    }
}

/// After a row of the wrong type came into the table of orders.
async fn a_row_in_the_wrong_table_can_not_be_read(store: &dyn Store) {
    let page = store.scan(&Scope::All, Segment::ALL, None, usize::MAX).await.expect("scanned");
    let [row] = page.unreadable.as_slice() else { panic!("{:?}", page.unreadable) };
    assert_eq!((row.tenant.as_str(), row.key.as_str()), ("a", "USER#1"));
    assert!(row.error.to_string().contains("does not begin with \"ORDER#\""), "{}", row.error);
    assert_eq!(page.records.iter().filter(|(at, _)| *at == id("a", "USER#1")).count(), 1, "the true one");
}

/// As many tables as the keys of the suite have beginnings.
async fn tables_are_scanned_as_one(url: &str, story: &str) {
    // Some leave out a part of their prefix.
    let strips = |n: u8| match n {
        0..3 => "",
        3..6 => "strip_prefix = \"key-\"\n",
        _ => "strip_prefix = \"k\"\n",
    };
    let types = (0..9).map(|n| {
        format!(
            "[[target.types]]\nkey_prefix = \"key-{n}\"\ntable = \"{}\"\n{}",
            table(&format!("{story}_{n}")),
            strips(n)
        )
    });
    let store = opened(url, &types.collect::<String>()).await;
    suite::scans_in_order(&*store).await;
    let identity = store.identity().await.expect("asked").expect("it can tell");
    assert!(identity.id.len() <= 1024 && identity.place.len() <= 1024, "{identity:?}");
}

const WRONG: &str = "(tenant, KEY, cutover_version) VALUES ('a', 'USER#1', 5)";

#[tokio::test]
async fn types_in_mysql() {
    let Some(url) = url("MySQL", "CUTOVER_TEST_MYSQL") else { return };
    let (orders, users) = (table("typed_orders"), table("typed_users"));
    let store = opened(&url, &types(&orders, &users)).await;
    types_are_written_together(
        &*opened(&url, &types(&table("together_orders"), &table("together_users"))).await,
    )
    .await;
    each_type_is_in_its_table(&*store).await;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    sql(&admin, format!("INSERT INTO {orders} {}", WRONG.replace("KEY", "`key`"))).await;
    a_row_in_the_wrong_table_can_not_be_read(&*store).await;
    without_prefixes_all_is_the_same(&url, "my").await;
    tables_are_scanned_as_one(&url, "typed_my").await;
    a_type_may_have_one_column_for_tenant_and_key(&url, "own_my").await;
    a_table_may_refer_to_one_before_it(&url, async |text| sql(&admin, text).await, "fk_my").await;
    let make = async |text: String| {
        sql(
            &admin,
            text.replace("TEXT_C", "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
                .replace("BLOB_", "LONGBLOB"),
        )
        .await;
    };
    let texts = Mixed {
        types: ["TEXT_C", "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"],
        order: "bytes, utf8mb4_general_ci",
        strips: false,
        tenants: ["a", "b"],
        users: ["USER#a", "USER#b", "USER#c"],
        refused: &[("USER#A", "is equal to")],
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, texts).await;
    let tenants = Mixed {
        types: ["BIGINT", "TEXT_C"],
        order: "number, bytes",
        tenants: ["10", "9"],
        refused: &[],
        ..texts
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, tenants).await;
    let numbers = Mixed {
        types: ["TEXT_C", "BIGINT"],
        order: "bytes, number",
        strips: true,
        users: ["USER#10", "USER#7", "USER#9"],
        refused: NUMBERS,
        ..texts
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, numbers).await;
}

#[tokio::test]
async fn types_in_postgresql() {
    let Some(url) = url("PostgreSQL", "CUTOVER_TEST_POSTGRES") else { return };
    let (orders, users) = (table("typed_orders"), table("typed_users"));
    let store = opened(&url, &types(&orders, &users)).await;
    types_are_written_together(
        &*opened(&url, &types(&table("together_orders"), &table("together_users"))).await,
    )
    .await;
    each_type_is_in_its_table(&*store).await;
    let admin = PgPool::connect(&url).await.expect("connected");
    sql(&admin, format!("INSERT INTO {orders} {}", WRONG.replace("KEY", "key"))).await;
    a_row_in_the_wrong_table_can_not_be_read(&*store).await;
    without_prefixes_all_is_the_same(&url, "pg").await;
    tables_are_scanned_as_one(&url, "typed_pg").await;
    a_type_may_have_one_column_for_tenant_and_key(&url, "own_pg").await;
    a_table_may_refer_to_one_before_it(&url, async |text| sql(&admin, text).await, "fk_pg").await;
    let make = async |text: String| {
        sql(&admin, text.replace("TEXT_C", "TEXT COLLATE \"C\"").replace("BLOB_", "BYTEA")).await;
    };
    let texts = Mixed {
        types: ["TEXT_C", "TEXT COLLATE \"en-x-icu\""],
        order: "en-x-icu",
        strips: false,
        tenants: ["a", "b"],
        users: ["USER#a", "USER#B", "USER#c"],
        refused: &[],
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, texts).await;
    let cut = Mixed {
        types: ["TEXT_C", "CHAR(60) COLLATE \"C\""],
        order: "\"C\"",
        refused: &[("USER#a ", "cuts blanks at the end")],
        ..texts
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, cut).await;
    let (one, other) = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002");
    let tenants = Mixed { types: ["UUID", "TEXT_C"], order: "uuid, bytes", tenants: [one, other], ..texts };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, tenants).await;
    let numbers = Mixed {
        types: ["TEXT_C", "BIGINT"],
        order: "bytes, number",
        strips: true,
        users: ["USER#10", "USER#7", "USER#9"],
        refused: NUMBERS,
        ..texts
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, numbers).await;
    let uuids = Mixed {
        types: ["TEXT_C", "UUID"],
        order: "bytes, uuid",
        users: [
            "USER#00000000-0000-4000-8000-000000000001",
            "USER#00000000-0000-4000-8000-00000000000a",
            "USER#f0000000-0000-4000-8000-000000000001",
        ],
        refused: &[
            ("USER#00000000-0000-4000-8000-00000000000A", "would give it back as"),
            ("USER#0000000000004000800000000000000a", "would give it back as"),
            ("USER#7", "takes UUIDs"),
        ],
        ..numbers
    };
    tables_in_other_orders_are_scanned_one_by_one(&url, &make, uuids).await;
}

#[tokio::test]
async fn types_in_sqlite() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", dir.path().join("store.db").display());
    let store = opened(&url, &types("orders", "users")).await;
    types_are_written_together(&*opened(&url, &types("together_orders", "together_users")).await).await;
    each_type_is_in_its_table(&*store).await;
    without_prefixes_all_is_the_same(&url, "file").await;
    tables_are_scanned_as_one(&url, "typed").await;
    a_type_may_have_one_column_for_tenant_and_key(&url, "own").await;
}
