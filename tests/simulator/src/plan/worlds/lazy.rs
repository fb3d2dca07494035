//! The way without a full pass: a sweep removes what writes at dual have left behind in the target.

use cutover_client::routing::{PPM, Rung};
use cutover_proto::v1;
use rand::{RngExt as _, rngs::SmallRng};

use super::{A_MOMENT, NOW, TO_DUAL, TO_SOURCE_ONLY, TO_TARGET_FIRST, TO_TARGET_ONLY, aim, out_of_reach};
use crate::{
    cast::{operator::Cue, traffic::Records},
    data::Writes,
    plan::Plan,
    play::hazard::{Hazard, Reach, When},
    world::{MS, S},
};

/// The target refuses writes, but some land late, and nobody waits for them.
const fn fails(late_ppm: u32) -> Hazard {
    let writes = Writes { refused_ppm: PPM - late_ppm, slow_ppm: 0, slow: (0, 0) };
    Hazard::Writes { store: 1, writes, late_ppm: PPM, hanging_ppm: 0, span: 30 * S }
}

/// Until dual is over the target takes nothing in time. Then a put from before it may land behind the sweep: one that
/// was on its way, or one of a service that stops at mirrored between its two writes, while another one still writes
/// that record at dual. Most records are used for a moment only, so nothing is written on top.
pub(in crate::plan) fn sweep(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_DUAL,
        A_MOMENT,
        TO_TARGET_FIRST,
        TO_SOURCE_ONLY,
        TO_DUAL,
        A_MOMENT,
        TO_TARGET_ONLY,
        TO_SOURCE_ONLY,
    ];
    let at_dual = When::Up(&[Rung::Dual]);
    let at_mirrored = When::Up(&[Rung::Mirrored]);
    let recovers = || vec![Hazard::Recovers { store: 1 }];
    let stops =
        Hazard::FreezeInCall { store: Some(0), is_write: true, span: (7 * S, 14 * S), held_back: false };
    let is_late = random.random();
    let residual = if is_late { 5 * S } else { 2 * S };
    Plan {
        services: if is_late { plan.services } else { 3 },
        residual,
        drain: residual,
        lazy: true,
        records: Records { keys: 1, fresh: S, fresh_share: 120, ..plan.records },
        patience: 20 * S,
        aims: match is_late {
            true => vec![
                aim(at_dual, 900_000, NOW, vec![fails(300_000)]),
                aim(at_mirrored, PPM, (MS, 500 * MS), recovers()),
            ],
            false => vec![
                aim(at_dual, 900_000, NOW, vec![fails(0)]),
                aim(at_mirrored, PPM, (S, 3 * S), recovers()),
                aim(at_mirrored, 800_000, NOW, vec![out_of_reach(Reach::Sends, (500 * MS, 2 * S))]),
                aim(at_mirrored, 800_000, (MS, 300 * MS), vec![stops]),
            ],
        },
        script: SCRIPT,
        ..plan
    }
}

/// The same, and the controller's clock jumps ahead while a sweep waits for what may still land.
pub(in crate::plan) fn clocks(plan: Plan, random: &mut SmallRng) -> Plan {
    let mut plan = sweep(plan, random);
    // The first sweep begins within a second, or once a service has heard of mirrored, and waits for several.
    let jumps = [(MS, 500 * MS), (500 * MS, 2 * S), (2 * S, 4 * S), (4 * S, 8 * S)].map(|after| {
        let jump = vec![Hazard::JumpAhead { by: 3_600 * S }];
        aim(When::Up(&[Rung::Mirrored]), 500_000, after, jump)
    });
    plan.aims.extend(jumps);
    plan
}

/// A call that is held back, of a service that is counted out meanwhile.
pub(in crate::plan) fn drain(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[TO_DUAL, A_MOMENT, TO_TARGET_FIRST, TO_SOURCE_ONLY];
    let stops =
        Hazard::FreezeInCall { store: Some(1), is_write: true, span: (12 * S, 17 * S), held_back: true };
    let calm_from = 90 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        drain: 19 * S,
        lazy: true,
        records: Records { keys: 2, fresh: 1_500 * MS, ..plan.records },
        patience: 60 * S,
        policy: v1::Policy { fence_after_ms: 3_000, ..plan.policy.clone() },
        aims: vec![
            aim(When::Up(&[Rung::Dual]), 1_000_000, NOW, vec![fails(0)]),
            aim(When::Up(&[Rung::Dual]), 800_000, (MS, 500 * MS), vec![stops]),
            aim(When::Up(&[Rung::Mirrored]), 1_000_000, (MS, 300 * MS), vec![Hazard::Recovers { store: 1 }]),
        ],
        script: SCRIPT,
        ..plan
    }
}
