use super::*;
use crate::domain::guard::{Certificate, Operation};

fn step(rung: Rung, percent: u32) -> Step {
    Step { rung, share_ppm: percent * 10_000, bake_ms: 60_000, evidence: Proof::Guards, approval: false }
}

fn plan() -> Plan {
    let approved = Step { approval: true, ..step(Rung::TargetFirst, 100) };
    Plan::of(vec![step(Rung::Dual, 100), step(Rung::Mirrored, 100), approved]).unwrap()
}

fn shown(missing: Option<u64>) -> Standing {
    let certificate = Certificate {
        operation: Operation::Write,
        calls: 1000,
        bad: 0,
        excess: 0.0005,
        margin: 0.001,
        missing,
        expected_ms: Some(90_000),
    };
    Standing { blocks: Vec::new(), certificates: vec![certificate], miss_upper: 0.0 }
}

fn seen(standing: Option<Standing>) -> Seen {
    Seen { settled_since_ms: Some(1_000), standing, miss_max: 0.001, ..Seen::default() }
}

fn missing(next: Next) -> Vec<String> {
    match next {
        Next::Wait(missing) => missing.into_iter().map(|missing| missing.what).collect(),
        other => panic!("{other:?} does not wait"),
    }
}

#[test]
fn a_step_needs_its_bake_time_and_its_evidence_and_says_what_is_missing_until_when() {
    let at = Progress { taken: 1, approved: 0 };
    assert_eq!(decide(&plan(), Progress::default(), &seen(None), 0), Next::Advance(0));
    let Next::Wait(waits) = decide(&plan(), at, &seen(Some(shown(Some(70)))), 31_000) else { panic!() };
    assert_eq!(waits[0], Missing { what: "30 s of its bake time".to_owned(), until_ms: Some(61_000) });
    assert_eq!(waits[1].what, "70 more write calls to the target");
    assert_eq!(waits[1].until_ms, Some(90_000));
    assert_eq!(decide(&plan(), at, &seen(Some(shown(Some(0)))), 61_000), Next::Advance(1));
    let unsettled = Seen { settled_since_ms: None, ..seen(Some(shown(Some(0)))) };
    assert!(missing(decide(&plan(), at, &unsettled, u64::MAX))[0].contains("every live instance"));
}

#[test]
fn no_data_never_advances_a_step_that_has_to_show_something() {
    let at = Progress { taken: 1, approved: 0 };
    assert!(missing(decide(&plan(), at, &seen(None), u64::MAX))[0].contains("no data"));
    let silent = Standing { certificates: Vec::new(), ..shown(None) };
    assert!(missing(decide(&plan(), at, &seen(Some(silent)), u64::MAX))[0].contains("nothing has called"));

    let lenient = Plan::of(vec![Step { evidence: Proof::None, ..step(Rung::Dual, 5) }]).unwrap();
    assert_eq!(decide(&lenient, at, &seen(None), 61_000), Next::Done);
    let suspected = Standing { blocks: vec![Block::InstancesGone], ..shown(Some(0)) };
    assert!(matches!(decide(&lenient, at, &seen(Some(suspected)), 61_000), Next::Wait(_)));
}

#[test]
fn a_trip_and_a_pause_hold_it_and_an_approval_is_for_one_step() {
    let good = seen(Some(shown(Some(0))));
    let at = Progress { taken: 2, approved: 0 };
    assert_eq!(missing(decide(&plan(), at, &good, 61_000)), ["the approval of step 3"]);
    let approved = Progress { approved: 3, ..at };
    assert_eq!(decide(&plan(), approved, &good, 61_000), Next::Advance(2));
    let misses = Standing { miss_upper: 0.02, ..shown(Some(0)) };
    assert!(missing(decide(&plan(), approved, &seen(Some(misses)), 61_000))[0].contains("2.000 %"));
    for held in [Seen { tripped: true, ..good.clone() }, Seen { paused: true, ..good }] {
        assert!(matches!(decide(&plan(), approved, &held, 61_000), Next::Held(_)));
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    let steps = vec![
        step(Rung::Dual, 50),
        step(Rung::Dual, 20),
        step(Rung::TargetFirst, 10),
        step(Rung::Hold, 10),
        step(Rung::Dual, 101),
        step(Rung::Dual, 50),
    ];
    let wrong = Plan::of(steps).unwrap_err();
    let told: Vec<_> = wrong.iter().map(|wrong| (wrong.field.as_str(), wrong.message.as_str())).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    for ((field, message), (step, part)) in told.into_iter().zip([
        ("steps[2]", "goes down"),
        ("steps[3]", "put mirrored 10 before it"),
        ("steps[4]", "has no share"),
        ("steps[5]", "over 100 %"),
        ("steps[6]", "changes nothing"),
    ]) {
        assert!(field == step && message.contains(part), "{field}: {message}");
    }
    assert_eq!(Plan::of(Vec::new()).unwrap_err()[0].field, "steps");
}
