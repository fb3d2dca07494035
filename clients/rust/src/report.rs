//! Counts outcomes in process and reports them to the controller once a second.
//!
//! Everything is counted by migration and by the revision under which an operation was *decided*: a guard
//! must not judge one revision by the outcomes of another.

mod cell;
mod histogram;
mod in_flight;
mod judged;
mod outcome;
mod recorder;
mod reporter;
mod shard;
mod sketch;
mod tenants;

pub use cell::{ErrorClass, Event, Operation, StoreRole};
pub use histogram::{BUCKETS, BadHistogram, Histogram};
pub use in_flight::InFlight;
pub(crate) use judged::Judged;
pub use outcome::{Origin, Outcome};
pub use recorder::{Drained, Recorder};
pub(crate) use reporter::{Closing, Reporter};
