//! When to roll back: what instances report becomes evidence, and evidence a verdict. Pure: counts
//! and `now` are arguments. docs/guards.md says what each guard means and why it can be trusted.
//!
//! How a service feeds it:
//!
//! 1. One [`Judge`] for each migration that is neither idle nor finished: `Judge::new(config, stage,
//!    now_ms)`. After a restart it begins without evidence: later, never falsely.
//! 2. Each report of an instance: its cells about the migration as [`Cell`]s, wire checked, then
//!    `judge.observe(&report, now_ms)`. `now_ms` is the controller's monotonic clock.
//! 3. Once a second `judge.tick(now_ms)`, whether or not anybody reported.
//! 4. Each committed revision: `newest` if it moves nobody, `restage_tenant` if it moves one tenant,
//!    else `restage`. Cells of what was decided before then no longer count.
//! 5. Goodbye, eviction, a new process: `goodbye`.
//! 6. A verdict of [`Action::Rollback`] is one commit through `operate`, with the verdict as its
//!    evidence; losing the race to another is fine. [`Action::Hold`] stops the plan and calls
//!    somebody; [`Action::Observe`] only tells.
//! 7. Before a step up: `judge.standing(now_ms)` has no blocks, and its certificates miss nothing.
//!
//! The reader's way: [`evalue`] (what a tick says), [`detector`] (that something has changed),
//! `pool` (nobody decides alone), `judge` (about whom, and what to do).

pub mod bounds;
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

pub use cutover_client::guard::{detector, evalue};

pub use cell::{Arm, Cell, ErrorClass, Pairs, Report};
pub use config::{Guard, GuardConfig, GuardKind, Limit, Mode, Operation, Rule};
pub use judge::{Block, Certificate, Judge, Level, Refused, Stage, Standing};
pub use ratchet::Ratchet;
pub use slow::Slow;
pub use verdict::{Action, Cause, Evidence, Holder, Scope, Suspect, Verdict};

/// Memory of a tenant that is judged by itself, without its name.
pub const TRACKED_TENANT_BYTES: usize = size_of::<tenants::Tracked>();

use evalue::Test;
use roster::Few;
