//! What happened, counted in process and brought to the controller once a second.
//!
//! Everything is counted by the migration and the revision that an operation was *decided* under:
//! a guard of one revision must not judge by the outcomes of another.

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
