//! Themes: small worlds, each around one family of rules, where people do again and again what those rules
//! make safe, and faults come when they matter.

#[cfg(feature = "mutations")]
mod about;

use cutover_proto::v1;
use rand::{RngExt as _, rngs::SmallRng};

use super::{Plan, worlds};
use crate::{cast::traffic::Records, world::S};

/// What a seed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Theme {
    /// Everything, everywhere.
    General,
    /// Steps up and back while writes are slow and services hear of steps late.
    Steps,
    /// Services out of the controller's reach for longer than their lease, without a fence.
    Lost,
    /// The same, of two services that have one id by mistake.
    Twins,
    /// Services that stand still until they are counted out.
    Fence,
    /// The way without a full pass, while writes to the target fail or land late.
    Sweep,
    /// The same, beside services that are counted out in the middle of a write.
    Drain,
    /// Starts from saved snapshots.
    Files,
    /// Callers of `Decide`, and restarts of the controller.
    Callers,
    /// An override for one tenant beside requests for others.
    Overrides,
    /// A pin that ends while its tenant's neighbors move.
    Pins,
    /// To target-only and back.
    TargetOnly,
    /// SDKs that go back on their own.
    LocalGuard,
    /// Few records that everybody reads and writes, at level linearizable.
    Linearizable,
    /// Records of a service without the SDK.
    Unversioned,
    /// A controller that stands still.
    Silence,
    /// Restored backups, and two processes with one id.
    Restore,
    /// Somebody writes the target without an SDK, and operators repair that.
    Repairs,
    /// Processes that start from the file of one that still runs, or from a copy of it.
    Successors,
    /// Controllers that share a store, of which one leads.
    Replicas,
    /// A service that steps down did not wait for, back before a controller that has forgotten that.
    LeftBehind,
    /// A level, a rollback and what stays of them.
    Latches,
    /// Services that end in the middle of a registration, or drop their clients.
    Goodbyes,
    /// Sweeps beside a controller whose clock jumps ahead.
    Clocks,
    /// A service whose machine is suspended in the middle of a call, and that is counted out meanwhile.
    Suspended,
    /// Records that expire, and that each store removes by itself.
    Expiring,
    /// Callers that stamp with one writer slot, and whose clocks are behind those of others.
    Slots,
}

impl Theme {
    /// All but the general one; `Replicas`, `LeftBehind`, `Clocks`, `Latches`, `Goodbyes` and `Suspended`, which are drawn by
    /// themselves; and `Twins`, `Slots` and `Expiring`, which no other rule needs. Those whose rules are hard to find come twice.
    const SPECIAL: [Self; 20] = [
        Self::Steps,
        Self::Lost,
        Self::Fence,
        Self::Sweep,
        Self::Drain,
        Self::Files,
        Self::Callers,
        Self::Overrides,
        Self::Pins,
        Self::TargetOnly,
        Self::LocalGuard,
        Self::Linearizable,
        Self::Unversioned,
        Self::Silence,
        Self::Restore,
        Self::Repairs,
        Self::Successors,
        Self::Fence,
        Self::Sweep,
        Self::Files,
    ];

    /// Two of three seeds have one.
    pub(super) fn draw(random: &mut SmallRng) -> Self {
        match random.random_range(0..3) {
            0 => Self::General,
            _ => Self::SPECIAL[random.random_range(0..Self::SPECIAL.len())],
        }
    }

    /// Makes a small world of a general one.
    pub(super) fn apply(self, plan: Plan, random: &mut SmallRng) -> Plan {
        if self == Self::General {
            return plan;
        }
        let plan = Plan { theme: self, ..small(plan, random) };
        match self {
            Self::General => plan,
            Self::Steps => worlds::steps(plan),
            Self::Lost => worlds::lost(plan),
            Self::Twins => Plan { twins: true, ..worlds::lost(plan) },
            Self::Fence => worlds::fence(plan, random),
            Self::Sweep => worlds::sweep(plan, random),
            Self::Drain => worlds::drain(plan),
            Self::Files => worlds::files(plan, random),
            Self::Callers => worlds::callers(plan),
            Self::Overrides => worlds::overrides(plan),
            Self::Pins => worlds::pins(plan),
            Self::TargetOnly => worlds::target_only(plan),
            Self::LocalGuard => worlds::local_guard(plan),
            Self::Linearizable => worlds::linearizable(plan, random),
            Self::Unversioned => worlds::unversioned(plan, random),
            Self::Silence => worlds::silence(plan),
            Self::Restore => worlds::restore(plan, random),
            Self::Repairs => worlds::repairs(plan, random),
            Self::Successors => worlds::successors(plan, random),
            Self::Slots => worlds::slots(plan),
            Self::Expiring => worlds::expiring(plan),
            Self::Replicas => worlds::replicas(plan, random),
            Self::LeftBehind => worlds::left_behind(plan, random),
            Self::Latches => worlds::latches(plan, random),
            Self::Goodbyes => worlds::goodbyes(plan, random),
            Self::Clocks => worlds::clocks(plan, random),
            Self::Suspended => worlds::suspended(plan, random),
        }
    }
}

fn small(plan: Plan, random: &mut SmallRng) -> Plan {
    let calm_from = 45 * S;
    let residual = 2 * S;
    Plan {
        faults: Vec::new(),
        calm_from,
        quiet_from: calm_from + 2 * S,
        end: calm_from + 150 * S,
        services: random.random_range(2..=3),
        callers: 0,
        lanes: random.random_range(1..=2),
        think_ms: random.random_range(40..=120),
        operator_ms: random.random_range(40..=120),
        patience: 15 * S,
        whims_pct: 0,
        records: Records { tenants: 1, keys: random.random_range(2..=5), fresh: 0, fresh_share: 49 },
        policy: v1::Policy {
            level: v1::Level::Acknowledged.into(),
            fence_after_ms: 0,
            local_guard: false,
            shadow_ppm: Some(0),
            ..plan.policy
        },
        controllers: 1,
        persist: false,
        same_ids: true,
        gain_most_ppm: 0,
        legacy_until: 0,
        on_target: 1,
        lazy: false,
        plans: false,
        overrides: false,
        policies: false,
        repeats: false,
        aim_ppm: 0,
        residual,
        drain: residual,
        reports_every: 0,
        disk_most: 0,
        skew_most: 0,
        twins: false,
        script: worlds::UP_AND_BACK,
        ..plan
    }
}
