//! What a seed makes of a run: how many processes, which faults, how often.

mod theme;
mod worlds;

use cutover_client::routing::{self, Level};
use cutover_proto::v1;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    cast::{operator::Cue, traffic::Records},
    play::hazard::Aim,
    world::{MS, S, Time},
};

pub use theme::Theme;

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
    /// A service stands still in the middle of an operation.
    FreezeInCall,
    /// A service is killed in the middle of an operation.
    KillInCall,
    /// Some calls to a record store take long.
    SlowCalls,
    /// A service starts while it can't reach the controller.
    StartAlone,
    /// The machine of a process is suspended: its monotonic clock stands still, and the others go on.
    Suspend,
}

impl Fault {
    /// All of them but suspends, which are drawn by themselves.
    pub const ALL: [Self; 21] = [
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
        Self::FreezeInCall,
        Self::KillInCall,
        Self::SlowCalls,
        Self::StartAlone,
    ];

    /// How often it happens at a step, compared with others.
    pub const fn aim(self) -> usize {
        match self {
            Self::ClockJump | Self::LoseFile | Self::Restore | Self::DisturbWorker => 0,
            Self::Partition | Self::SlowCalls | Self::FreezeInCall | Self::LateWrites => 3,
            _ => 1,
        }
    }
}

/// Everything that the seed decides before the beginning.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is about.
    pub theme: Theme,
    /// Kinds of faults that happen.
    pub faults: Vec<Fault>,
    /// Mean time between two faults.
    pub every: Time,
    /// Controllers: one, or several that share a store.
    pub controllers: usize,
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
    /// All callers stamp with one writer slot.
    pub one_slot: bool,
    /// Operations of a service at a time.
    pub lanes: u64,
    /// Mean time between two operations of one lane.
    pub think_ms: u64,
    /// See [`Operator`](crate::cast::operator::Operator).
    pub operator_ms: u64,
    /// See there.
    pub patience: Time,
    /// See there.
    pub whims_pct: u32,
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
    /// Segments of a verification that scan the target. 0: both stores are compared side by side.
    pub on_target: u32,
    /// See [`Operator`](crate::cast::operator::Operator).
    pub lazy: bool,
    /// See there.
    pub plans: bool,
    /// See there.
    pub overrides: bool,
    /// See there.
    pub policies: bool,
    /// See there.
    pub repeats: bool,
    /// Share of steps at which faults happen, in ppm.
    pub aim_ppm: u32,
    /// No put lands later than this after it was sent.
    pub residual: Time,
    /// How long a service's last store calls may take.
    pub drain: Time,
    /// Reading and writing a snapshot file takes up to so long.
    pub disk_most: Time,
    /// Services report so often. 0: as often as the controller asks for.
    pub reports_every: Time,
    /// Wall clocks differ by up to so much.
    pub skew_most: Time,
    /// Records expire, and both stores remove them.
    pub expires: bool,
    /// Two services have the same id, by mistake.
    pub twins: bool,
    /// In place of a restored backup, a file is copied back by hand.
    pub by_hand: bool,
    /// How long a snapshot file may be used.
    pub persist_for: Time,
    /// See [`Operator`](crate::cast::operator::Operator).
    pub script: &'static [Cue],
    /// Faults at a moment.
    pub aims: Vec<Aim>,
}

