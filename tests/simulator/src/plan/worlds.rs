//! The worlds of the themes: what people do there, and which faults come when.

mod expiring;
mod latches;
mod lazy;
mod newer;
mod shared;

use cutover_client::routing::Rung;
use cutover_proto::v1::{self, Rung as Stage};
use rand::{RngExt as _, rngs::SmallRng};

use super::{Fault, Plan};
use crate::{
    cast::{
        operator::{Ask, Cue, Then},
        traffic::Records,
    },
    data::Writes,
    play::hazard::{Aim, Hazard, Reach, When},
    world::{MS, S, Time},
};

pub(super) use expiring::expiring;
pub(super) use latches::{goodbyes, latches};
pub(super) use lazy::{clocks, drain, sweep};
pub(super) use newer::{left_behind, repairs, slots, successors, suspended};
pub(super) use shared::replicas;

const TO_DUAL: Cue = Cue(Ask::Ramp(Stage::Dual), Then::Arrive);
const TO_MIRRORED: Cue = Cue(Ask::Ramp(Stage::Mirrored), Then::Arrive);
const TO_TARGET_FIRST: Cue = Cue(Ask::Ramp(Stage::TargetFirst), Then::Arrive);
const TO_TARGET_ONLY: Cue = Cue(Ask::Ramp(Stage::TargetOnly), Then::Arrive);
const TO_SOURCE_ONLY: Cue = Cue(Ask::Ramp(Stage::SourceOnly), Then::Arrive);
const A_MOMENT: Cue = Cue(Ask::Nothing, Then::Pause(1_500));

pub(super) const UP_AND_BACK: &[Cue] =
    &[TO_TARGET_FIRST, TO_SOURCE_ONLY, TO_DUAL, TO_TARGET_FIRST, TO_SOURCE_ONLY];

const ANY_UP: When = When::Up(&[Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly]);

const fn aim(when: When, ppm: u32, after: (Time, Time), hazards: Vec<Hazard>) -> Aim {
    Aim { when, ppm, after, hazards }
}

const fn out_of_reach(reach: Reach, span: (Time, Time)) -> Hazard {
    Hazard::Partition { reach, span }
}

/// All the time.
const fn writes(store: usize, refused_ppm: u32, slow_ppm: u32, slow: (Time, Time)) -> Hazard {
    let writes = Writes { refused_ppm, slow_ppm, slow };
    Hazard::Writes { store, writes, late_ppm: 0, hanging_ppm: 0, span: 1_000 * S }
}

const NOW: (Time, Time) = (0, 0);

pub(super) fn steps(plan: Plan) -> Plan {
    Plan {
        residual: 4 * S,
        drain: 4 * S,
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![writes(0, 0, 250_000, (100 * MS, 2_500 * MS))]),
            aim(When::Beginning, 500_000, NOW, vec![writes(1, 150_000, 100_000, (50 * MS, S))]),
            aim(ANY_UP, 400_000, NOW, vec![out_of_reach(Reach::Neither, (100 * MS, 5 * S))]),
        ],
        ..plan
    }
}

pub(super) fn lost(plan: Plan) -> Plan {
    Plan {
        patience: 40 * S,
        aims: vec![aim(ANY_UP, 400_000, NOW, vec![out_of_reach(Reach::Neither, (12 * S, 20 * S))])],
        ..plan
    }
}

pub(super) fn fence(plan: Plan, random: &mut SmallRng) -> Plan {
    let network = Hazard::Network { latency: (MS, 80 * MS), lost_ppm: 300_000 };
    let slow_link = Hazard::SlowLink { latency: (10 * MS, 800 * MS), span: 25 * S };
    let stops =
        Hazard::FreezeInCall { store: None, is_write: true, span: (13 * S, 22 * S), held_back: false };
    let calm_from = 60 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        policy: v1::Policy { fence_after_ms: random.random_range(3_000..9_000), ..plan.policy.clone() },
        patience: 40 * S,
        aims: vec![
            aim(When::Beginning, 500_000, NOW, vec![network]),
            aim(ANY_UP, 400_000, NOW, vec![out_of_reach(Reach::Sends, (500 * MS, 2 * S)), stops]),
            // Nor does it hear, for a moment after it is back, how far the others have come.
            aim(ANY_UP, 300_000, NOW, vec![out_of_reach(Reach::Neither, (13 * S, 20 * S)), slow_link]),
        ],
        ..plan
    }
}

