//! What a seed makes of a run: how many processes, which faults, how often.

use cutover_client::routing::{self, Level};
use cutover_proto::v1;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    cast::traffic::Records,
    world::{S, Time},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A service is killed, and started again after a while, or never.
    KillService,
    /// A service ends in order, and is started again.
    StopService,
    /// A service stands still.
    FreezeService,
    /// The controller is killed and started again.
    KillController,
    /// The controller stands still.
    FreezeController,
    /// A caller of `Decide` stands still, or is killed.
    DisturbCaller,
    /// A worker of a pass is killed or stands still.
    DisturbWorker,
    /// Messages of a service to the controller, or back, do not pass.
    Partition,
    /// Connections to the controller break.
    Cut,
    /// Messages are late or lost.
    BadNetwork,
    /// A record store refuses everything, or is slow.
    StoreDown,
    /// Writes to a record store land late or unanswered.
    LateWrites,
    /// The controller's store fails.
    ControlStoreFails,
    /// A process' wall clock jumps.
    ClockJump,
    /// A service loses the file of its last snapshot.
    LoseFile,
    /// Tasks that call a store panic.
    Panic,
    /// The controller's store is lost, and a backup takes its place.
    Restore,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::KillService,
        Self::StopService,
        Self::FreezeService,
        Self::KillController,
        Self::FreezeController,
        Self::DisturbCaller,
        Self::DisturbWorker,
        Self::Partition,
        Self::Cut,
        Self::BadNetwork,
        Self::StoreDown,
        Self::LateWrites,
        Self::ControlStoreFails,
        Self::ClockJump,
        Self::LoseFile,
        Self::Panic,
        Self::Restore,
    ];
}

/// Everything that the seed decides before the beginning.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kinds of faults that happen.
    pub faults: Vec<Fault>,
    /// Mean time between two faults.
    pub every: Time,
    /// When faults stop.
    pub calm_from: Time,
    /// When traffic stops.
    pub quiet_from: Time,
    /// When everybody has to be where they were asked to be.
    pub end: Time,
    /// Services.
    pub services: usize,
    /// Callers of `Decide`.
    pub callers: usize,
    /// Operations of a service at a time.
    pub lanes: u64,
    /// Mean time between two operations of one lane.
    pub think_ms: u64,
    /// Mean time between two requests of operators.
    pub operator_ms: u64,
    /// Share of requests of operators that go back, in percent.
    pub back_pct: u32,
    /// Which records there are.
    pub records: Records,
    /// The migration's policy.
    pub policy: v1::Policy,
    /// Services keep their last snapshot in a file.
    pub persist: bool,
    /// A service that is started again has the id that it had.
    pub same_ids: bool,
    /// Longest freeze.
    pub freeze_most: Time,
    /// Clocks gain or lose at most so much.
    pub gain_most_ppm: i32,
    /// Services without the SDK write until then. 0: there are none.
    pub legacy_until: Time,
    /// Segments of full passes that look for what only the target has.
    pub on_target: u32,
    /// See [`Operator`](crate::cast::operator::Operator).
    pub lazy: bool,
    /// See there.
    pub plans: bool,
    /// See there.
    pub overrides: bool,
    /// See there.
    pub policies: bool,
}

impl Plan {
    /// Of a seed. With `swarm` each seed has other kinds of faults; else all have all.
    pub fn draw(seed: u64, swarm: bool) -> Self {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x9_1a4);
        let random = &mut random;
        let keep_ppm = random.random_range(1..=10) * 100_000;
        let mut faults = Fault::ALL.to_vec();
        if swarm {
            faults.retain(|_| random.random_range(0..1_000_000) < keep_ppm);
        }
        // Long freezes take long, so a run with them is rare, and slow.
        let slowness = if random.random_range(0..16) == 0 { 12 } else { 1 };
        let calm_from = random.random_range(20..=60) * slowness * S;
        // Many processes are rare, too, and each does less.
        let services: u64 = match random.random_range(0..24) {
            0 => random.random_range(5..=40),
            _ => random.random_range(2..=4),
        };
        let think_ms = random.random_range(100..=600) * slowness * services.div_ceil(4);
        let is_linearizable = random.random_range(0..3) == 0;
        let level = if is_linearizable { v1::Level::Linearizable } else { v1::Level::Acknowledged };
        let fence_after_ms = if is_linearizable || random.random_range(0..3) == 0 {
            random.random_range(3_000..9_000)
        } else {
            0
        };
        Self {
            faults,
            every: random.random_range(1..=10) * slowness * S / 2,
            calm_from,
            quiet_from: calm_from + 5 * S,
            // A step waits 11 s for callers, and a lost instance with a fence is waited for 20 s.
            end: calm_from + 110 * S,
            services: services as usize,
            // Each step waits 11 s for callers: with them, few steps are taken.
            callers: [0, 0, 0, 1, 2][random.random_range(0..5)],
            lanes: random.random_range(1..=3),
            think_ms,
            operator_ms: random.random_range(250..=1_200) * slowness.div_ceil(4),
            back_pct: random.random_range(0..30),
            records: Records { tenants: random.random_range(1..=3), keys: random.random_range(1..=2) },
            policy: v1::Policy {
                level: level.into(),
                soak_ms: 0,
                fence_after_ms,
                // At level linearizable it is refused.
                local_guard: !is_linearizable && random.random_range(0..6) == 0,
                hold_timeout_ms: 2_000,
                shadow_ppm: Some([0, 100_000, 1_000_000][random.random_range(0..3)]),
                ..Default::default()
            },
            persist: random.random_range(0..2) == 0,
            same_ids: random.random_range(0..2) == 0,
            freeze_most: [2 * S, 15 * S, 60 * S][random.random_range(0..3)]
                * if slowness > 1 { 10 } else { 1 },
            gain_most_ppm: [0, 0, 1_000, 24_000][random.random_range(0..4)],
            legacy_until: if random.random_range(0..4) == 0 { random.random_range(2..=8) * S } else { 0 },
            on_target: random.random_range(0..=1),
            lazy: random.random_range(0..3) == 0,
            plans: random.random_range(0..4) == 0,
            overrides: random.random_range(0..4) == 0,
            policies: random.random_range(0..4) == 0,
        }
    }

    /// The policy as callers of `Decide` have it from their own configuration.
    pub fn routing_policy(&self) -> routing::Policy {
        let level = match self.policy.level() {
            v1::Level::Linearizable => Level::Linearizable,
            _ => Level::Acknowledged,
        };
        routing::Policy { level, ..routing::Policy::default() }
    }
}
