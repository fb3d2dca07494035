//! Passes over records that expire: what a store has removed is no difference, and nothing that was removed comes back.

use cutover::jobs::{
    quarantine::Row,
    retry::{Retried, retry},
};
use cutover_store::{StoreError, Ttl};

use super::{hooked::Hooked, target_only::pin, *};

fn ttl() -> Ttl {
    Ttl::new("expires_at", Duration::ZERO)
}

fn now_ms() -> u64 {
    cutover_store::now_ms_since_2025()
}

/// A version that was stamped so long ago.
fn ago(seconds: u64) -> Version {
    Version::new(now_ms() - 1000 * seconds, 0, 3).unwrap()
}

/// A record with this version that expires in so many seconds.
fn in_s(version: Version, seconds: i64) -> Record {
    let at = (now_ms() + cutover_store::EPOCH_UNIX_MS) as i64 / 1000 + seconds;
    Record { version, value: Some(format!(r#"{{"expires_at":{{"N":"{at}"}}}}"#).into_bytes()) }
}

fn plan(kind: v1::PassKind) -> Plan {
    let plan = Plan { ttl: Some(ttl()), ..super::plan(kind) };
    match kind {
        v1::PassKind::Full => Plan { on_target: 1, segments: 3, ..plan },
        v1::PassKind::Reverse => Plan { on_target: 2, segments: 4, ..plan },
        _ => plan,
    }
}

fn of(tenant: &str, key: &str) -> Id {
    Id::new(tenant, key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_store_has_removed_is_neither_copied_nor_a_difference() {
    let (_dir, controller) = started().await;
    let world = World::new();
    let (old, new) = (ago(9000), ago(8000));
    // Removed in the target, removed in the source, and in neither.
    world.source.insert(of("t", "source"), in_s(new, -100));
    world.target.insert(of("t", "target"), in_s(new, -100));
    world.source.insert(of("t", "both"), in_s(new, -100));
    world.target.insert(of("t", "both"), in_s(old, -200));
    world.source.insert(of("t", "live"), in_s(new, 3600));
    // It had no expiry when the target got it: whoever reads the target would find that.
    world.source.insert(of("t", "shortened"), in_s(new, -100));
    world.target.insert(of("t", "shortened"), in_s(old, 3600));
    let verified = run(&controller, &world.stores(), &plan(v1::PassKind::Verify)).await.unwrap();
    let left = v1::Differences { missing: 1, ..found(&verified) };
    assert_eq!((found(&verified).missing, found(&verified).extra), (1, 0), "{verified:?}");
    assert!(!verified.clean && left.stale >= 1, "{verified:?}");

    let copied = run(&controller, &world.stores(), &plan(v1::PassKind::Full)).await.unwrap();
    assert!(copied.clean, "{copied:?}");
    assert_eq!(world.target.dump().get(&of("t", "source")), None, "it has expired");
    for key in ["live", "shortened", "both"] {
        assert_eq!(world.target.dump().get(&of("t", key)), world.source.dump().get(&of("t", key)), "{key}");
    }
    for plan in [plan(v1::PassKind::Verify), Plan { on_target: 0, ..plan(v1::PassKind::Verify) }] {
        let verified = run(&controller, &world.stores(), &plan).await.unwrap();
        assert!(verified.clean && found(&verified) == v1::Differences::default(), "{verified:?}");
    }
    // What only the target has, and has not expired, still counts.
    world.source.remove(&of("t", "live"));
    let verified = run(&controller, &world.stores(), &plan(v1::PassKind::Verify)).await.unwrap();
    assert!(!verified.clean && found(&verified).extra == 1, "{verified:?}");
    controller.stop().await;
}

/// The source removes its record after the target was scanned, and before the source is: nobody would copy it. One that
/// does not expire now may get an expiry in between, by a write that fails in the target.
#[tokio::test(flavor = "multi_thread")]
async fn the_scan_of_the_target_copies_what_the_source_may_remove_soon() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(of("t", "k"), in_s(ago(100), -1));
    world.target.insert(of("t", "k"), in_s(ago(200), 3600));
    world.source.insert(of("t", "stays"), record(9));
    world.target.insert(of("t", "stays"), record(8));
    let only_target = |kind| Plan { on_target: 1, segments: 1, ..plan(kind) };
    let verify = only_target(v1::PassKind::Verify);
    let evidence = run(&controller, &world.stores(), &verify).await.unwrap();
    assert!(!evidence.clean && found(&evidence).stale == 2, "{evidence:?}");
    let passes = [only_target(v1::PassKind::Full), Plan { repair: true, ..verify }];
    for plan in passes {
        world.target.insert(of("t", "k"), in_s(ago(200), 3600));
        world.target.insert(of("t", "stays"), record(8));
        let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
        assert!(evidence.clean && counts(&evidence).copied == 2, "{evidence:?}");
        assert_eq!(world.target.dump(), world.source.dump());
    }
    controller.stop().await;
}

/// The target removes a newer record after the pass has looked, and before it writes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_newer_is_never_written_to_it() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let world = World::new();
    for n in 0..50 {
        world.source.insert(of("down", &n.to_string()), in_s(ago(9000), 3600));
    }
    world.source.insert(of("up", "k"), record(5));
    world.target.insert(of("up", "k"), in_s(ago(8000), -100));
    let removes = Hooked { before_puts: |store| store.remove(&of("up", "k")), ..Hooked::new(&world.target) };
    let stores = Stores { target: Arc::new(removes), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 50, "{evidence:?}");
    assert_eq!(world.target.dump().get(&of("up", "k")), None, "it is from before the one that has expired");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_adds_nothing_where_the_target_is_read() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let world = World::new();
    for tenant in ["up", "down"] {
        world.source.insert(of(tenant, "lacking"), in_s(ago(9000), 3600));
        world.source.insert(of(tenant, "older"), in_s(ago(8000), 3600));
        world.target.insert(of(tenant, "older"), in_s(ago(9000), 3600));
    }
    for plan in [plan(v1::PassKind::Full), Plan { repair: true, ..plan(v1::PassKind::Verify) }] {
        run(&controller, &world.stores(), &plan).await.unwrap();
        let target = world.target.dump();
        assert_eq!(target.get(&of("up", "lacking")), None, "a newer one may have been removed there");
        for id in [of("down", "lacking"), of("down", "older"), of("up", "older")] {
            assert_eq!(target.get(&id), world.source.dump().get(&id), "{id:?}");
        }
    }
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_pass_deletes_what_the_target_has_removed() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let world = World::new();
    for tenant in ["up", "down"] {
        // At target-only it got an expiry, and the target has removed it.
        world.source.insert(of(tenant, "obsolete"), record(5));
        world.source.insert(of(tenant, "expired"), in_s(ago(9000), -100));
        // A write that may have yet to reach the target.
        world.source.insert(of(tenant, "young"), in_s(ago(30), 3600));
        world.target.insert(of(tenant, "there"), in_s(ago(8000), 3600));
        world.target.insert(of(tenant, "gone"), in_s(ago(8000), -100));
    }
    pin(&controller, "up", v1::Rung::TargetFirst).await;
    let before = world.source.dump();
    let evidence = run(&controller, &world.stores(), &plan(v1::PassKind::Reverse)).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(counts(&evidence).copied, 2, "{evidence:?}");
    let deleted = |it: &v1::Finding| it.what.starts_with("deleted in the source") && it.records == 1;
    assert!(evidence.findings.iter().any(deleted), "{evidence:?}");
    let source = world.source.dump();
    assert_eq!(source[&of("up", "obsolete")], tombstone(6));
    assert_eq!(source[&of("up", "there")], world.target.dump()[&of("up", "there")]);
    assert_eq!(source.get(&of("up", "gone")), None);
    for id in [of("up", "expired"), of("up", "young")] {
        assert_eq!(source[&id], before[&id], "{id:?}");
    }
    for (id, record) in before.iter().filter(|(id, _)| id.tenant == "down") {
        assert_eq!(&source[id], record, "the source has every write of its tenant");
    }
    controller.stop().await;
}

/// The target has a newer record when the source is scanned, and none when the target is.
#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_pass_copies_at_once_what_the_target_may_remove() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    let world = World::new();
    world.source.insert(of("up", "k"), record(5));
    world.target.insert(of("up", "k"), in_s(ago(8000), 1));
    pin(&controller, "up", v1::Rung::TargetFirst).await;
    let only_source = Plan { on_target: 0, segments: 1, ..plan(v1::PassKind::Reverse) };
    let evidence = run(&controller, &world.stores(), &only_source).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(world.source.dump(), world.target.dump());

    // It goes between the look at its version and the read.
    pin(&controller, "up", v1::Rung::TargetOnly).await;
    world.source.insert(of("up", "k"), record(5));
    pin(&controller, "up", v1::Rung::TargetFirst).await;
    let before_read = |store: &MemoryStore, n: usize| _ = (n == 2).then(|| store.remove(&of("up", "k")));
    let target = Arc::new(Hooked { before_read, ..Hooked::new(&world.target) });
    let stores = Stores { target, ..world.stores() };
    let evidence = run(&controller, &stores, &only_source).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(world.source.dump()[&of("up", "k")], tombstone(6));
    controller.stop().await;
}

/// What the target refused is not read there. No pass may take that for expired.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_never_had_stays_in_the_source_and_in_quarantine() {
    let (_dir, controller) = started().await;
    let world = World::new();
    let (refused, foreign) = (of("up", "refused"), of("up", "foreign"));
    world.source.insert(refused.clone(), in_s(ago(9000), 3600));
    world.source.insert(of("up", "fits"), in_s(ago(9000), 3600));
    let refuses = |records: &[(Id, Record)]| {
        let (field, what) = ("name".to_owned(), "it does not fit".to_owned());
        let class = cutover_core::outcome::ErrorClass::Constraint;
        let is_it = records.iter().any(|(id, _)| id.key == "refused");
        is_it.then_some(StoreError::Permanent { class, field, what })
    };
    let narrow = Hooked { refuses, ..Hooked::new(&world.target) };
    let stores = Stores { target: Arc::new(narrow), ..world.stores() };
    let evidence = run(&controller, &stores, &plan(v1::PassKind::Full)).await.unwrap();
    assert_eq!((counts(&evidence).quarantined, counts(&evidence).copied), (1, 1), "{evidence:?}");
    let in_quarantine = || world.quarantine.dump().values().filter(|row| !row.is_tombstone()).count();
    assert_eq!(in_quarantine(), 1);

    pin(&controller, "up", v1::Rung::TargetFirst).await;
    let passes = [plan(v1::PassKind::Full), Plan { repair: true, ..plan(v1::PassKind::Verify) }];
    for plan in &passes {
        let evidence = run(&controller, &world.stores(), plan).await.unwrap();
        let left = v1::Differences { missing: 1, ..Default::default() };
        assert!(!evidence.clean && counts(&evidence).remaining == Some(left), "{evidence:?}");
        assert_eq!(in_quarantine(), 1, "it is still not there");
    }
    let mut retried = Vec::new();
    let told = |_: &Row, one: &Retried| retried.push(one.clone());
    retry(&controller.url, &world.stores(), &passes[0], told, std::future::pending()).await.unwrap();
    assert!(matches!(&retried[..], [Retried::Left(why)] if why.contains("mirrored")), "{retried:?}");
    assert_eq!(in_quarantine(), 1);

    pin(&controller, "up", v1::Rung::TargetOnly).await;
    for plan in &passes {
        let evidence = run(&controller, &world.stores(), plan).await.unwrap();
        assert!(evidence.clean && counts(&evidence).target_only == 1, "may have expired there: {evidence:?}");
        assert_eq!(in_quarantine(), 1);
    }
    // Another program writes to the source meanwhile.
    world.source.insert(foreign.clone(), Record { version: Version::ZERO, ..record(0) });
    pin(&controller, "up", v1::Rung::TargetFirst).await;
    let before = world.source.dump();
    let evidence = run(&controller, &world.stores(), &plan(v1::PassKind::Reverse)).await.unwrap();
    let left = v1::Differences { missing: 2, ..Default::default() };
    assert!(!evidence.clean && counts(&evidence).remaining == Some(left), "{evidence:?}");
    assert_eq!(world.source.dump(), before, "the last copies");
    for why in ["is in quarantine", "has no version"] {
        assert!(evidence.findings.iter().any(|it| it.what.ends_with(why)), "{evidence:?}");
    }
    controller.stop().await;
}

/// A tombstone brings nothing back, so it may be added where the target is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_is_added_at_every_rung() {
    let (_dir, controller) = started().await;
    pin(&controller, "up", v1::Rung::TargetFirst).await;
    for plan in [plan(v1::PassKind::Full), Plan { repair: true, ..plan(v1::PassKind::Verify) }] {
        let world = World::new();
        world.source.insert(of("up", "k"), tombstone(6));
        let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
        let left = counts(&evidence).remaining.unwrap_or_default();
        assert_eq!((world.target.dump(), left), (world.source.dump(), v1::Differences::default()));
    }
    controller.stop().await;
}

/// A removed record is no sign of another store.
#[tokio::test(flavor = "multi_thread")]
async fn an_expiring_record_is_no_witness() {
    let (_dir, controller) = started().await;
    let world = World::new();
    for n in 0..2_000 {
        world.source.insert(id(n), in_s(ago(9000), 2));
    }
    let slow =
        Plan { tuning: v1::Tuning { records_per_s: 400, ..Default::default() }, ..plan(v1::PassKind::Full) };
    run_until(&controller, &world.stores(), &slow, |job| job.counts.unwrap_or_default().scanned > 50).await;
    let emptied = Stores { target: Arc::new(Hooked::new(&Arc::new(MemoryStore::new()))), ..world.stores() };
    let evidence = run(&controller, &emptied, &Plan { tuning: v1::Tuning::default(), ..slow }).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    controller.stop().await;
}
