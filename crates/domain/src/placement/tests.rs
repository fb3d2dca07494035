//! Merged placements permit no step that their parts do not permit.

use cutover_core::routing::{Level, Rung};
use proptest::prelude::*;

use super::*;

const RUNGS: [Rung; 6] =
    [Rung::SourceOnly, Rung::Dual, Rung::Mirrored, Rung::Hold, Rung::TargetFirst, Rung::TargetOnly];

/// A placement after a random sequence of steps.
fn placement() -> impl Strategy<Value = Placement> {
    let wanted = prop::sample::select(vec![
        Rung::SourceOnly,
        Rung::Dual,
        Rung::Mirrored,
        Rung::TargetFirst,
        Rung::TargetOnly,
    ]);
    prop::collection::vec((wanted, 1..4_u64), 1..8).prop_map(|way| {
        let mut at = Placement::START;
        let mut revision = 0;
        for (wanted, later) in way {
            revision += later;
            if let Some(next) = at.next(wanted.max(at.floor), Level::Linearizable) {
                at = at.stepped(next, revision, revision * 10);
            }
        }
        at
    })
}

/// Whether every step of `one` requires at least as much as the same step of `other`.
fn as_strict(one: &Placement, other: &Placement) -> Result<(), TestCaseError> {
    let strictness = |wait: Wait| match wait {
        Wait::Nothing => 0,
        Wait::Received => 1,
        Wait::Quiesced => 2,
    };
    for next in RUNGS.into_iter().filter(|next| *next != one.rung) {
        let (own, others) = (one.wait_for(next), other.wait_for(next));
        prop_assert!(strictness(own) >= strictness(others), "{one:?} to {next} waits less than {other:?}");
    }
    let no_earlier = |own: u64, others: u64| own >= others && (own == 0) == (others == 0);
    prop_assert!(one.since >= other.since);
    prop_assert!(no_earlier(one.mirrored_since, other.mirrored_since), "{one:?} {other:?}");
    prop_assert!(no_earlier(one.target_first_since, other.target_first_since), "{one:?} {other:?}");
    prop_assert!(no_earlier(one.target_first_at_ms, other.target_first_at_ms), "{one:?} {other:?}");
    prop_assert!(one.target_only_at_ms >= other.target_only_at_ms);
    prop_assert_eq!((one.rung, one.floor), (other.rung, other.floor));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn who_joins_while_a_step_is_unsettled_gains_nothing(own in placement(), band in placement()) {
        if own.may_join(&band, false) {
            as_strict(&band, &own)?;
        }
    }

    #[test]
    fn who_joins_when_all_is_settled_gains_only_what_is_acknowledged(own in placement(), band in placement()) {
        if own.may_join(&band, true) {
            // Whatever the wait was, it is over: no rung but this one is live.
            let since = if own.floor == Rung::SourceOnly { own.since } else { band.since };
            as_strict(&Placement { was: own.was, since, ..band }, &own)?;
        }
    }

    #[test]
    fn bands_that_are_joined_by_force_wait_for_the_stricter_of_both(one in placement(), other in placement()) {
        if let Some(joined) = one.joined(&other) {
            as_strict(&joined, &one)?;
            as_strict(&joined, &other)?;
        }
    }
}

#[test]
fn a_floor_is_never_joined_away_or_given_to_others() {
    let at_source = Placement { rung: Rung::TargetFirst, ..Placement::START };
    let came_back = Placement { floor: Rung::TargetFirst, ..at_source };
    assert!(at_source.joined(&came_back).is_none());
    assert!(!at_source.may_join(&came_back, true), "its reads would not fall back to the source");
    assert!(!came_back.may_join(&at_source, true), "it could go below its floor");
}

#[test]
fn more_bands_than_fit_are_joined_without_an_undo_that_need_not_wait() {
    let mut bands = Bands::default();
    let width = PPM / 200;
    for at in 0..100_u32 {
        // Every second one comes from below; the others go back to it.
        let was = if at.is_multiple_of(2) { Rung::SourceOnly } else { Rung::TargetFirst };
        let placement = Placement { rung: Rung::Mirrored, was, since: u64::from(at) + 1, ..Placement::START };
        let (start, end) = (at * width, (at + 1) * width);
        bands = bands.map(
            &[start, end],
            |from, before| {
                if (start..end).contains(&from) { placement } else { before }
            },
        );
    }
    let count = bands.pieces(&[]).count();
    assert!(count <= BANDS_MAX, "{count} bands");
    let joined = bands.of(0);
    assert_eq!((joined.rung, joined.was), (Rung::Mirrored, Rung::Mirrored));
    assert_eq!(joined.wait_for(Rung::SourceOnly), Wait::Received);
}
