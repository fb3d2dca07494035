//! Tests that need access to internals, on the server that tests/run starts.

use sqlx::Row;

use super::*;
use crate::{
    KeyRange, ServerOptions,
    mapping::{SqlTable, Versions},
    sql::plans,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_reads_a_range_of_the_primary_key() {
    let Ok(url) = std::env::var("CUTOVER_TEST_MYSQL") else {
        eprintln!("left out: a test against MySQL; tests/run starts one");
        return;
    };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = plans::table(versions);
        let table = SqlTable { versions, ..SqlTable::from(name.as_str()) };
        let store = MySqlStore::create(&url, table, ServerOptions::default()).await.expect("created");
        store.put_many_if_newer(&plans::records()).await.expect("written");
        let tables: Vec<_> =
            [Some(name.clone()), store.layout.table.ledger()].into_iter().flatten().collect();
        let ranges = [
            KeyRange::all().at_least("key-00100").below("key-00300"),
            KeyRange::all().after("key-00100"),
            KeyRange::all(),
        ];
        for range in ranges {
            let scope = Scope::Keys { tenant: "t3".to_owned(), range, most: 50 };
            let sql = store.layout.scan(&scope, Segment::ALL, None, 50).expect("a statement");
            let rows = store.rows(format!("EXPLAIN {sql}")).await.expect("explained");
            let of_tables = rows.iter().filter_map(|row| {
                let column = |name: &str| row.try_get_unchecked::<String, _>(name).ok();
                Some((column("type")?, column("key")?))
            });
            let plan: Vec<_> = of_tables.collect();
            assert_eq!(plan, vec![("range".to_owned(), "PRIMARY".to_owned()); tables.len()], "{sql}");
        }
        let found = store.list("t3", &KeyRange::prefix("key-001"), 1000, 1 << 20).await.expect("listed");
        assert_eq!((found.records.len(), found.next), (11, None));
        store.calls.create(format!("DROP TABLE {}", tables.join(", "))).await.expect("dropped");
    }
}

/// Orders with a line for each `n`.
async fn orders(url: &str, name: &str, versions: Versions) -> MySqlStore {
    use crate::mapping::{Child, Column, ColumnPath, Dialect, Mapping, OnMisfit};

    let column = |name: &str, kind: &str| Column {
        name: name.to_owned(),
        path: ColumnPath::dotted(name).expect("a path"),
        kind: kind.parse().expect("a type"),
        required: false,
        spelling: Default::default(),
        labels: Vec::new(),
        fill: None,
        prefix: None,
        computed: None,
    };
    let mapping = |columns| Mapping::new(Dialect::MySql, columns, None, OnMisfit::Quarantine).expect("fine");
    let lines = Child {
        table: format!("{name}_lines"),
        path: ColumnPath::dotted("lines").expect("a path"),
        tenant: "tenant".to_owned(),
        key: "key".to_owned(),
        position: "position".to_owned(),
        elements: mapping(vec![column("n", "bigint"), column("sku", "text")]),
        of_values: false,
    };
    let mapping = mapping(vec![column("id", "bigint")]).with_children(vec![lines]).expect("fine");
    let table = SqlTable { mapping: Some(mapping), versions, ..SqlTable::from(name) };
    MySqlStore::create(url, table, ServerOptions::default()).await.expect("created")
}

fn order(key: &str, lines: usize) -> (Id, Record) {
    let line = |n| format!(r#"{{"M":{{"n":{{"N":"{n}"}},"sku":{{"S":"{key}"}}}}}}"#);
    let lines: Vec<_> = (0..lines).map(line).collect();
    let value = format!(r#"{{"lines":{{"L":[{}]}}}}"#, lines.join(","));
    (Id::new("t", key).expect("valid"), Record { version: Version(1), value: Some(value.into_bytes()) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_cut_anywhere_is_unreadable() {
    let Ok(url) = std::env::var("CUTOVER_TEST_MYSQL") else {
        eprintln!("left out: a test against MySQL; tests/run starts one");
        return;
    };
    let name = format!("test_cut_lists_{}", std::process::id());
    let store = orders(&url, &name, Versions::Columns).await;
    let (id, record) = order("k", 12);
    assert_eq!(store.put_if_newer(&id, &record).await, Ok(Put::Applied));
    let mut whole = 0;
    for most in 4..400 {
        let layout = &store.layout;
        let rows = store.rows(format!(
            "SET SESSION group_concat_max_len = {most}; SELECT {} FROM {}; \
             SET SESSION group_concat_max_len = 1073741823",
            layout.all(),
            layout.name
        ));
        let rows = rows.await.expect("read");
        match layout.found(&rows[0]).expect("an id").record {
            Ok(found) => {
                assert_eq!(found, record, "{most}");
                whole += 1;
            }
            Err(error) => assert!(error.to_string().contains("did not give all its rows"), "{error}"),
        }
    }
    assert!((50..350).contains(&whole), "{whole}");
    store.calls.create(format!("DROP TABLE {name}_lines, {name}")).await.expect("dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_read_and_removed_by_their_index() {
    let Ok(url) = std::env::var("CUTOVER_TEST_MYSQL") else {
        eprintln!("left out: a test against MySQL; tests/run starts one");
        return;
    };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = format!("test_index_of_rows_{}", std::process::id());
        let store = orders(&url, &name, versions).await;
        let records: Vec<_> = (0..400).map(|n| order(&format!("key-{n:05}"), 1 + n % 5)).collect();
        store.put_many_if_newer(&records).await.expect("written");
        let scan = store.layout.scan(&Scope::All, Segment::ALL, None, 50).expect("a statement");
        let some: Vec<_> = records[..100].iter().map(|(id, record)| (id, record)).collect();
        let clear = store.clear_rows(&some).remove(0);
        for (sql, wanted) in [(scan, "ref"), (clear, "range")] {
            let rows = store.rows(format!("EXPLAIN {sql}")).await.expect("explained");
            let column = |row: &MySqlRow, name: &str| row.try_get_unchecked::<String, _>(name).ok();
            let of_rows =
                rows.iter().filter(|row| matches!(column(row, "table").as_deref(), Some("child row" | "c")));
            let of_rows: Vec<_> = of_rows.map(|row| (column(row, "type"), column(row, "key"))).collect();
            assert_eq!(of_rows, [(Some(wanted.to_owned()), Some("PRIMARY".to_owned()))], "{sql:.300}");
        }
        let ledger = store.layout.table.ledger().map_or_else(String::new, |ledger| format!(", {ledger}"));
        store.calls.create(format!("DROP TABLE {name}_lines, {name}{ledger}")).await.expect("dropped");
    }
}
