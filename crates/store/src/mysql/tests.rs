//! Tests that need access to internals, on the server that tests/run starts.

use super::*;
use crate::{KeyRange, mapping::Versions, sql::plans};

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
