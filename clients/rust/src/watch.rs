//! Keeps the newest snapshot in this process, from the controller's stream.

mod backoff;
mod current;
mod kept;
mod lease;
mod link;
mod stream;

pub use backoff::backoff;
pub(crate) use current::Standing;
pub use current::{BeginError, Current, GoneBack, Operation};
pub use link::Source;
pub(crate) use link::{Link, Session, Start};
pub(crate) use stream::{Identity, Watcher, describe, explain};