pub(super) fn files(plan: Plan, random: &mut SmallRng) -> Plan {
    let alone = |stops, after| Hazard::Alone { stops, after, span: (5 * S, 12 * S) };
    let is_slow = random.random();
    Plan {
        persist: true,
        persist_for: if is_slow { 20 * S } else { 5 * S },
        disk_most: if is_slow { 2 * S } else { 0 },
        patience: 25 * S,
        aims: match is_slow {
            // It acknowledges what it has not written down.
            true => vec![aim(ANY_UP, 600_000, (10 * MS, S), vec![alone(false, (MS, 500 * MS))])],
            false => vec![
                aim(ANY_UP, 250_000, (MS, S), vec![alone(true, (MS, S))]),
                aim(ANY_UP, 250_000, (MS, S), vec![alone(true, (8 * S, 16 * S))]),
            ],
        },
        ..plan
    }
}

pub(super) fn callers(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        A_MOMENT,
        Cue(Ask::RollBack, Then::Arrive),
        TO_MIRRORED,
        TO_TARGET_FIRST,
        TO_SOURCE_ONLY,
    ];
    let calm_from = 100 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        callers: 1,
        think_ms: 120,
        patience: 40 * S,
        aims: vec![aim(
            When::Any,
            500_000,
            (MS, 200 * MS),
            vec![Hazard::KillController { down: (50 * MS, 500 * MS) }],
        )],
        script: SCRIPT,
        ..plan
    }
}

pub(super) fn overrides(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_MIRRORED,
        A_MOMENT,
        TO_SOURCE_ONLY,
        A_MOMENT,
        Cue(Ask::PinEmpty(Stage::TargetFirst), Then::Next),
        TO_TARGET_FIRST,
        Cue(Ask::PinEmpty(Stage::TargetOnly), Then::Next),
        TO_TARGET_ONLY,
        Cue(Ask::UnpinEmpty, Then::Next),
        TO_SOURCE_ONLY,
    ];
    Plan { lanes: 1, think_ms: 200, records: Records { keys: 6, ..plan.records }, script: SCRIPT, ..plan }
}

/// A tenant that has just left target-first joins neighbors who came up: their way back waits for nobody.
pub(super) fn pins(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_MIRRORED,
        Cue(Ask::Pin(Stage::TargetFirst), Then::Arrive),
        TO_DUAL,
        Cue(Ask::Unpin, Then::Next),
        Cue(Ask::Ramp(Stage::Mirrored), Then::Next),
        Cue(Ask::Ramp(Stage::Dual), Then::Pause(2_000)),
        Cue(Ask::Ramp(Stage::SourceOnly), Then::Arrive),
    ];
    let late = out_of_reach(Reach::Sends, (S, 6 * S));
    Plan {
        services: 3,
        records: Records { keys: 2, ..plan.records },
        aims: vec![aim(When::Down(&[Rung::Mirrored]), 800_000, NOW, vec![late])],
        script: SCRIPT,
        ..plan
    }
}

pub(super) fn target_only(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        TO_TARGET_ONLY,
        A_MOMENT,
        TO_TARGET_FIRST,
        TO_MIRRORED,
        A_MOMENT,
        TO_TARGET_ONLY,
        TO_SOURCE_ONLY,
    ];
    let stops = Hazard::FreezeInCall { store: Some(1), is_write: true, span: (S, 8 * S), held_back: true };
    let cut_off = Hazard::CutOff { store: 1, span: 2 * S };
    Plan {
        residual: 3 * S,
        drain: 11 * S,
        skew_most: 5 * S,
        records: Records { fresh: 1_500 * MS, ..plan.records },
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![writes(1, 50_000, 250_000, (200 * MS, 2 * S))]),
            aim(
                When::Up(&[Rung::TargetOnly]),
                500_000,
                NOW,
                vec![out_of_reach(Reach::Sends, (300 * MS, 5 * S))],
            ),
            aim(When::Up(&[Rung::TargetOnly]), 500_000, (MS, 2 * S), vec![cut_off]),
            aim(When::Down(&[Rung::TargetFirst]), 600_000, (MS, 300 * MS), vec![stops]),
        ],
        script: SCRIPT,
        ..plan
    }
}

