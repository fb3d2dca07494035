//! What stays as it is until somebody says otherwise, and processes that end.

use cutover_proto::v1::{self, Rung as Stage};
use rand::{RngExt as _, rngs::SmallRng};

use super::{A_MOMENT, NOW, TO_DUAL, TO_SOURCE_ONLY, TO_TARGET_FIRST, TO_TARGET_ONLY, aim, out_of_reach};
use crate::{
    cast::{
        operator::{Ask, Cue, Then},
        traffic::Records,
    },
    plan::Plan,
    play::hazard::{Hazard, Reach, When},
    world::{MS, S},
};

/// Operators ask for another level while a tenant is pinned above source-only. Or they roll back again and again, while a
/// tenant that comes from target-only is on hold, and all the others are at source-only already.
pub(in crate::plan) fn latches(plan: Plan, random: &mut SmallRng) -> Plan {
    const OTHER_LEVEL: Cue = Cue(Ask::OtherLevel, Then::Pause(1_000));
    const UNPIN: Cue = Cue(Ask::Unpin, Then::Next);
    const LEVELS: &[Cue] = &[
        Cue(Ask::Pin(Stage::Mirrored), Then::Arrive),
        OTHER_LEVEL,
        UNPIN,
        TO_SOURCE_ONLY,
        OTHER_LEVEL,
        TO_TARGET_FIRST,
        OTHER_LEVEL,
        TO_SOURCE_ONLY,
    ];
    const ROLLBACKS: &[Cue] = &[
        TO_DUAL,
        Cue(Ask::Pin(Stage::TargetOnly), Then::Arrive),
        Cue(Ask::RollBack, Then::Arrive),
        Cue(Ask::RollBack, Then::Insist(600)),
        Cue(Ask::Acknowledge, Then::Next),
        UNPIN,
        TO_SOURCE_ONLY,
    ];
    let rolls_back = random.random();
    let (level, fence_after_ms) = match rolls_back {
        true => (v1::Level::Linearizable, random.random_range(3_000..9_000)),
        false => (v1::Level::Acknowledged, 0),
    };
    let late = out_of_reach(Reach::Sends, (S, 4 * S));
    let calm_from = 90 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        patience: 20 * S,
        records: Records { tenants: 3, keys: 2, ..plan.records },
        policy: v1::Policy { level: level.into(), fence_after_ms, ..plan.policy.clone() },
        aims: vec![aim(When::Any, 500_000, NOW, vec![late])],
        script: if rolls_back { ROLLBACKS } else { LEVELS },
        ..plan
    }
}

/// Services end while they register again, and their goodbye may be faster. Or they drop their clients and go on with the
/// migrators, and operators evict them.
pub(in crate::plan) fn goodbyes(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] = &[TO_TARGET_FIRST, A_MOMENT, TO_TARGET_ONLY, A_MOMENT, TO_SOURCE_ONLY];
    let drops = random.random();
    let network = Hazard::Network { latency: (MS, 5 * MS), lost_ppm: 170_000 };
    let calm_from = 90 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        services: 3,
        same_ids: false,
        patience: 40 * S,
        aims: match drops {
            true => vec![aim(When::Any, 500_000, (MS, 3 * S), vec![Hazard::DropClient])],
            false => {
                let ends = || vec![Hazard::StopWhileRegistering { after: (0, 1_500 * MS) }];
                vec![
                    aim(When::Beginning, 1_000_000, NOW, vec![network]),
                    aim(When::Any, 1_000_000, (MS, 2 * S), ends()),
                    aim(When::Any, 500_000, (2 * S, 5 * S), ends()),
                ]
            }
        },
        script: SCRIPT,
        ..plan
    }
}
