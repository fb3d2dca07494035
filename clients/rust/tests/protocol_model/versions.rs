//! Two holders of a writer slot may stamp the same version.

use cutover_client::routing::{
    Level::Linearizable,
    Rung::{Mirrored, SourceOnly, TargetFirst, TargetOnly},
};

use crate::{
    check::{holds_deep, missed},
    coverage::Branch,
    mutation::Omission,
    scenario::{BOTH, NONE, PLAIN, Scenario},
    state::Budget,
};

#[test]
fn the_version_of_an_earlier_holder_is_taken_for_its_own() {
    for rung in [SourceOnly, Mirrored, TargetOnly] {
        let budget = Budget { reads: 1, puts: 1, ..NONE };
        missed(Omission::OthersVersion, Scenario { rung, stores: BOTH, repeats: true, budget, ..PLAIN });
    }
}

#[test]
fn versions_of_an_earlier_holder_are_stamped_again() {
    let budget = Budget { reads: 1, puts: 2, passes: 2, lost: 1, ..NONE };
    let scenario = Scenario {
        level: Linearizable,
        rung: TargetFirst,
        stores: BOTH,
        repeats: true,
        steps: &[TargetOnly, TargetFirst, Mirrored],
        budget,
        expected: &[
            Branch::PresentAtFirst,
            Branch::Indeterminate,
            Branch::Reversed,
            Branch::AcknowledgedByBoth,
        ],
        ..PLAIN
    };
    holds_deep(scenario, Budget { late: 1, ..budget });
}
