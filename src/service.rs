//! What the controller does, behind its APIs: [`Registry`] publishes, [`Operate`] commits changes and takes the next
//! steps of requests, [`Instances`] records who has acknowledged what, [`Passes`] who copies what, [`Plans`] ramps,
//! [`Guards`] rolls back, [`Notify`] sends notifications, [`Windows`] stores what was reported, and [`Tokens`] says who
//! may call.

pub mod compaction;
mod decide;
mod flags;
mod guards;
mod histories;
mod instances;
mod lease;
mod looked;
mod membership;
mod notify;
mod once;
pub mod operate;
mod overview;
mod passes;
mod plans;
mod registry;
mod request;
mod restored;
mod seal;
mod steady;
mod tokens;
mod vitals;
mod whole;
pub mod windows;

pub use compaction::HistoryLimits;
pub use decide::{DecideError, Decider};
pub use flags::{Attribute, Flag, FlagError, FlagErrorCode};
pub use guards::{Followed, Guards};
pub use instances::{
    Acknowledging, Admitted, Asking, Connected, Dead, Fenced, InstanceView, Instances, RegisterError,
    Registration, Who, check_name, shown,
};
pub use lease::{DECISION_FINISHED, DECISION_VALID, LEASE};
pub use membership::{JoinError, Known, Membership};
pub use notify::{Notify, NotifyError};
pub use operate::Operate;
pub use overview::{Looks, MigrationGlance, MigrationRow, MigrationStatus, Overview};
pub use passes::{Checkpoint, Claim, Claimed, PassEnd, Passes, Progress};
pub use plans::Plans;
pub use registry::{Callers, Delta, Entry, Kept, PublishedState, Registry};
pub use seal::Seals;
pub use tokens::{
    Denied, NewToken, Provider, Refusals, RefusedBy, RefusedWatch, Standing, TokenError, Tokens,
};
pub use vitals::Vitals;
pub use whole::UnderWay;
pub use windows::Windows;

pub use crate::store::{
    ChainState, ChainedEvent, Error as StoreError, HistoryQuery, InstanceRecord, SegmentRecord, TokenEvent,
    TokenRecord, Tuning, WindowQuery, Witness,
};
