//! Records that somebody wrote without an SDK: the source wins while it is the truth, and over nothing newer.

use cutover_store::{Fault, Faulty, Gate, Verb};

use super::*;

pub(super) fn source_wins() -> Plan {
    Plan {
        repair: true,
        source_wins: true,
        reason: "a script wrote to the target".to_owned(),
        fingerprint: "f+source-wins".to_owned(),
        ..plan(v1::PassKind::Verify)
    }
}

fn content(version: u64, content: &[u8]) -> Record {
    Record { version: Version(version), value: Some(content.to_vec()) }
}

/// One difference of each kind among equal records.
fn foreign() -> World {
    let world = World::new();
    for n in 0..50 {
        world.source.insert(id(n), record(10));
        world.target.insert(id(n), record(10));
    }
    world.target.insert(id(1), content(99, b"ahead"));
    world.target.insert(id(2), content(10, b"different"));
    world.target.insert(id(60), content(7, b"extra"));
    world.target.insert(id(61), content(0, b"extra"));
    world.source.insert(id(3), record(11));
    world.source.insert(id(62), record(1));
    world
}

/// A record that is ahead in the target, whose repair waits at the gate before it writes.
fn about_to_be_overwritten() -> (World, Stores, Gate) {
    let world = World::new();
    world.source.insert(id(1), record(10));
    world.target.insert(id(1), content(99, b"ahead"));
    let (target, gate) = (Faulty::new(world.target.clone()), Gate::new());
    target.next(Verb::Put, Fault::Wait(gate.clone()));
    let stores = Stores { target: Arc::new(target), ..world.stores() };
    (world, stores, gate)
}

/// Returns once a segment of the only pass is done.
async fn a_segment_is_done(controller: &Controller) {
    let listed = v1::ListJobsRequest { migration: KEY.to_owned() };
    let mut jobs = controller.jobs().await;
    while jobs.list_jobs(listed.clone()).await.unwrap().into_inner().jobs[0].segments_done < 1 {
        tokio::task::yield_now().await;
    }
}

