//! Controllers that share a store.

use cutover_proto::v1;
use rand::{RngExt as _, rngs::SmallRng};

use super::{A_MOMENT, NOW, TO_MIRRORED, TO_SOURCE_ONLY, TO_TARGET_FIRST, TO_TARGET_ONLY, aim, out_of_reach};
use crate::{
    cast::operator::{Ask, Cue, Then},
    plan::{Fault, Plan},
    play::{
        hazard::{Hazard, Reach, When},
        replicas::Trouble,
    },
    world::{MS, S},
};

/// The leader is killed, stands still or loses the store at a step. In half of the seeds there are callers of `Decide`, whose
/// steps take long.
pub(in crate::plan) fn replicas(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        A_MOMENT,
        Cue(Ask::RollBack, Then::Arrive),
        TO_MIRRORED,
        TO_TARGET_FIRST,
        TO_TARGET_ONLY,
        TO_SOURCE_ONLY,
    ];
    let callers = random.random_range(0..=1);
    let calm_from = (70 + 60 * callers) * S;
    let leader = |trouble| vec![Hazard::Leader(trouble)];
    let late = Trouble::LateAnswers { latency: (600 * MS, 950 * MS), late: 4 * S, span: (4 * S, 8 * S) };
    let others = [
        Fault::Partition,
        Fault::Cut,
        Fault::KillController,
        Fault::FreezeController,
        Fault::ControlStoreFails,
        Fault::BadNetwork,
        Fault::ClockJump,
        Fault::KillService,
    ];
    let mut faults: Vec<_> = others.into_iter().filter(|_| random.random_ratio(1, 3)).collect();
    let fence_after_ms = if random.random() { random.random_range(3_000..9_000) } else { 0 };
    // A service that reports seldom says at once to a new leader what it has acknowledged. A killed one never does.
    let reports_seldom = fence_after_ms == 0 && random.random();
    faults.retain(|fault| *fault != Fault::KillService || !reports_seldom);
    let last = calm_from - 100 * MS;
    let kill_last = aim(
        When::Beginning,
        if reports_seldom { 1_000_000 } else { 0 },
        (last, last),
        leader(Trouble::Kill { down: (S, 2 * S) }),
    );
    let no_beats = Trouble::NoBeats { latency: (500 * MS, 950 * MS), span: 6 * S };
    Plan {
        controllers: 3,
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        callers: callers as usize,
        think_ms: 120,
        patience: 40 * S,
        gain_most_ppm: [0, 24_000][random.random_range(0..2)],
        freeze_most: [4 * S, 30 * S][random.random_range(0..2)],
        policy: v1::Policy { fence_after_ms, ..plan.policy.clone() },
        faults,
        every: 8 * S,
        reports_every: if reports_seldom { 8 * S } else { 0 },
        aims: vec![
            aim(When::Any, 100_000, NOW, leader(Trouble::Kill { down: (50 * MS, 8 * S) })),
            aim(When::Any, 100_000, (MS, 200 * MS), leader(Trouble::Kill { down: (50 * MS, 8 * S) })),
            aim(When::Any, 150_000, (MS, 200 * MS), leader(Trouble::Freeze { span: (S, 6 * S) })),
            aim(When::Any, 150_000, (MS, 200 * MS), leader(Trouble::Freeze { span: (13 * S, 35 * S) })),
            aim(When::Any, 150_000, (MS, S), leader(Trouble::CutOff { span: (500 * MS, 12 * S) })),
            aim(When::Any, 100_000, (MS, S), leader(late)),
            aim(When::Any, 100_000, (MS, S), leader(no_beats)),
            kill_last,
            aim(When::Any, 200_000, NOW, vec![out_of_reach(Reach::Sends, (300 * MS, 5 * S))]),
        ],
        script: SCRIPT,
        ..plan
    }
}
