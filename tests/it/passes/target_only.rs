//! What the target has newer is no difference for tenants that have been at target-only. For everybody else it is.

use cutover_store::{SqliteOptions, SqliteStore, mapping::SqlTable, mapping::Versions};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use cutover::jobs::{
    quarantine::Row,
    retry::{Retried, retry},
};
use cutover_store::StoreError;

use super::{hooked::Hooked, *};

/// Pins a tenant, and waits until it is there.
pub(super) async fn pin(controller: &Controller, tenant: &str, rung: v1::Rung) {
    let mutation =
        v1::Mutation { actor: "operator:ada".to_owned(), reason: "test".to_owned(), ..Default::default() };
    let request = v1::SetPinRequest {
        mutation: Some(mutation),
        key: KEY.to_owned(),
        tenant: tenant.to_owned(),
        rung: rung.into(),
        wait: true,
        override_gates: vec!["full-pass".to_owned(), "soak".to_owned()],
    };
    controller.admin().await.set_pin(request).await.unwrap();
    while explained(controller, tenant).await.rung() != rung {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn explained(controller: &Controller, tenant: &str) -> v1::ExplainResponse {
    let request = v1::ExplainRequest { key: KEY.to_owned(), tenant: tenant.to_owned() };
    controller.admin().await.explain(request).await.unwrap().into_inner()
}

fn of(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_record_in_the_target_is_a_difference_unless_its_own_tenant_has_been_at_target_only() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let world = World::new();
    world.source.insert(of("up", "changed"), record(1));
    world.target.insert(of("up", "changed"), record(5));
    world.target.insert(of("up", "new"), record(6));
    for n in 0..20 {
        world.source.insert(id(n), record(10));
        world.target.insert(id(n), record(10));
    }
    let plans = [
        Plan { on_target: 1, segments: 5, ..plan(v1::PassKind::Full) },
        plan(v1::PassKind::Verify),
        Plan { on_target: 0, ..plan(v1::PassKind::Verify) },
        plan(v1::PassKind::Sample),
        plan(v1::PassKind::Sweep),
    ];
    for plan in &plans {
        let evidence = run(&controller, &world.stores(), plan).await.unwrap();
        assert!(evidence.clean && found(&evidence) == v1::Differences::default(), "{evidence:?}");
        assert_eq!((counts(&evidence).target_only, counts(&evidence).stale <= 1), (2, true), "{evidence:?}");
    }
    // Programs without the SDK rewrote one record of the source, and deleted another.
    world.source.insert(id(3), Record { version: Version::ZERO, ..record(0) });
    world.source.remove(&id(4));
    for plan in &plans {
        let evidence = run(&controller, &world.stores(), plan).await.unwrap();
        let left = v1::Differences { ahead: 1, extra: 1, ..Default::default() };
        assert_eq!(counts(&evidence).remaining, Some(left), "{evidence:?}");
        assert!(!evidence.clean && counts(&evidence).target_only == 2, "{evidence:?}");
        let named: Vec<_> = evidence.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert!(named.contains(&"ahead") && named.contains(&"extra"), "{named:?}");
    }
    controller.stop().await;
}

/// The source's entry is newer than the target's record, so the reverse pass can't write, and the row is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_pass_names_what_the_source_lacks_although_its_ledger_is_newer() {
    let (dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let path = dir.path().join("s.db");
    let table = SqlTable { versions: Versions::Ledger, ..SqlTable::from("orders") };
    let source = Arc::new(SqliteStore::create(&path, table, SqliteOptions::default()).await.unwrap());
    let world = World::new();
    let stores = Stores { source: source.clone(), ..world.stores() };
    run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    // Writes at target-first that failed in the target, then other programs: one deletes a row, the other inserts one
    // again. The third record is as the protocol allows it: newer, and there.
    for (key, there) in [("deleted", record(8)), ("inserted", tombstone(8)), ("newer", record(8))] {
        source.put_if_newer(&of("up", key), &there).await.unwrap();
        world.target.insert(of("up", key), record(5));
    }
    let mut admin =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    let others =
        "DELETE FROM orders WHERE \"key\" = 'deleted'; INSERT INTO orders VALUES ('up', 'inserted', x'00')";
    sqlx::raw_sql(others).execute(&mut admin).await.unwrap();
    pin(&controller, "up", v1::Rung::TargetFirst).await;

    let reverse = || async { run(&controller, &stores, &plan(v1::PassKind::Reverse)).await.unwrap() };
    let evidence = reverse().await;
    let left = v1::Differences { ahead: 1, extra: 1, ..Default::default() };
    assert_eq!((counts(&evidence).stale, counts(&evidence).remaining), (3, Some(left)), "{evidence:?}");
    assert!(!evidence.clean && evidence.samples.iter().any(|it| it.contains("\"deleted\"")), "{evidence:?}");
    assert_eq!(explained(&controller, "up").await.floor(), v1::Rung::TargetFirst, "nobody goes down");

    // The SDK writes both once more.
    for key in ["deleted", "inserted"] {
        for store in [&*source as &dyn Store, &*world.target] {
            store.put_if_newer(&of("up", key), &record(9)).await.unwrap();
        }
    }
    let evidence = reverse().await;
    assert!(evidence.clean && counts(&evidence).stale == 1, "{evidence:?}");
    assert_eq!(explained(&controller, "up").await.floor(), v1::Rung::SourceOnly);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_quarantine_stays_there_while_the_target_keeps_another() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(of("up", "kept"), record(1));
    let narrow = Hooked {
        refuses: |records| {
            let what = "it does not fit".to_owned();
            let class = cutover_core::outcome::ErrorClass::Constraint;
            (!records.is_empty()).then(|| StoreError::Permanent { class, field: "name".to_owned(), what })
        },
        ..Hooked::new(&world.target)
    };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert_eq!(counts(&evidence).quarantined, 1);
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    world.target.insert(of("up", "kept"), record(5));
    let mut retried = Vec::new();
    let told = |_: &Row, one: &Retried| retried.push(one.clone());
    let pass = plan(v1::PassKind::Full);
    retry(&controller.url, &world.stores(), &pass, told, std::future::pending()).await.unwrap();
    assert!(matches!(&retried[..], [Retried::Left(_)]), "{retried:?}");
    controller.stop().await;
}
