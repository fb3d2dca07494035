//! A plan is run against generated traffic, and the rules that a controller uses.

use cutover::{
    domain::{
        Tenant,
        plan::{OnTrip, Part, Plan, Proof, Rules, Step},
    },
    simulation::{Demand, End, Fault, Played, Rehearsal, rehearse},
};
use cutover_core::routing::Rung;

const MINUTE_MS: u64 = 60_000;

fn ramp() -> Plan {
    let step =
        |rung, part| Step { rung, part, bake_ms: 10 * MINUTE_MS, evidence: Proof::Guards, approval: true };
    let share = |rung, percent: u32| step(rung, Part::Share(percent * 10_000));
    let acme = Part::Tenants(vec![Tenant::parse("acme").unwrap()]);
    let steps = vec![
        share(Rung::Dual, 100),
        share(Rung::Mirrored, 100),
        step(Rung::TargetFirst, acme),
        share(Rung::TargetFirst, 50),
        share(Rung::TargetFirst, 100),
    ];
    Plan::of(steps, Rules { on_trip: OnTrip::End, ..Rules::default() }).unwrap()
}

fn played(fault: Fault, at_step: usize, seed: u64) -> Played {
    let after_ms = 10_000;
    let what = Rehearsal {
        fault,
        at_step,
        after_ms,
        demand: Demand::MadeUp { calls_per_s: 2_000.0 },
        shadow: 0.01,
        instances: 10,
        seed,
    };
    rehearse(&ramp(), &what).unwrap()
}

#[test]
fn all_well_it_goes_to_its_end_and_each_step_lasts_its_time() {
    for seed in 1..=5 {
        let played = played(Fault::None, 5, seed);
        assert_eq!(played.end, End::Done { unnoticed: false });
        assert_eq!(played.taken_ms.len(), 5);
        assert!(played.taken_ms.windows(2).all(|pair| pair[1] >= pair[0] + 10 * MINUTE_MS), "{played:?}");
    }
    assert_eq!(played(Fault::None, 5, 3), played(Fault::None, 5, 3), "the same seed plays the same");
}

#[test]
fn a_fault_trips_soon_and_what_would_have_come_of_it_is_told() {
    for seed in 1..=5 {
        let End::Tripped { step, after_ms: Some(after_ms), told } =
            played(Fault::TargetErrors(1.0), 4, seed).end
        else {
            panic!()
        };
        assert_eq!(step, 4);
        assert!((100..=2_000).contains(&after_ms), "{after_ms}");
        assert!(
            told[0].contains("rolled back to dual") && told[1].contains("the plan ends at step 4"),
            "{told:?}"
        );
    }
    let End::Tripped { step: 4, told, .. } = played(Fault::BothErrors(1.0), 4, 1).end else { panic!() };
    assert!(told[0].starts_with("paused") && told[0].contains("the source fails as well"), "{told:?}");
    assert!(matches!(played(Fault::Misses(0.2), 5, 1).end, End::Tripped { step: 5, .. }));
}

#[test]
fn what_is_borne_goes_unnoticed_and_what_is_too_little_is_waited_for() {
    assert_eq!(played(Fault::TargetErrors(0.000_1), 4, 1).end, End::Done { unnoticed: true });
    let what = Rehearsal {
        fault: Fault::None,
        at_step: 1,
        after_ms: 0,
        demand: Demand::MadeUp { calls_per_s: 1.0 },
        shadow: 0.01,
        instances: 1,
        seed: 1,
    };
    let quiet = rehearse(&ramp(), &what).unwrap();
    let End::Waits { step: 1, missing } = quiet.end else { panic!("{quiet:?}") };
    assert!(missing.iter().any(|what| what.contains("more write calls")), "{missing:?}");
}
