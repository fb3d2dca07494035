//! Tests that need access to internals, on the server that tests/run starts.

use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::*;
use crate::{
    KeyRange, ServerOptions,
    mapping::{SqlTable, Versions},
    sql::plans,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_reads_a_range_of_the_primary_key() {
    let Ok(url) = std::env::var("CUTOVER_TEST_POSTGRES") else {
        eprintln!("left out: a test against PostgreSQL; tests/run starts one");
        return;
    };
    for versions in [Versions::Columns, Versions::Ledger] {
        let name = plans::table(versions);
        let table = SqlTable { versions, ..SqlTable::from(name.as_str()) };
        let store = PostgresStore::create(&url, table, ServerOptions::default()).await.expect("created");
        store.put_many_if_newer(&plans::records()).await.expect("written");
        let tables: Vec<_> =
            [Some(name.clone()), store.layout.table.ledger()].into_iter().flatten().collect();
        let sql = |text: String| store.calls.create(text);
        for table in &tables {
            sql(format!("ANALYZE {table}")).await.expect("analyzed");
        }
        for (scan, end) in [(&store.layout.scan_keys, Some("key-00300")), (&store.layout.scan_tenant, None)] {
            for is_first in [true, false] {
                let given = Given::default().and("t3").expect("text").and("key-00100").expect("text");
                let mut given = given.and(50_i64).expect("a number");
                if let Some(end) = end {
                    given = given.and(end).expect("text");
                }
                let explain = AssertSqlSafe(format!("EXPLAIN {}", scan.page(is_first).as_str()));
                let rows = store.rows(&explain.into_sql_str(), given.0).await.expect("explained");
                let plan: Vec<String> = rows.iter().map(|row| server::text(row, 0)).collect();
                let plan = plan.join("\n");
                assert!(!plan.contains("Seq Scan"), "{plan}");
                let ranges = plan.lines().filter(|line| {
                    line.contains("Index Cond") && line.contains("tenant") && line.contains("'key-00100'")
                });
                assert_eq!(ranges.count(), tables.len(), "one range for each table: {plan}");
            }
        }
        let found = store.list("t3", &KeyRange::prefix("key-001"), 1000, 1 << 20).await.expect("listed");
        assert_eq!((found.records.len(), found.next), (11, None));
        sql(format!("DROP TABLE {}", tables.join(", "))).await.expect("dropped");
    }
}
