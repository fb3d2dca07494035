//! Counts outcomes in process and reports them to the controller once a second.
//!
//! Everything is counted by migration and by the revision under which an operation was *decided*: a guard
//! must not judge one revision by the outcomes of another.

mod cell;
mod goodbye;
mod in_flight;
mod judged;
mod recorder;
mod reporter;
mod shard;
mod sketch;
mod tenants;

pub use cutover_core::{
    histogram::{BUCKETS, BadHistogram, Histogram},
    outcome::{ErrorClass, Event, Operation, Origin, Outcome, StoreRole},
};
pub(crate) use goodbye::Withdrawal;
pub use in_flight::InFlight;
pub(crate) use judged::Judged;
pub use recorder::{Drained, Recorder};
pub(crate) use reporter::{Closing, Reporter};
