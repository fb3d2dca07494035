//! Passes between tables with a ledger and tables with their versions in columns.

use cutover_store::{
    Copied, MySqlStore, PostgresStore, ServerOptions, SqliteOptions, SqliteStore,
    mapping::{SqlTable, Versions},
};
use sqlx::{AssertSqlSafe, Connection, MySqlPool, PgPool, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    source_wins::{ramp, source_wins},
    *,
};
use crate::support::server::given;

fn table(story: &str) -> SqlTable {
    SqlTable::from(&format!("pass_{story}_{}", std::process::id()))
}

fn with_ledger(table: SqlTable) -> SqlTable {
    SqlTable { versions: Versions::Ledger, ..table }
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

/// What another program deletes or inserts beside the ledger is copied again, or keeps the pass from being clean.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_without_its_row_is_no_proof_that_a_record_was_copied() {
    let (_dir, controller) = started().await;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.db");
    let connect = SqliteConnectOptions::new().filename(&path);
    let file = |name: &str, table| {
        let path = dir.path().join(name);
        async move { SqliteStore::create(&path, table, SqliteOptions::default()).await.unwrap() }
    };
    let source = Arc::new(file("s.db", SqlTable::from("orders")).await);
    let target = Arc::new(file("t.db", with_ledger(SqlTable::from("orders"))).await);
    let stores = Stores { source: source.clone(), target: target.clone(), ..World::new().stores() };
    let all: Vec<_> = (0..200).map(|n| (id(n), record(10))).collect();
    source.put_many_if_newer(&all).await.unwrap();
    let full = || async { run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap() };
    let evidence = full().await;
    assert!(evidence.clean && counts(&evidence).copied == 200, "{evidence:?}");

    // A cascade, or somebody who starts over: the entries say that everything is there.
    let mut admin = SqliteConnection::connect_with(&connect).await.unwrap();
    sqlx::raw_sql("DELETE FROM orders").execute(&mut admin).await.unwrap();
    let evidence = full().await;
    assert!(evidence.clean && counts(&evidence).copied == 200, "{evidence:?}");
    assert_eq!(target.get(&id(7)).await.unwrap(), Some(record(10)));

    // Rows of version 0 over tombstones of both stores, and a record that the target knows newer and lacks.
    for (n, there) in [(1, tombstone(11)), (2, tombstone(11)), (3, record(99))] {
        if n != 3 {
            source.put_if_newer(&id(n), &there).await.unwrap();
        }
        target.put_if_newer(&id(n), &there).await.unwrap();
    }
    let others = "DELETE FROM orders WHERE \"key\" = 'order-3'; \
                  INSERT INTO orders VALUES ('shop-1', 'order-1', x'00'), ('shop-2', 'order-2', x'00')";
    sqlx::raw_sql(others).execute(&mut admin).await.unwrap();
    let evidence = full().await;
    assert!(!evidence.clean, "{evidence:?}");
    let remaining = counts(&evidence).remaining.unwrap();
    assert_eq!((remaining.missing, remaining.ahead, remaining.extra), (1, 0, 0), "{evidence:?}");
    for n in [1, 2] {
        assert_eq!(target.get(&id(n)).await.unwrap(), Some(tombstone(11)), "the source has deleted it");
    }
    let repair = Plan { repair: true, fingerprint: "f+repair".to_owned(), ..plan(v1::PassKind::Verify) };
    let evidence = run(&controller, &stores, &repair).await.unwrap();
    assert!(!evidence.clean, "an older record is not written over what the target knows: {evidence:?}");
    let evidence = run(&controller, &stores, &source_wins()).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(target.get(&id(3)).await.unwrap(), Some(record(10)));
    controller.stop().await;
}

/// Its versions and deletions are not those that the last pass saw.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_with_another_ledger_than_the_last_one_gets_no_segment() {
    let (_dir, controller) = started().await;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.db");
    let world = filled();
    let opened = || async {
        let of = with_ledger(SqlTable::from("orders"));
        let target = SqliteStore::create(&path, of, SqliteOptions::default()).await.unwrap();
        Stores { target: Arc::new(target), ..world.stores() }
    };
    let dual = |ppm| ramp(&controller, v1::SetRolloutRequest { dual_ppm: Some(ppm), ..Default::default() });
    dual(1_000_000).await;
    let evidence = run(&controller, &opened().await, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == RECORDS, "{evidence:?}");

    let connect = SqliteConnectOptions::new().filename(&path);
    let mut admin = SqliteConnection::connect_with(&connect).await.unwrap();
    let anew =
        "DELETE FROM cutover_ledger_orders; INSERT INTO cutover_ledger_orders VALUES ('', '', 4711, 0)";
    sqlx::raw_sql(anew).execute(&mut admin).await.unwrap();
    let stores = opened().await;
    for kind in [v1::PassKind::Full, v1::PassKind::Verify] {
        let refused = run(&controller, &stores, &plan(kind)).await.unwrap_err().to_string();
        let told = "and now has 1267: its versions and deletions were lost";
        assert!(refused.contains("the target's table had the ledger") && refused.contains(told), "{refused}");
    }
    // Nobody relies on it there.
    dual(0).await;
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    dual(1_000_000).await;
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean, "the new one is known now: {evidence:?}");
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
    let tables = format!("DROP TABLE {}, cutover_ledger_{0}, {}", one.name, other.name);
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
    let tables = format!("DROP TABLE {}, cutover_ledger_{0}, {}", one.name, other.name);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&admin).await.unwrap();
    let admin = MySqlPool::connect(&mysql).await.unwrap();
    let tables = format!("DROP TABLE {}, cutover_ledger_{1}, {1}", one.name, other.name);
    sqlx::raw_sql(AssertSqlSafe(tables)).execute(&admin).await.unwrap();
}