/// Everybody at this share of these rungs, whatever the gates say.
pub(super) async fn ramp(controller: &Controller, rungs: v1::SetRolloutRequest) {
    let mutation = v1::Mutation { reason: "test".to_owned(), ..Default::default() };
    let override_gates = vec!["full-pass".to_owned()];
    let request = v1::SetRolloutRequest {
        mutation: Some(mutation),
        key: KEY.to_owned(),
        wait: true,
        override_gates,
        ..rungs
    };
    controller.admin().await.set_rollout(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_becomes_what_the_source_has_and_the_source_is_as_it_was() {
    let (_dir, controller) = started().await;
    for on_target in [2, 0] {
        let world = foreign();
        let source = world.source.dump();
        let evidence = run(&controller, &world.stores(), &Plan { on_target, ..source_wins() }).await.unwrap();
        let all = v1::Differences { missing: 1, stale: 1, ahead: 1, extra: 2, different: 1, unversioned: 1 };
        assert_eq!(found(&evidence), all);
        assert!(evidence.clean && counts(&evidence).copied == 6, "{evidence:?}");
        assert_eq!(world.source.dump(), source);
        for n in [1, 2, 3, 62] {
            assert_eq!(get(&world.target, n).await, get(&world.source, n).await, "{n}");
        }
        for n in [60, 61] {
            assert_eq!(get(&world.target, n).await, Some(tombstone(1)), "below every stamp of an SDK");
        }
        let again = run(&controller, &world.stores(), &plan(v1::PassKind::Verify)).await.unwrap();
        assert!(again.clean && found(&again) == v1::Differences::default(), "{again:?}");
    }
    let history = controller.admin().await.list_history(v1::ListHistoryRequest::default()).await.unwrap();
    let events = history.into_inner().events;
    let event = events.iter().find(|event| event.summary.contains("OVERWRITES")).expect("it is told");
    assert_eq!(event.reason, "a script wrote to the target");
    let silent = Plan { reason: String::new(), ..source_wins() };
    let refused = run(&controller, &World::new().stores(), &silent).await.unwrap_err().to_string();
    assert!(refused.contains("reason: is missing"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_in_between_wins() {
    let (_dir, controller) = started().await;
    // An SDK writes both stores between the look and the write; then one whose stamp is below what the target
    // has, so that its second put finds something newer and writes nothing.
    for (in_target, version) in [(true, 100), (false, 50)] {
        let (world, stores, gate) = about_to_be_overwritten();
        let plan = source_wins();
        let write = async {
            gate.reached().await;
            world.source.insert(id(1), record(version));
            if in_target {
                world.target.insert(id(1), record(version));
            }
            gate.open();
        };
        let (evidence, ()) = tokio::join!(run(&controller, &stores, &plan), write);
        let evidence = evidence.unwrap();
        assert!(evidence.clean && found(&evidence).ahead == 1, "{evidence:?}");
        assert_eq!(get(&world.target, 1).await, Some(record(version)), "not what was looked at");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_has_what_the_source_had_is_not_equal() {
    let (_dir, controller) = started().await;
    for (on_target, verb) in [(2, Verb::Get), (0, Verb::Scan)] {
        // What a repair has put there, from a call that was given up. An SDK's write came before that, and took what
        // was there for newer.
        let world = World::new();
        world.source.insert(id(1), record(10));
        world.target.insert(id(1), record(10));
        let (target, gate) = (Faulty::new(world.target.clone()), Gate::new());
        target.next(verb, Fault::Wait(gate.clone()));
        let stores = Stores { target: Arc::new(target), ..world.stores() };
        let write = async {
            gate.reached().await;
            world.source.insert(id(1), record(50));
            gate.open();
        };
        let plan = Plan { on_target, segments: on_target + 1, ..source_wins() };
        let (evidence, ()) = tokio::join!(run(&controller, &stores, &plan), write);
        let evidence = evidence.unwrap();
        assert!(evidence.clean && found(&evidence).stale == 1, "{on_target}: {evidence:?}");
        assert_eq!(get(&world.target, 1).await, Some(record(50)), "{on_target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_got_behind_its_scan_is_compared_where_the_target_is_scanned() {
    let (_dir, controller) = started().await;
    for plan in [plan(v1::PassKind::Verify), source_wins(), plan(v1::PassKind::Full)] {
        let world = World::new();
        world.target.insert(id(1), content(99, b"ahead"));
        let (target, gate) = (Faulty::new(world.target.clone()), Gate::new());
        target.next(Verb::Scan, Fault::Wait(gate.clone()));
        let stores = Stores { target: Arc::new(target), ..world.stores() };
        let plan = Plan { segments: 2, on_target: 1, ..plan };
        let write = async {
            gate.reached().await;
            a_segment_is_done(&controller).await;
            world.source.insert(id(1), record(50));
            gate.open();
        };
        let (evidence, ()) = tokio::join!(run(&controller, &stores, &plan), write);
        let evidence = evidence.unwrap();
        assert_eq!(found(&evidence), v1::Differences { ahead: 1, ..Default::default() }, "{evidence:?}");
        assert_eq!(evidence.clean, plan.source_wins);
        let left = if plan.source_wins { record(50) } else { content(99, b"ahead") };
        assert_eq!(get(&world.target, 1).await, Some(left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_goes_on_after_its_worker_ended_repairs_what_that_left() {
    let (_dir, controller) = started().await;
    let world = World::new();
    world.source.insert(id(1), record(10));
    world.target.insert(id(1), content(99, b"ahead"));
    let (target, gate) = (Faulty::new(world.target.clone()), Gate::new());
    target.next(Verb::Put, Fault::Wait(gate.clone()));
    let stores = Stores { target: Arc::new(target), ..world.stores() };
    let plan = Plan { segments: 2, on_target: 1, ..source_wins() };
    // The half that scans the source has ended. The worker ends between its put and its second look, and an SDK has
    // written meanwhile: what it found in the target was newer.
    let ended = async {
        gate.reached().await;
        a_segment_is_done(&controller).await;
        world.source.insert(id(1), record(50));
    };
    tokio::select! {
        evidence = run(&controller, &stores, &plan) => panic!("it ended: {evidence:?}"),
        () = ended => {}
    }
    world.target.insert(id(1), record(10));
    let evidence = run(&controller, &world.stores(), &plan).await.unwrap();
    assert!(evidence.clean, "{evidence:?}");
    assert_eq!(get(&world.target, 1).await, Some(record(50)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_while_the_target_is_read_and_stops_where_a_tenant_moves_on() {
    let (_dir, controller) = started().await;
    let everybody = Some(1_000_000);
    let up = |mirrored_ppm, target_first_ppm| v1::SetRolloutRequest {
        mirrored_ppm,
        target_first_ppm,
        ..Default::default()
    };
    ramp(&controller, up(everybody, None)).await;
    // The pass begins while everybody reads the source, and goes on while they don't.
    let world = foreign();
    let (source, gate) = (Faulty::new(world.source.clone()), Gate::new());
    source.next(Verb::Scan, Fault::Wait(gate.clone()));
    let stores = Stores { source: Arc::new(source), ..world.stores() };
    let plan = Plan { segments: 1, on_target: 0, ..source_wins() };
    let move_on = async {
        gate.reached().await;
        ramp(&controller, up(None, everybody)).await;
        let at_target_first = async || {
            let request = v1::GetStatusRequest { key: KEY.to_owned() };
            let status = controller.admin().await.get_status(request).await.unwrap().into_inner();
            status.shares.iter().any(|share| share.rung() == v1::Rung::TargetFirst && share.ppm == 1_000_000)
        };
        while !at_target_first().await {
            tokio::task::yield_now().await;
        }
        gate.open();
    };
    let before = world.target.dump();
    let (evidence, ()) = tokio::join!(run(&controller, &stores, &plan), move_on);
    let evidence = evidence.unwrap();
    let left = v1::Differences { ahead: 1, extra: 2, different: 1, unversioned: 1, ..Default::default() };
    assert_eq!(counts(&evidence).remaining, Some(left), "{evidence:?}");
    assert!(!evidence.clean);
    for n in [1, 2, 60, 61] {
        assert_eq!(get(&world.target, n).await.as_ref(), before.get(&id(n)), "{n}");
    }
    let refused = run(&controller, &world.stores(), &plan).await.unwrap_err().to_string();
    assert!(refused.contains("target-first or above read the target"), "{refused}");
    assert!(refused.contains("cutover ramp orders --target-first 0 --wait"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_target_is_quarantined_and_remains() {
    let (_dir, controller) = started().await;
    let (world, stores, gate) = about_to_be_overwritten();
    gate.open();
    let target = Faulty::new(stores.target.clone());
    let error = cutover_store::StoreError::Permanent {
        class: cutover_core::outcome::ErrorClass::Constraint,
        field: "name".to_owned(),
        what: "41 characters where varchar(40) takes 40".to_owned(),
    };
    target.next(Verb::Put, Fault::Refuse(error));
    let stores = Stores { target: Arc::new(target), ..stores };
    let evidence = run(&controller, &stores, &source_wins()).await.unwrap();
    assert!(!evidence.clean, "{evidence:?}");
    assert_eq!((counts(&evidence).quarantined, counts(&evidence).copied), (1, 0));
    assert_eq!(get(&world.target, 1).await, Some(content(99, b"ahead")));
    let said = evidence.findings.iter().map(|finding| (finding.what.as_str(), finding.records));
    let expected = [("ahead", 1), ("quarantined: name: N characters where varchar(N) takes N", 1)];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}
