//! Beginning an operation after a hold.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{BeginError, Current, Operation};
use crate::routing::Rung;

/// Why no operation began, even after waiting for the end of a hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// It can't begin, hold or not.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The tenant is between two rungs and did not reach the next one in time.
    #[error("tenant is on hold, waited {waited_ms} ms: retry; a hold ends with the controller's next step")]
    Held {
        /// The policy's `hold_timeout_ms`.
        waited_ms: u64,
        /// The revision of the hold.
        revision: u64,
    },
}

impl Current {
    /// [`Self::begin`], after the hold if there is one: for at most the policy's `hold_timeout_ms`.
    pub async fn begin_after_hold(&self, migration: &str, tenant: &str) -> Result<Operation, HoldError> {
        let operation = self.begin(migration, tenant)?;
        if operation.decision.rung != Rung::Hold {
            return Ok(operation);
        }
        let waited_ms = u64::from(operation.policy.hold_timeout_ms);
        // It must not count as an operation while it waits: the step that ends the hold waits for operations.
        drop(operation);
        let deadline = Instant::now() + Duration::from_millis(waited_ms);
        loop {
            // Subscribe before deciding again, or a revision in between would be missed.
            let mut newer = self.subscribe();
            let operation = self.begin(migration, tenant)?;
            if operation.decision.rung != Rung::Hold {
                return Ok(operation);
            }
            let revision = operation.decision.revision;
            drop(operation);
            if timeout_at(deadline, newer.changed()).await.is_err() {
                return Err(HoldError::Held { waited_ms, revision });
            }
        }
    }
}
