//! Passes between tables with a ledger and tables with their versions in columns.

use cutover_store::{
    Copied, MySqlStore, PostgresStore, ServerOptions, SqliteOptions, SqliteStore,
    mapping::{SqlTable, Versions},
};
use sqlx::{AssertSqlSafe, MySqlPool, PgPool};

use super::*;
use crate::support::server::given;

fn table(story: &str) -> SqlTable {
    SqlTable::from(&format!("pass_{story}_{}", std::process::id()))
}

fn with_ledger(table: SqlTable) -> SqlTable {
    let ledger = format!("ledger_{}", table.name);
    SqlTable { versions: Versions::Ledger(ledger), ..table }
}

/// Back and forth, deletions too, and every comparison is clean.
async fn moves_both_ways(source: Arc<dyn Store>, target: Arc<dyn Store>) {
    let (_dir, controller) = started().await;
    let all: Vec<_> = filled().source.dump().into_iter().collect();
    for records in all.chunks(500) {
        source.put_many_if_newer(records).await.unwrap();
    }
    let stores = Stores { source: source.clone(), target: target.clone(), ..World::new().stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == RECORDS, "{evidence:?}");
    let changed: Vec<_> = (0..300)
        .map(|n| (id(n), if n % 3 == 0 { tombstone(n + 10_000) } else { record(n + 10_000) }))
        .collect();
    assert_eq!(source.put_many_if_newer(&changed).await, Ok(vec![Copied::Written; 300]));
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 300, "{evidence:?}");
    for kind in [v1::PassKind::Verify, v1::PassKind::Full] {
        let evidence = run(&controller, &stores, &plan(kind)).await.unwrap();
        assert!(evidence.clean && counts(&evidence).copied == 0, "{kind:?}: {evidence:?}");
    }
    for (id, record) in all.into_iter().skip(300).chain(changed).step_by(50) {
        let [there, here] = [source.get(&id).await.unwrap(), target.get(&id).await.unwrap()];
        assert_eq!(there, here, "{id:?}");
        assert!(here.is_some_and(|here| here.version >= record.version), "{id:?}");
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_postgres_ledger_to_sqlite_columns_and_the_other_way() {
    let Some(url) = given("CUTOVER_TEST_POSTGRES") else { return };
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("s.db");
    let file = |table| SqliteStore::create(&path, table, SqliteOptions::default());
    let postgres = |table| PostgresStore::create(&url, table, ServerOptions::default());
    let [one, other] = ["from_ledger", "from_columns"].map(table);
    let ledger = postgres(with_ledger(one.clone())).await.unwrap();
    moves_both_ways(Arc::new(ledger), Arc::new(file(one.clone()).await.unwrap())).await;
    let columns = postgres(other.clone()).await.unwrap();
    moves_both_ways(Arc::new(columns), Arc::new(file(with_ledger(other.clone())).await.unwrap())).await;
    let admin = PgPool::connect(&url).await.unwrap();
    let tables = format!("DROP TABLE {}, ledger_{0}, {}", one.name, other.name);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&admin).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_mariadb_columns_to_a_postgres_ledger_and_the_other_way() {
    let (Some(mysql), Some(postgres)) = (given("CUTOVER_TEST_MYSQL"), given("CUTOVER_TEST_POSTGRES")) else {
        return;
    };
    let [one, other] = ["to_ledger", "to_columns"].map(table);
    let columns = MySqlStore::create(&mysql, one.clone(), ServerOptions::default()).await.unwrap();
    let ledger = PostgresStore::create(&postgres, with_ledger(one.clone()), ServerOptions::default());
    moves_both_ways(Arc::new(columns), Arc::new(ledger.await.unwrap())).await;
    let ledger = MySqlStore::create(&mysql, with_ledger(other.clone()), ServerOptions::default());
    let columns = PostgresStore::create(&postgres, other.clone(), ServerOptions::default());
    moves_both_ways(Arc::new(columns.await.unwrap()), Arc::new(ledger.await.unwrap())).await;
    let admin = PgPool::connect(&postgres).await.unwrap();
    let tables = format!("DROP TABLE {}, ledger_{0}, {}", one.name, other.name);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&admin).await.unwrap();
    let admin = MySqlPool::connect(&mysql).await.unwrap();
    let tables = format!("DROP TABLE {}, ledger_{1}, {1}", one.name, other.name);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&admin).await.unwrap();
}
