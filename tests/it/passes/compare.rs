//! What a comparison finds, and what it repairs.

use std::sync::atomic::Ordering::SeqCst;

use super::{hooked::Hooked, *};

/// One difference of each kind among equal records.
fn differing() -> World {
    let world = World::new();
    for n in 0..200 {
        world.source.insert(id(n), record(10));
        world.target.insert(id(n), record(10));
    }
    world.source.insert(id(300), record(1));
    world.source.insert(id(301), tombstone(1));
    world.source.insert(id(1), record(11));
    world.target.insert(id(2), record(11));
    world.target.insert(id(302), record(1));
    world.target.insert(id(303), tombstone(1));
    let secret = Record { version: Version(10), value: Some(b"secret".to_vec()) };
    world.target.insert(id(3), secret);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_difference_is_found_once_and_told_without_its_value() {
    let (_dir, controller) = started().await;
    let world = differing();
    let before = world.target.dump();
    // Both ways: each store looked up in the other, and side by side.
    for on_target in [2, 0] {
        let plan = Plan { on_target, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
        let all = v1::Differences { missing: 2, stale: 1, ahead: 1, extra: 1, different: 1, unversioned: 0 };
        assert_eq!(found(&evidence), all);
        assert_eq!(counts(&evidence).remaining, Some(all));
        assert_eq!(counts(&evidence).scanned, 202 + 202, "each record of both");
        assert_eq!(world.stores().measured(plan.clone()).await.expected, Some(202 + 202), "as was told");
        assert!(!evidence.clean && evidence.samples.len() == 6, "{:?}", evidence.samples);
        let told = evidence.samples.join("\n");
        assert!(!told.contains("secret"), "{told}");
        let different = format!("different {:?}/{:?}: source version 10", id(3).tenant, id(3).key);
        assert!(told.contains(&different), "{told}");
        assert_eq!(world.target.dump(), before, "it only looks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn side_by_side_any_number_of_extras_is_found_wherever_they_are() {
    let (_dir, controller) = started().await;
    // Before the first record, between two, after the last, and where the source has none.
    for kept in [0, 1, 2, 500] {
        let world = World::new();
        for n in 0..1_000 {
            world.target.insert(id(n), record(1));
        }
        let sources: Vec<u64> =
            (0..1_000).filter(|n| kept > 0 && n % (1_000 / kept) == 333 % (1_000 / kept)).collect();
        sources.iter().for_each(|n| world.source.insert(id(*n), record(1)));
        let plan = Plan { segments: 1, on_target: 0, statements: 3, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
        let extra = 1_000 - sources.len() as u64;
        assert_eq!(found(&evidence), v1::Differences { extra, ..Default::default() }, "{kept}");
        assert_eq!(counts(&evidence).scanned, 1_000 + sources.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_writes_what_is_missing_or_older_and_leaves_the_rest_to_people() {
    let (_dir, controller) = started().await;
    for on_target in [2, 0] {
        let world = differing();
        let plan = Plan { repair: true, on_target, ..plan(v1::PassKind::Verify) };
        let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
        let left = v1::Differences { ahead: 1, extra: 1, different: 1, ..Default::default() };
        assert_eq!((counts(&evidence).copied, counts(&evidence).remaining), (3, Some(left)));
        assert_eq!(get(&world.target, 300).await, Some(record(1)));
        assert_eq!(get(&world.target, 1).await, Some(record(11)));
        assert_eq!(get(&world.target, 3).await.unwrap().value.unwrap(), b"secret", "never repaired silently");
        let again = run(&controller, &world.stores(), &plan).await.unwrap();
        assert_eq!(found(&again), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_writes_what_is_older_in_the_target_and_a_reverse_pass_the_other_way() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(id(1), record(2));
    world.target.insert(id(1), record(1));
    world.source.insert(id(2), record(1));
    let evidence = run(&controller, &world.stores(), &plan(v1::PassKind::Sweep)).await.unwrap();
    assert!(evidence.clean && counts(&evidence).copied == 1, "{evidence:?}");
    assert_eq!(get(&world.target, 1).await, Some(record(2)));
    assert_eq!(get(&world.target, 2).await, None, "left to reads");

    let refused = run(&controller, &world.stores(), &plan(v1::PassKind::Reverse)).await.unwrap_err();
    assert!(refused.to_string().contains("none of these tenants"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_that_is_gone_when_read_again_does_not_count() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(id(1), record(2));
    // A client's write was in flight when the pass looked first.
    let arrives = |target: &MemoryStore, read| {
        if read == 2 {
            target.insert(id(1), record(2));
        }
    };
    let target = Arc::new(Hooked { before_read: arrives, ..Hooked::new(&world.target) });
    let plan = Plan { segments: 1, on_target: 0, ..plan(v1::PassKind::Verify) };
    let evidence = run(&controller, &Stores { target, ..world.stores() }, &plan).await.unwrap();
    assert!(evidence.clean && found(&evidence) == v1::Differences::default(), "{evidence:?}");

    // A record that changes all the time, with the target always behind, is busy and not different.
    let runs = |target: &MemoryStore, read| target.insert(id(1), record(10 + read as u64));
    world.source.insert(id(1), record(100));
    let target = Arc::new(Hooked { before_read: runs, ..Hooked::new(&world.target) });
    let evidence = run(&controller, &Stores { target, ..world.stores() }, &plan).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_lacks_everything_is_not_taken_for_a_slow_one() {
    let (_dir, controller) = started().await;
    let world = World::new();
    (0..20_000).for_each(|n| world.source.insert(id(n), record(1)));
    for (repair, on_target) in [(false, 0), (false, 2), (true, 0)] {
        let limits = Limits { chunk: Duration::from_millis(250), ..Limits::default() };
        let (segments, statements) = (on_target + 1, 1);
        let verify = plan(v1::PassKind::Verify);
        let plan = Plan { repair, on_target, segments, statements, limits, ..verify };
        let target = Arc::new(Hooked::new(&world.target));
        let stores = Stores { target: target.clone(), ..world.stores() };
        let evidence = run(&controller, &stores, &plan).await.unwrap();
        assert_eq!(found(&evidence).missing, 20_000);
        // Each page is read again three times, which takes 300 ms. It does not get smaller.
        let (reads, puts) = (target.reads.load(SeqCst), target.puts.load(SeqCst));
        assert!(reads <= 15 * 4, "{reads} reads");
        assert!(puts <= 15, "{puts} writes");
    }
    assert_eq!(world.target.dump(), world.source.dump());
}

#[tokio::test(flavor = "multi_thread")]
async fn side_by_side_few_large_extras_are_held_at_once() {
    const EXTRAS: u64 = 40;
    let (_dir, controller) = started().await;
    let world = World::new();
    let large = Record { version: Version(1), value: Some(vec![b'x'; 1 << 20]) };
    (0..EXTRAS).for_each(|n| world.target.insert(id(n), large.clone()));
    let target = Arc::new(Hooked::new(&world.target));
    let plan = Plan { segments: 1, on_target: 0, statements: 1, ..plan(v1::PassKind::Verify) };
    let evidence =
        run(&controller, &Stores { target: target.clone(), ..world.stores() }, &plan).await.unwrap();
    assert_eq!(found(&evidence).extra, EXTRAS);
    // They are read again 4 MiB at a time, three times.
    assert!(target.reads.load(SeqCst) as u64 >= EXTRAS / 4 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn side_by_side_the_records_of_both_stores_count_towards_a_limit() {
    let (_dir, controller) = started().await;
    let world = World::new();
    for n in 0..2_000 {
        world.source.insert(id(n), record(1));
        world.target.insert(id(n), record(1));
    }
    let tuning = v1::Tuning { records_per_s: 2_000, ..Default::default() };
    let plan = Plan { segments: 1, on_target: 0, tuning, ..plan(v1::PassKind::Verify) };
    let began = std::time::Instant::now();
    run(&controller, &world.stores(), &plan).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_500), "4,000 records in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn side_by_side_a_long_way_between_two_records_is_gone_in_parts() {
    let (_dir, controller) = started().await;
    let world = World::new();
    let at = |n: u64| Id::new("shop", &format!("order-{n:06}")).unwrap();
    let large = Record { version: Version(1), value: Some(vec![b'x'; 1_000]) };
    for n in 0..20_000 {
        world.target.insert(at(n), large.clone());
    }
    // Both have every 8,000th record; the first ones are older in the target, and the last is missing there.
    for n in [0, 8_000, 16_000] {
        world.source.insert(at(n), large.clone());
    }
    world.source.insert(at(1), Record { version: Version(2), value: None });
    world.source.insert(at(30_000), large);
    for statements in [1, 2] {
        let plan = Plan { segments: 1, on_target: 0, statements, ..plan(v1::PassKind::Verify) };
        let source = Arc::new(Hooked::new(&world.source));
        let stores = Stores { source: source.clone(), ..world.stores() };
        let evidence = run(&controller, &stores, &plan).await.unwrap();
        let extra = 20_000 - 4;
        let all = v1::Differences { missing: 1, stale: 1, extra, ..Default::default() };
        assert_eq!((found(&evidence), counts(&evidence).scanned), (all, 20_000 + 5));
        let scans = source.scans.load(SeqCst);
        assert!((5..=8).contains(&scans), "20 MB of the target, some 4 a part: {scans} of the source");
    }
    // Two ranges of a page: what is found in the second one while the first is interrupted counts once.
    (0..20_000).step_by(100).for_each(|n| world.source.insert(at(n), record(2)));
    let limits = Limits::default();
    let plan = Plan { segments: 1, on_target: 0, statements: 2, limits, ..plan(v1::PassKind::Verify) };
    for repair in [false, true] {
        let source = Arc::new(Hooked::new(&world.source));
        let stores = Stores { source: source.clone(), ..world.stores() };
        let evidence = run(&controller, &stores, &Plan { repair, ..plan.clone() }).await.unwrap();
        let all = v1::Differences { missing: 1, stale: 201, extra: 20_000 - 201, ..Default::default() };
        assert_eq!((found(&evidence), counts(&evidence).scanned), (all, 20_000 + 202));
        assert_eq!(counts(&evidence).copied, if repair { 202 } else { 0 });
        assert!(source.scans.load(SeqCst) > 2);
    }
}
