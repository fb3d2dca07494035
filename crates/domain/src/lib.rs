//! What a migration is and how it may change. Pure: no I/O, no clock, no async; `now` and the fleet are
//! arguments.
//!
//! Suggested reading order: [`placement`](Placement) (where tenants stand, and their next step),
//! [`goal`](Wanted) (where everybody should be), `advance` (who takes which step), [`conditions`](Conditions)
//! (what a step or a change needs), [`change`] (what may be asked), `tables` (the routing table of where everybody
//! is). Separate from these is [`guard`]: when to roll back.

mod access;
mod advance;
mod attribution;
mod barrier;
mod chain;
pub mod change;
mod conditions;
mod event;
mod evidence;
mod finding;
mod fleet;
mod gate;
mod goal;
mod group;
pub mod guard;
mod identity;
mod in_place;
mod key;
mod ledgers;
mod migration;
mod overrides;
mod pass_tables;
mod pending;
mod placement;
pub mod plan;
mod policy;
mod rollout;
mod sampling;
mod tables;
mod trip;
mod window;

pub use access::{
    BY_OIDC, BY_TOKEN, Credential, Need, Principal, Role, Vouched, check_token_name, is_proven,
};
pub use attribution::Attribution;
pub use barrier::barrier;
pub use chain::{Chain, ChainBreak, Hash, HistoryEntry};
pub use change::{
    Applied, Ask, Change, Confirmation, Context, Deletion, HeldRoutes, LOWERED_PIN, NewPass, RESIDUAL_MS,
    Refusal, SEGMENTS_MAX, apply,
};
pub use conditions::Conditions;
pub use event::Event;
pub use evidence::{Cover, Differences, Evidence, Job, PassCounts, PassKind, Whom};
pub use finding::Finding;
pub use fleet::{CALLERS, Fleet, Glance, Member};
pub use gate::{Gate, Unmet};
pub use goal::Wanted;
pub use group::Group;
pub use identity::Identity;
use identity::is_same_person;
pub use key::{Key, Tenant, Violation};
pub use ledgers::Ledgers;
pub use migration::{Document, Migration, State, TenantRow};
pub use overrides::{Covered, Override, Passes};
pub use pass_tables::{NewTables, PassTables, TableIdentity};
pub use pending::{PendingRequest, REQUEST_VALID_MS};
pub use placement::{Band, Bands, Placement, Wait};
pub use policy::Policy;
use rollout::percent;
pub use rollout::{Rollout, Shares};
pub use sampling::percent_up;
pub use trip::{Breach, GuardEdit, GuardMode, GuardSettings, Trip, TripOutcome};
pub use window::{Calls, Counts, Expiry, Grid, Latency, Scale, Totals, WindowId};
