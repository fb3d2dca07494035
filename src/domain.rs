//! What a migration is and how it may change. Pure: no I/O, no clock, no async; `now` and the
//! fleet are arguments.
//!
//! The reader's way: [`placement`](Placement) (where tenants stand and what the next step is),
//! [`gate`](Gate) (what a step needs), [`change`] (what may be asked), [`resolve`](Wanted) (where
//! everybody is to be, and the routing table of where everybody is). Beside it stands [`guard`]: when
//! to go back.

mod advance;
pub mod change;
mod event;
mod evidence;
mod fleet;
mod gate;
pub mod guard;
mod key;
mod migration;
mod overrides;
mod placement;
pub mod plan;
mod resolve;
mod rollout;
mod trip;
mod window;

pub use advance::Group;
pub use change::{Applied, Ask, Change, Context, NewPass, Refusal, apply};
pub use event::Event;
pub use evidence::{Cover, Differences, Evidence, Job, PassCounts, PassKind, Whom};
pub use fleet::{Fleet, Member};
pub use gate::{Gate, Sight, Unmet, what_to_do};
pub use key::{Key, Tenant, Violation};
pub use migration::{Document, Migration, Policy, State, TenantRow};
pub use overrides::{Covered, Override, Passes};
pub use placement::{Band, Bands, Placement, Wait};
pub use resolve::Wanted;
pub use rollout::{Rollout, Shares};
pub use trip::{Breach, GuardEdit, GuardMode, GuardSettings, Trip, TripOutcome};
pub use window::{Calls, Counts, Expiry, Grid, Latency, Scale, Totals, WindowId};
