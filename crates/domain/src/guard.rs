//! When to roll back: reports of instances become evidence, and evidence becomes a verdict. Pure: counts and
//! `now` are arguments. docs/guards.md explains each guard and why it can be trusted.
//!
//! How a service uses it:
//!
//! 1. Create one [`Judge`] for each migration with anybody above source-only: `Judge::new(config, stage,
//!    now_ms)`. After a restart it begins without evidence: it may trip later, never falsely.
//! 2. For each report of an instance, convert its cells about the migration to [`Cell`]s, check them, and
//!    call `judge.observe(&report, now_ms)`. `now_ms` is the controller's monotonic clock.
//! 3. Call `judge.tick(now_ms)` once a second, whether or not anybody reported.
//! 4. For each committed revision call `newest` if it moves nobody, `restage_tenant` if it moves one tenant,
//!    else `restage`. Cells decided before it no longer count.
//! 5. Call `goodbye` for a goodbye, an eviction, or a new process.
//! 6. A verdict of [`Action::Rollback`] is one commit through `operate`, with the verdict as its evidence;
//!    losing the race to another commit is fine. [`Action::Hold`] pauses the migration; [`Action::Observe`]
//!    is only recorded.
//! 7. A step up requires that `judge.standing(now_ms)` has no blocks, and that its certificates miss nothing.
//!
//! Suggested reading order: [`evalue`] (the evidence of a tick), [`detector`] (whether something has
//! changed), `pool` (nobody decides alone), `judge` (about whom, and what to do).

pub mod bounds;
mod by;
mod cell;
mod config;
mod judge;
mod misses;
mod pool;
mod ratchet;
mod roster;
mod slow;
mod tenants;
mod verdict;

pub use cutover_core::{
    guard::{detector, evalue},
    outcome::{ErrorClass, Operation},
};

pub use cell::{Arm, Cell, Pairs, Report};
pub use config::{Guard, GuardConfig, GuardKind, Limit, Mode, Rule};
pub use judge::{Block, Certificate, Judge, JudgedStage, Level, NotCounted, Standing};
pub use ratchet::Ratchet;
pub use roster::OUTCOMES;
pub use slow::Slow;
pub use verdict::{Action, Cause, GuardEvidence, Holder, Scope, Suspect, Verdict};

/// Memory of a tenant that is judged separately, without its name.
pub const TRACKED_TENANT_BYTES: usize = size_of::<tenants::Tracked>();

use evalue::Test;
use roster::Few;
