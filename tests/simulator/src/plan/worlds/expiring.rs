//! Records that expire, up and back around target-only.

use cutover_client::routing::Rung;

use super::{NOW, TO_MIRRORED, TO_TARGET_FIRST, TO_TARGET_ONLY, aim, out_of_reach, writes};
use crate::{
    cast::{
        operator::{Ask, Cue, Then},
        traffic::Records,
    },
    plan::Plan,
    play::hazard::{Hazard, Reach, When},
    world::{MS, S},
};

/// Records live for three minutes at least, so people stay at target-only for longer. Most records are used for some
/// seconds only: what was written before the step is written once more after it, and never again.
pub(in crate::plan) fn expiring(plan: Plan) -> Plan {
    const LONG: Cue = Cue(Ask::Nothing, Then::After(240_000));
    const SCRIPT: &[Cue] = &[
        TO_MIRRORED,
        TO_TARGET_FIRST,
        Cue(Ask::Nothing, Then::Pause(8_000)),
        TO_TARGET_ONLY,
        LONG,
        // Somebody starts one by mistake.
        Cue(Ask::FullPass, Then::After(10_000)),
        TO_TARGET_FIRST,
        TO_MIRRORED,
        LONG,
        TO_TARGET_FIRST,
        TO_MIRRORED,
    ];
    let stops =
        Hazard::FreezeInCall { store: Some(0), is_write: true, span: (5 * S, 40 * S), held_back: false };
    let calm_from = 640 * S;
    Plan {
        expires: true,
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        think_ms: 400,
        skew_most: 500 * MS,
        records: Records { tenants: 3, keys: 2, fresh: 12 * S, fresh_share: 110 },
        patience: 40 * S,
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![writes(1, 50_000, 100_000, (200 * MS, 2 * S))]),
            aim(When::Up(&[Rung::TargetOnly]), 400_000, NOW, vec![out_of_reach(Reach::Sends, (S, 30 * S))]),
            // It stays at target-first until what others write at target-only has expired.
            aim(
                When::Up(&[Rung::TargetOnly]),
                400_000,
                NOW,
                vec![out_of_reach(Reach::Sends, (220 * S, 240 * S))],
            ),
            // Its put to the target comes long after the one to the source.
            aim(When::Up(&[Rung::TargetFirst]), 800_000, (MS, 5 * S), vec![stops]),
        ],
        script: SCRIPT,
        ..plan
    }
}
