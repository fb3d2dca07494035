use super::*;
use crate::guard::{Block, Certificate, Operation};

fn step(rung: Rung, percent: u32) -> Step {
    let part = Part::Share(percent * 10_000);
    Step { rung, part, bake_ms: 60_000, evidence: Proof::Guards, approval: false }
}

fn of(steps: Vec<Step>) -> Plan {
    Plan::of(steps, Rules::default()).unwrap()
}

fn plan() -> Plan {
    let approved = Step { approval: true, ..step(Rung::TargetFirst, 100) };
    of(vec![step(Rung::Dual, 100), step(Rung::Mirrored, 100), approved])
}

/// A plan with `count` steps taken; the last settled at one second.
fn taken(plan: Plan, count: usize) -> PlanState {
    let settled = Taken { settled_at_ms: Some(1_000), ..Taken::at(5, 500) };
    PlanState {
        plan,
        status: PlanStatus::Running,
        applied_at_ms: 400,
        applied_by: "operator:ada".to_owned(),
        applied_identity: crate::Identity::Unproven,
        taken: vec![settled; count],
        approved: 0,
    }
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

fn seen(standing: Option<Standing>) -> Observed {
    let key = "orders".to_owned();
    Observed { key, settled: true, in_place: usize::MAX, standing, miss_max: 0.001, ..Observed::default() }
}

#[track_caller]
fn missing(next: Next) -> Vec<String> {
    match next {
        Next::Wait(missing) => missing.into_iter().map(|missing| missing.what).collect(),
        other => panic!("{other:?} does not wait"),
    }
}

#[test]
fn a_bake_time_is_measured_by_the_steady_clock() {
    let mut at = taken(plan(), 1);
    at.taken[0].settled_steady_ms = Some(5_000);
    at.taken[0].shown_at_ms = Some(2_000);
    let after = |steady_ms| Observed { steady_ms, ..seen(Some(shown(Some(0)))) };
    let two_hours = 7_200_000;
    let waits = missing(decide(&at, &after(6_000), 1_000 + two_hours));
    assert_eq!(waits, ["59 s of its bake time"], "the wall clock jumped ahead");
    let over = decide(&at, &after(65_000), 0);
    assert_eq!(over, Next::Move(PlanMove::Take(1)), "the wall clock jumped back");
}

#[test]
fn a_step_needs_its_bake_time_and_its_evidence_and_says_what_is_missing_until_when() {
    let at = taken(plan(), 1);
    assert_eq!(decide(&taken(plan(), 0), &seen(None), 0), Next::Move(PlanMove::Take(0)));
    let Next::Wait(waits) = decide(&at, &seen(Some(shown(Some(70)))), 31_000) else { panic!() };
    assert_eq!(
        waits[0],
        Missing { what: "30 s of its bake time".to_owned(), until_ms: Some(61_000), by: Brought::Time }
    );
    assert_eq!(waits[1].what, "70 more write calls to the target");
    assert_eq!(waits[1].until_ms, Some(90_000));
    let good = seen(Some(shown(Some(0))));
    assert_eq!(decide(&at, &good, 61_000), Next::Move(PlanMove::Take(1)));
    let unsettled = Observed { settled: false, ..good.clone() };
    assert!(missing(decide(&at, &unsettled, u64::MAX))[0].contains("every live instance"));
    let why = vec![Missing::open("i-1 to acknowledge revision 7".to_owned())];
    let unsettled = Observed { unsettled: why, ..unsettled };
    assert!(missing(decide(&at, &unsettled, u64::MAX))[0].contains("i-1"));
    assert_eq!(decide(&taken(of(vec![step(Rung::Dual, 5)]), 1), &good, 61_000), Next::Move(PlanMove::Finish));
}

#[test]
fn what_a_restart_has_to_know_is_written_down_first() {
    let good = seen(Some(shown(Some(0))));
    let mut at = taken(plan(), 1);
    at.taken[0].settled_at_ms = None;
    assert_eq!(decide(&at, &good, 2_000), Next::Move(PlanMove::Settle(1)));
    assert_eq!(missing(outlook(&at, &good, 2_000)), ["60 s of its bake time"], "people need not know");
    at.taken[0].settled_at_ms = Some(1_000);
    assert_eq!(decide(&at, &good, 2_000), Next::Move(PlanMove::Show(1)));
    at.taken[0].shown_at_ms = Some(2_000);
    assert_eq!(missing(decide(&at, &good, 2_000)), ["59 s of its bake time"]);
    // The guards start over: what was shown remains valid until something fails.
    let anew = seen(Some(shown(Some(4_000))));
    assert_eq!(decide(&at, &anew, 61_000), Next::Move(PlanMove::Take(1)));
    let silent = seen(Some(Standing { certificates: Vec::new(), ..shown(None) }));
    assert_eq!(decide(&at, &silent, 61_000), Next::Move(PlanMove::Take(1)));
    let mut failed = shown(Some(4_000));
    failed.certificates[0].bad = 1;
    assert_eq!(missing(decide(&at, &seen(Some(failed)), 61_000)), ["4000 more write calls to the target"]);
}

#[test]
fn no_data_never_advances_a_step_that_has_to_show_something() {
    let at = taken(plan(), 1);
    assert!(missing(decide(&at, &seen(None), u64::MAX))[0].contains("no data"));
    let silent = seen(Some(Standing { certificates: Vec::new(), ..shown(None) }));
    assert!(missing(decide(&at, &silent, u64::MAX))[0].contains("nothing has called"));
    let rules = Rules { when_blind: WhenBlind::Pause, ..Rules::default() };
    let strict = taken(Plan::of(plan().steps().to_vec(), rules).unwrap(), 1);
    assert_eq!(decide(&strict, &silent, 61_000), Next::Move(PlanMove::Pause(1)));
    assert!(matches!(decide(&strict, &silent, 60_000), Next::Wait(_)), "not before it has lasted");
    let restarted = Observed { hearing_since_ms: 100_000, ..silent.clone() };
    assert!(matches!(decide(&strict, &restarted, 109_999), Next::Wait(_)), "nobody could report yet");
    assert_eq!(decide(&strict, &restarted, 110_000), Next::Move(PlanMove::Pause(1)));

    let crashed = |silent_ms| {
        let blocks = vec![Block::NobodyReports { instances: 1, silent_ms }];
        seen(Some(Standing { blocks, ..shown(Some(0)) }))
    };
    assert!(missing(decide(&strict, &crashed(20_000), 61_000))[0].contains("none of 1 instances"));
    assert_eq!(decide(&strict, &crashed(30_000), 61_000), Next::Move(PlanMove::Pause(1)));
    let gone =
        seen(Some(Standing { blocks: vec![Block::InstancesGone { gone: 13, live: 27 }], ..shown(Some(0)) }));
    assert!(missing(decide(&strict, &gone, 61_000))[0].starts_with("13 of 40 instances"));

    let lenient = taken(of(vec![Step { evidence: Proof::None, ..step(Rung::Dual, 5) }]), 1);
    assert_eq!(decide(&lenient, &seen(None), 61_000), Next::Move(PlanMove::Finish));
    let suspected =
        seen(Some(Standing { blocks: vec![Block::InstancesGone { gone: 13, live: 27 }], ..shown(Some(0)) }));
    assert!(matches!(decide(&lenient, &suspected, 61_000), Next::Wait(_)));
    assert!(matches!(decide(&taken(plan(), 0), &suspected, 61_000), Next::Wait(_)), "nor the first");
}

#[test]
fn a_trip_and_a_pause_hold_it_and_an_approval_is_for_one_step() {
    let good = seen(Some(shown(Some(0))));
    let at = taken(plan(), 2);
    assert_eq!(missing(decide(&at, &good, 61_000)), ["the approval of step 3"]);
    let approved = PlanState { approved: 3, ..at };
    assert_eq!(decide(&approved, &good, 61_000), Next::Move(PlanMove::Take(2)));
    let misses = Standing { miss_upper: 0.02, ..shown(Some(0)) };
    assert!(missing(decide(&approved, &seen(Some(misses)), 61_000))[0].contains("2.000 %"));
    let held = [
        Observed { tripped: true, ..good.clone() },
        Observed { paused: Some("by operator:ada: incident 17".to_owned()), ..good.clone() },
        Observed { in_place: 1, ..good.clone() },
    ];
    for (held, part) in held.iter().zip([
        "cutover ack",
        "by operator:ada: incident 17. To continue: cutover resume orders",
        "took step 2 back",
    ]) {
        let Next::Held(why) = decide(&approved, held, 61_000) else { panic!("{held:?}") };
        assert!(why.contains(part), "{why}");
    }
    let over = |status| decide(&PlanState { status, ..approved.clone() }, &good, 61_000);
    assert_eq!(over(PlanStatus::Done), Next::Done);
    assert!(matches!(over(PlanStatus::Ended), Next::Held(_)));
    assert!(matches!(over(PlanStatus::Stopped), Next::Held(_)));
}

#[test]
fn a_skipped_step_lacks_neither_time_nor_evidence_but_what_a_guard_suspects_and_who_is_behind() {
    let mut at = taken(plan(), 1);
    at.taken[0].skipped = Some("known".to_owned());
    assert_eq!(decide(&at, &seen(None), 2_000), Next::Move(PlanMove::Take(1)));
    let suspected = Standing { blocks: vec![Block::Tripped], ..shown(None) };
    assert_eq!(missing(decide(&at, &seen(Some(suspected)), 2_000)).len(), 1);
    let behind = Observed { settled: false, ..seen(None) };
    assert!(missing(decide(&at, &behind, 2_000))[0].contains("every live instance"));
}

#[test]
fn a_closed_window_is_waited_for_until_it_opens() {
    // 1 January 1970 was a Thursday.
    let windows = ChangeWindows {
        time_zone: String::new(),
        open: vec![ChangeWindow { days: 0b1000, from_min: 60, upto_min: 120 }],
    };
    let plan = Plan::of(plan().steps().to_vec(), Rules { windows, ..Rules::default() }).unwrap();
    let opens = Missing {
        what: "its change window to open".to_owned(),
        until_ms: Some(3_600_000),
        by: Brought::Time,
    };
    assert_eq!(decide(&taken(plan.clone(), 0), &seen(None), 5), Next::Wait(vec![opens]));
    assert_eq!(decide(&taken(plan, 0), &seen(None), 3_600_000), Next::Move(PlanMove::Take(0)));
}

#[test]
fn every_mistake_is_told_at_once() {
    let tenant = |name| Tenant::parse(name).unwrap();
    let named = |rung, tenants| Step { part: Part::Tenants(tenants), ..step(rung, 0) };
    let steps = vec![
        step(Rung::Dual, 50),
        step(Rung::Dual, 20),
        step(Rung::TargetFirst, 10),
        step(Rung::Hold, 10),
        step(Rung::Dual, 101),
        step(Rung::Dual, 50),
        named(Rung::Mirrored, vec![tenant("acme")]),
        named(Rung::Dual, vec![tenant("globex")]),
        named(Rung::Mirrored, vec![tenant("globex")]),
        named(Rung::Mirrored, Vec::new()),
        named(Rung::Dual, vec![tenant("globex")]),
    ];
    let wrong = Plan::of(steps, Rules::default()).unwrap_err();
    let told: Vec<_> = wrong.iter().map(|wrong| (wrong.field.as_str(), wrong.message.as_str())).collect();
    let expected = [
        ("steps[2]", "goes down"),
        ("steps[3]", "put mirrored 10 before it"),
        ("steps[4]", "has no share"),
        ("steps[5]", "over 100 %"),
        ("steps[6]", "changes nothing"),
        ("steps[7]", "tenant acme jumps"),
        ("steps[10]", "names no tenant"),
        ("steps[11]", "tenant globex is at mirrored"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((field, message), (step, part)) in told.into_iter().zip(expected) {
        assert!(field == step && message.contains(part), "{field}: {message}");
    }
    assert_eq!(Plan::of(Vec::new(), Rules::default()).unwrap_err()[0].field, "steps");
}
