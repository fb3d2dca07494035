//! Why an operation can't begin.

use cutover_core::routing;

/// Why an operation can't begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// Neither the controller nor a persisted snapshot has provided a state yet, or this client was closed.
    #[error(
        "no snapshot now, or the client was closed: is the controller reachable? A stage is never guessed"
    )]
    NoSnapshot,
    /// The migration's `fence_after_ms` has passed without contact.
    #[error("fenced: {silent_ms} ms without contact to the controller; it goes on when that is back")]
    Fenced {
        /// Time since the last answered request was sent.
        silent_ms: u64,
    },
    /// The process started from a saved snapshot, which has expired.
    #[error("the saved snapshot has expired and the controller has not been heard: is it reachable?")]
    FileExpired,
    /// There is no decision.
    #[error(transparent)]
    Routing(#[from] routing::Error),
}
