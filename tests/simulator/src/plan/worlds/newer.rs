//! A target that somebody else writes, and processes that succeed others.

use cutover_client::routing::Rung;
use cutover_proto::v1::{self, Rung as Stage};
use rand::{RngExt as _, rngs::SmallRng};

use super::{
    A_MOMENT, ANY_UP, NOW, TO_MIRRORED, TO_SOURCE_ONLY, TO_TARGET_FIRST, TO_TARGET_ONLY, aim, out_of_reach,
};
use crate::{
    cast::{
        operator::{Ask, Cue, Then},
        traffic::Records,
    },
    data::Writes,
    plan::{Fault, Plan},
    play::hazard::{Hazard, Reach, When},
    world::{MS, S},
};

/// Workers are killed or stand still, and their writes are slow or land late. Services write the same few records.
pub(in crate::plan) fn repairs(plan: Plan, random: &mut SmallRng) -> Plan {
    const SOMEBODY_WRITES: Cue = Cue(Ask::ForeignWrite { ahead: true }, Then::Next);
    const REPAIRED: Cue = Cue(Ask::Repair, Then::Repaired);
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        TO_MIRRORED,
        SOMEBODY_WRITES,
        REPAIRED,
        TO_TARGET_FIRST,
        A_MOMENT,
        TO_MIRRORED,
        SOMEBODY_WRITES,
        SOMEBODY_WRITES,
        REPAIRED,
        TO_TARGET_ONLY,
        A_MOMENT,
        // Refused: the target has what the source lacks.
        Cue(Ask::Repair, Then::Pause(3_000)),
        TO_MIRRORED,
    ];
    // Its worker stands still, and the tenants go on without it.
    const CANCELED: &[Cue] = &[
        TO_TARGET_FIRST,
        TO_MIRRORED,
        Cue(Ask::ForeignWrite { ahead: false }, Then::Next),
        Cue(Ask::ForeignWrite { ahead: false }, Then::Next),
        Cue(Ask::Repair, Then::Begun),
        Cue(Ask::Nothing, Then::Pause(4_000)),
        // What is left could be anything: no pass that copies sees other content of the same version.
        Cue(Ask::CancelRepair, Then::Overwritten),
        TO_TARGET_ONLY,
        Cue(Ask::Nothing, Then::Pause(30_000)),
        TO_MIRRORED,
        // A reverse pass takes them there.
        Cue(Ask::Nothing, Then::Pause(20_000)),
    ];
    let is_canceled = random.random_ratio(1, 3);
    let residual = 4 * S;
    let writes = Writes { refused_ppm: 0, slow_ppm: 400_000, slow: (100 * MS, 2 * S) };
    let late_ppm = if random.random() { 150_000 } else { 0 };
    let target = Hazard::Writes { store: 1, writes, late_ppm, hanging_ppm: 500_000, span: 1_000 * S };
    let calm_from = if is_canceled { 180 * S } else { 120 * S };
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        residual,
        drain: residual,
        lanes: 1,
        think_ms: random.random_range(200..=500),
        records: Records { keys: 4, ..plan.records },
        // Side by side, or each store by itself.
        on_target: random.random_range(0..=1),
        policy: v1::Policy {
            fence_after_ms: if is_canceled || random.random() { 3_000 } else { 0 },
            ..plan.policy.clone()
        },
        faults: if is_canceled { Vec::new() } else { vec![Fault::DisturbWorker] },
        every: 8 * S,
        freeze_most: 15 * S,
        patience: 30 * S,
        aims: vec![aim(When::Beginning, 1_000_000, NOW, vec![target])],
        script: if is_canceled { CANCELED } else { SCRIPT },
        ..plan
    }
}

/// A service is out of reach, and lives. Another one is started from its file, or from a copy.
pub(in crate::plan) fn successors(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        TO_SOURCE_ONLY,
        Cue(Ask::Ramp(Stage::Mirrored), Then::Arrive),
        TO_TARGET_ONLY,
        TO_MIRRORED,
    ];
    let cut = out_of_reach(Reach::Neither, (12 * S, 20 * S));
    let stand_in = Hazard::StandIn { is_copy: random.random(), after: (100 * MS, 3 * S) };
    let calm_from = 60 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        persist: true,
        persist_for: 20 * S,
        patience: 40 * S,
        aims: vec![aim(ANY_UP, 500_000, NOW, vec![cut, stand_in])],
        script: SCRIPT,
        ..plan
    }
}

/// A service with a fence is out of reach at target-first. A rollback goes on without it, and the controller that knows that is
/// killed. The service hears from the next one before it learns where the others are.
pub(in crate::plan) fn left_behind(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] =
        &[TO_TARGET_FIRST, Cue(Ask::Nothing, Then::Pause(4_000)), Cue(Ask::RollBack, Then::Arrive), A_MOMENT];
    let network = Hazard::Network { latency: (5 * MS, 250 * MS), lost_ppm: 0 };
    let cut = out_of_reach(Reach::Neither, (11 * S, 15 * S));
    let killed = Hazard::KillController { down: (50 * MS, 500 * MS) };
    let calm_from = 120 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        think_ms: 20,
        patience: 40 * S,
        policy: v1::Policy { fence_after_ms: random.random_range(3_000..6_000), ..plan.policy.clone() },
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![network]),
            aim(When::Up(&[Rung::TargetFirst]), 900_000, (S, 3 * S), vec![cut]),
            aim(When::Down(&[Rung::Dual, Rung::SourceOnly]), 700_000, (MS, S), vec![killed]),
        ],
        script: SCRIPT,
        ..plan
    }
}

/// Callers with one slot stamp the same version above what a service has written whose clock is ahead of theirs. They
/// stay below target-only: there a put of theirs that lands late could be taken for another one's.
pub(in crate::plan) fn slots(plan: Plan) -> Plan {
    let calm_from = 60 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        callers: 2,
        one_slot: true,
        think_ms: 40,
        patience: 40 * S,
        skew_most: 5 * S,
        records: Records { keys: 2, ..plan.records },
        ..plan
    }
}

/// A service with a fence does not hear of a step, and its machine is suspended while it writes. It is counted out. When it
/// wakes up, its monotonic clock says that it has just been heard.
pub(in crate::plan) fn suspended(plan: Plan, random: &mut SmallRng) -> Plan {
    let sleeps = || Hazard::SuspendInCall { span: (13 * S, 22 * S) };
    let calm_from = 60 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        policy: v1::Policy { fence_after_ms: random.random_range(3_000..9_000), ..plan.policy.clone() },
        patience: 40 * S,
        aims: vec![
            aim(ANY_UP, 500_000, NOW, vec![out_of_reach(Reach::Sends, (500 * MS, 2 * S)), sleeps()]),
            aim(ANY_UP, 200_000, (MS, 2 * S), vec![sleeps()]),
        ],
        ..plan
    }
}