pub(super) fn local_guard(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        Cue(Ask::LocalGuard(true), Then::Next),
        TO_TARGET_FIRST,
        Cue(Ask::LocalGuard(false), Then::Next),
        // They know that every record has been copied.
        Cue(Ask::Overriding(Stage::TargetOnly), Then::Arrive),
        TO_SOURCE_ONLY,
        Cue(Ask::LocalGuard(true), Then::Next),
        TO_TARGET_FIRST,
        TO_TARGET_ONLY,
        TO_SOURCE_ONLY,
    ];
    let down = || Hazard::CutOff { store: 1, span: 12 * S };
    let cut = || out_of_reach(Reach::Neither, (14 * S, 20 * S));
    let calm_from = 80 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        lanes: 2,
        think_ms: 30,
        patience: 30 * S,
        records: Records { keys: 2, ..plan.records },
        policy: v1::Policy { local_guard: true, ..plan.policy.clone() },
        aims: vec![
            aim(When::Up(&[Rung::TargetOnly]), 400_000, NOW, vec![cut(), down()]),
            aim(When::LocalGuardOff, 500_000, NOW, vec![cut(), down()]),
        ],
        script: SCRIPT,
        ..plan
    }
}

pub(super) fn linearizable(plan: Plan, random: &mut SmallRng) -> Plan {
    const SCRIPT: &[Cue] =
        &[TO_TARGET_FIRST, A_MOMENT, TO_MIRRORED, A_MOMENT, TO_TARGET_FIRST, A_MOMENT, TO_DUAL];
    Plan {
        services: 3,
        lanes: 2,
        think_ms: random.random_range(20..=60),
        records: Records { keys: 1, fresh: S, ..plan.records },
        policy: v1::Policy {
            level: v1::Level::Linearizable.into(),
            fence_after_ms: random.random_range(3_000..9_000),
            ..plan.policy.clone()
        },
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![writes(1, 350_000, 400_000, (10 * MS, 400 * MS))]),
            aim(When::Any, 500_000, NOW, vec![out_of_reach(Reach::Sends, (50 * MS, 2 * S))]),
        ],
        script: SCRIPT,
        ..plan
    }
}

/// In half of the seeds a worker stands still while others go on without it, and services use new records only: nobody
/// writes over what it does wrong.
pub(super) fn unversioned(plan: Plan, random: &mut SmallRng) -> Plan {
    let stands_still = random.random();
    let calm_from = if stands_still { 120 * S } else { 20 * S };
    let records = match stands_still {
        true => Records { keys: 2, fresh: 3 * S, fresh_share: 130, ..plan.records },
        false => Records { keys: 8, ..plan.records },
    };
    Plan {
        lanes: 1,
        think_ms: 400,
        legacy_until: if stands_still { 9 * S } else { random.random_range(3..=6) * S },
        records,
        policy: v1::Policy { fence_after_ms: if stands_still { 3_000 } else { 0 }, ..plan.policy.clone() },
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        script: &[TO_TARGET_FIRST, TO_TARGET_ONLY],
        ..plan
    }
}

pub(super) fn silence(plan: Plan) -> Plan {
    const SCRIPT: &[Cue] = &[
        TO_TARGET_FIRST,
        Cue(Ask::Nothing, Then::Pause(4_000)),
        Cue(Ask::RollBack, Then::Arrive),
        Cue(Ask::Ramp(Stage::SourceOnly), Then::Arrive),
    ];
    let network = Hazard::Network { latency: (5 * MS, 80 * MS), lost_ppm: 50_000 };
    let stands = Hazard::FreezeController { span: (11 * S, 16 * S), later: (S, 4 * S) };
    Plan {
        calm_from: 70 * S,
        quiet_from: 72 * S,
        end: 220 * S,
        patience: 40 * S,
        aims: vec![
            aim(When::Beginning, 1_000_000, NOW, vec![network]),
            aim(When::Up(&[Rung::TargetFirst]), 900_000, (300 * MS, 2 * S), vec![stands]),
        ],
        script: SCRIPT,
        ..plan
    }
}

/// A general world with few faults, so that a restore is confirmed before something else happens.
pub(super) fn restore(plan: Plan, random: &mut SmallRng) -> Plan {
    let others =
        [Fault::KillService, Fault::StopService, Fault::Partition, Fault::StartAlone, Fault::FreezeService];
    let one = others[random.random_range(0..others.len())];
    let calm_from = 90 * S;
    Plan {
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        faults: vec![Fault::Restore, one, Fault::KillService],
        every: 8 * S,
        freeze_most: 15 * S,
        persist: random.random(),
        twins: random.random(),
        by_hand: random.random(),
        patience: 20 * S,
        script: &[],
        ..plan
    }
}
