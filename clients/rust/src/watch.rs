//! Keeps the newest snapshot in this process, from the controller's stream.

mod backoff;
mod begin;
mod current;
mod hold;
mod kept;
mod lease;
mod leased;
mod link;
mod stream;
mod taken;

pub use backoff::backoff;
pub use begin::BeginError;
pub(crate) use current::Standing;
pub use current::{Current, GoneBack, Operation};
pub use hold::HoldError;
pub(crate) use leased::while_it_may_act;
pub use link::Source;
pub(crate) use link::{Link, Session, Start};
pub(crate) use stream::{Identity, Watcher};