impl Plan {
    /// Of a seed. With `swarm` each seed has other kinds of faults, and two of three a theme; else all have all.
    pub fn draw(seed: u64, swarm: bool, theme: Option<Theme>) -> Self {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x7e3e);
        let drawn = if swarm { Theme::draw(&mut random) } else { Theme::General };
        // Drawn by itself, so that other seeds stay as they were.
        let mut of_replicas = SmallRng::seed_from_u64(seed ^ 0x0005_ea75);
        let is_about = swarm && of_replicas.random_ratio(1, 10);
        let rare = SmallRng::seed_from_u64(seed ^ 0x001e_f7b4).random_range(0..80);
        let theme = theme.unwrap_or(match rare {
            _ if is_about => Theme::Replicas,
            0 | 1 if swarm => Theme::LeftBehind,
            2 if swarm => Theme::Clocks,
            3 if swarm => Theme::Latches,
            4 if swarm => Theme::Goodbyes,
            5 if swarm => Theme::Suspended,
            _ => drawn,
        });
        let mut plan = theme.apply(Self::general(seed, swarm), &mut random);
        let mut of_suspends = SmallRng::seed_from_u64(seed ^ 0x05a5_9e4d);
        let suspends = theme == Theme::General && (!swarm || of_suspends.random_ratio(1, 3));
        plan.faults.extend(suspends.then_some(Fault::Suspend));
        match theme == Theme::General && of_replicas.random_ratio(1, 4) {
            true => plan.replicated(),
            false => plan,
        }
    }

    /// The same with controllers that share a store. That one is not restored.
    fn replicated(mut self) -> Self {
        self.faults.retain(|fault| *fault != Fault::Restore);
        Self { controllers: 3, by_hand: false, ..self }
    }

    fn general(seed: u64, swarm: bool) -> Self {
        let mut random = SmallRng::seed_from_u64(seed ^ 0x9_1a4);
        let random = &mut random;
        let keep_ppm = random.random_range(1..=10) * 100_000;
        let mut faults = Fault::ALL.to_vec();
        if swarm {
            faults.retain(|_| random.random_range(0..1_000_000) < keep_ppm);
            // Nobody moves for 20 s after a restore.
            let restores = random.random_range(0..3) == 0;
            faults.retain(|fault| *fault != Fault::Restore || restores);
        }
        // Long freezes take long, so a run with them is rare, and slow.
        let slowness = if random.random_range(0..32) == 0 { 8 } else { 1 };
        // Each step waits 11 s for callers: with them, few steps are taken.
        let callers = [0, 0, 0, 0, 0, 1, 2][random.random_range(0..7)];
        let calm_from = random.random_range(40..=90) * slowness * (1 + callers.min(1)) * S;
        // Many processes are rare, too, and each does less.
        let services: u64 = match random.random_range(0..40) {
            0 => random.random_range(5..=40),
            _ => random.random_range(2..=4),
        };
        let think_ms = random.random_range(80..=400) * slowness * services.div_ceil(4) * (1 + callers.min(1));
        let is_linearizable = random.random_range(0..3) == 0;
        let level = if is_linearizable { v1::Level::Linearizable } else { v1::Level::Acknowledged };
        let fence_after_ms =
            if is_linearizable || random.random() { random.random_range(3_000..9_000) } else { 0 };
        let residual = [4, 12][random.random_range(0..2)] * S;
        let one_in = |random: &mut SmallRng, n: u32| random.random_range(0..n) == 0;
        Self {
            theme: Theme::General,
            faults,
            controllers: 1,
            every: [1, 3, 8, 20][random.random_range(0..4)] * slowness * S,
            calm_from,
            quiet_from: calm_from + 5 * S,
            // A step waits 11 s for callers, and a lost instance with a fence is waited for 30 s.
            end: calm_from + 150 * S,
            services: services as usize,
            callers: callers as usize,
            one_slot: false,
            lanes: random.random_range(1..=3),
            think_ms,
            operator_ms: random.random_range(100..=800) * slowness.div_ceil(4),
            patience: [10, 40][random.random_range(0..2)] * (1 + callers.min(1)) * slowness * S,
            whims_pct: random.random_range(0..8),
            records: Records {
                tenants: random.random_range(1..=3),
                keys: random.random_range(1..=2),
                fresh: if random.random() { 8 * S } else { 0 },
                fresh_share: 49,
            },
            policy: v1::Policy {
                level: level.into(),
                soak_ms: 0,
                fence_after_ms,
                // At level linearizable it is refused.
                local_guard: !is_linearizable && one_in(random, 3),
                hold_timeout_ms: 2_000,
                shadow_ppm: Some([0, 100_000, 1_000_000][random.random_range(0..3)]),
                ..Default::default()
            },
            persist: random.random(),
            same_ids: random.random(),
            freeze_most: [2 * S, 15 * S, 60 * S][random.random_range(0..3)]
                * if slowness > 1 { 10 } else { 1 },
            gain_most_ppm: [0, 0, 1_000, 24_000][random.random_range(0..4)],
            legacy_until: if one_in(random, 4) { random.random_range(2..=8) * S } else { 0 },
            on_target: random.random_range(0..=1),
            // At level linearizable a full pass is asked for all the same.
            lazy: !is_linearizable && one_in(random, 2),
            plans: one_in(random, 4),
            overrides: one_in(random, 3),
            policies: one_in(random, 4),
            repeats: one_in(random, 3),
            aim_ppm: [0, 200_000, 600_000][random.random_range(0..3)],
            residual,
            drain: residual + [0, 8 * S][random.random_range(0..2)],
            reports_every: 0,
            disk_most: [0, 0, 100, 1_000][random.random_range(0..4)] * MS,
            skew_most: [0, 0, 100, 10_000, 3_600_000][random.random_range(0..5)] * MS,
            expires: false,
            twins: one_in(random, 8),
            by_hand: false,
            persist_for: 20 * S,
            script: &[],
            aims: Vec::new(),
        }
    }

    /// Whether services make queries of their own. After a sweep the target is not complete; and a query sees what has
    /// expired, and confirms nothing.
    pub fn has_queries(&self) -> bool {
        self.policy.level() == v1::Level::Acknowledged && !self.lazy && !self.overrides && !self.expires
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
