//! Records that expire: what callers get of them at each rung, which writes are refused, and how late calls may come.

#[path = "migrator/world.rs"]
mod world;

use std::time::Duration;

use cutover_client::{
    clock,
    migrator::{Cause, Edit, Migrator, Options, PutIf, WriteError, Writes},
    report::Event,
    routing::{Policy, Rung},
    store::{Fault, Gate, KeyRange, Ttl, Verb},
};
use world::{KEY, TENANT, World, held, seed};

const READS: [Rung; 5] = [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];
const RESIDUAL: Duration = Duration::from_secs(30);

fn expiring(migrator: &Migrator) -> Migrator {
    migrator.clone().with_ttl(Ttl::new("expires_at", RESIDUAL))
}

/// A document that expires in so many seconds.
fn in_s(seconds: i64) -> String {
    let at = clock::now_ms() as i64 / 1000 + seconds;
    format!(r#"{{"expires_at":{{"N":"{at}"}},"n":{{"N":"1"}}}}"#)
}

#[tokio::test]
async fn an_expired_record_is_not_found_at_any_rung() {
    for rung in READS {
        let world = World::with(rung, Policy { shadow_ppm: 0, local_guard: true, ..Policy::default() });
        let orders = expiring(&world.migrator);
        for store in [&world.source, &world.target] {
            seed(store, Some(&in_s(-5)));
        }
        assert_eq!(orders.get_bytes(TENANT, KEY).await, Ok(None), "{rung:?}");
        assert_eq!(orders.get_many_bytes(TENANT, &[KEY]).await, Ok(vec![None]), "{rung:?}");
        let page = orders.list_bytes(TENANT, &KeyRange::all(), 10).await.expect("listed");
        assert!(page.records.is_empty() && page.next.is_none(), "{rung:?}");
        let keep = |old: Option<&[u8]>| {
            assert_eq!(old, None);
            Edit::Keep
        };
        assert_eq!(orders.mutate_bytes(TENANT, KEY, keep).await, Ok(None), "{rung:?}");
        let new = in_s(3600);
        let put = orders.put_if_bytes(TENANT, KEY, None, new.clone().into()).await;
        assert!(matches!(put, Ok(PutIf::Applied(_))), "{rung:?}: {put:?}");
        assert_eq!(orders.get_bytes(TENANT, KEY).await, Ok(Some(new.into())), "{rung:?}");
        assert_eq!(world.count(Event::Miss) + world.count(Event::Migrated), 0, "{rung:?}");
    }
}

#[tokio::test]
async fn a_record_that_would_expire_soon_is_refused_before_a_store_has_it() {
    for rung in READS {
        let world = World::at(rung);
        let orders = expiring(&world.migrator);
        let refused = |error: WriteError| match error {
            WriteError::NotApplied(Cause::ExpiresTooSoon { attribute, least_s: 240, .. }) => attribute,
            other => panic!("{other:?}"),
        };
        let put = orders.put_bytes(TENANT, KEY, in_s(200).into()).await;
        assert_eq!(refused(put.expect_err("soon")), "expires_at");
        let writes = Writes::new().put_bytes("other", in_s(3600).into()).put_bytes(KEY, in_s(-5).into());
        refused(orders.transact(TENANT, writes).await.expect_err("expired"));
        for store in [&world.source, &world.target] {
            assert_eq!(held(store).await, None, "{rung:?}");
            assert!(store.inner().dump().is_empty(), "{rung:?}");
        }
        orders.put_bytes(TENANT, KEY, in_s(300).into()).await.expect("late enough");
        orders
            .put_bytes(TENANT, KEY, br#"{"expires_at":{"N":"0"}}"#.to_vec())
            .await
            .expect("it never expires");
    }
}

/// What the target lacks may have expired there, and what the source has is older.
#[tokio::test]
async fn at_target_first_the_source_is_not_asked() {
    let world = World::at(Rung::TargetFirst);
    let orders = expiring(&world.migrator);
    seed(&world.source, Some(&in_s(3600)));
    assert_eq!(orders.get_bytes(TENANT, KEY).await, Ok(None));
    assert_eq!(orders.get_many_bytes(TENANT, &[KEY]).await, Ok(vec![None]));
    let page = orders.list_bytes(TENANT, &KeyRange::all(), 10).await.expect("listed");
    assert!(page.records.is_empty());
    assert!(world.source.take_calls().is_empty());
    let found = orders.mutate_bytes(TENANT, KEY, |old| {
        assert_eq!(old, None, "a mutation does not start from it either");
        Edit::Keep
    });
    assert_eq!(found.await, Ok(None));
    assert_eq!(held(&world.target).await, None, "nothing was copied");
}

/// A put that lands later could bring an older record back after a newer one has expired.
#[tokio::test(start_paused = true)]
async fn an_operation_makes_no_call_after_a_minute() {
    let world = World::at(Rung::Mirrored);
    let options = Options { call_timeout: Duration::from_secs(300), ..Options::default() };
    let orders = expiring(&world.migrator).with_options(options);
    let (source, began) = (Gate::new(), tokio::time::Instant::now());
    world.source.next(Verb::Put, Fault::Wait(source.clone()));
    let put = orders.put_bytes(TENANT, KEY, in_s(3600).into()).await;
    assert!(matches!(put, Err(WriteError::Indeterminate(_))), "{put:?}");
    assert_eq!(began.elapsed().as_secs(), Ttl::CALLS_WITHIN.as_secs());
    assert!(put.expect_err("late").to_string().contains("began 60 s ago, and records expire"));
    // The second put is not begun if the first one took too long.
    let gate = Gate::new();
    world.source.next(Verb::Put, Fault::Wait(gate.clone()));
    world.target.take_calls();
    let late = tokio::spawn(async move { orders.put_bytes(TENANT, KEY, in_s(3600).into()).await });
    gate.reached().await;
    tokio::time::advance(Ttl::CALLS_WITHIN - Duration::from_secs(1)).await;
    gate.open();
    late.await.expect("no panic").expect("in time");
    assert!(!world.target.take_calls().is_empty());
}
