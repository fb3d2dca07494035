//! How a client is doing, and why one could not connect.

use std::{fmt, path::PathBuf, time::Duration};

use super::Client;
use crate::{
    persisted::PersistedError,
    watch::{GoneBack, Source},
};

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's URL can't be used.
    #[error("server {server:?}: {what}")]
    Server {
        /// The URL that was given.
        server: String,
        /// What is wrong with it.
        what: String,
    },
    /// A service name or an instance id is invalid.
    #[error("{what} {value:?}: give 1 to 128 of A-Z a-z 0-9 . _ : -")]
    Name {
        /// Which of the two.
        what: &'static str,
        /// The name that was given.
        value: String,
    },
    /// The controller refuses this client.
    #[error("the controller at {server} refuses this client: {why}")]
    Refused {
        /// The controller's URL.
        server: String,
        /// The controller's reason.
        why: String,
    },
    /// The snapshot file can't be used.
    #[error(transparent)]
    File(#[from] PersistedError),
    /// No state arrived in time, and the persisted snapshot has expired.
    #[error(
        "no state from the controller at {server}, and {} has expired: its process was last heard {} s ago, \
         and it may be used for {} s; start the controller, or check the address",
        path.display(), age.as_secs(), valid.as_secs()
    )]
    FileExpired {
        /// The controller's URL.
        server: String,
        /// The snapshot file.
        path: PathBuf,
        /// Time since the controller last heard the file's process.
        age: Duration,
        /// How long the file may be used.
        valid: Duration,
    },
    /// No state arrived in time, and there is no persisted snapshot. The client never guesses a stage.
    #[error(
        "no state from the controller at {server} within {} ms: {last_error}. Also, {persisted}. Unless the error says what \
         to do, start the controller, check the address, or give `persist` a file for starts without it",
        start_timeout.as_millis()
    )]
    NoSnapshot {
        /// The controller's URL.
        server: String,
        /// How long the client waited.
        start_timeout: Duration,
        /// Error of the last attempt.
        last_error: String,
        /// Why there is no persisted snapshot.
        persisted: String,
    },
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Newest revision received: no operation starts under an older one. 0: none.
    pub revision: u64,
    /// The revision that this client has quiesced for: every operation begun under an older one has ended.
    pub applied_revision: u64,
    /// Time since the controller was last heard.
    pub age: Duration,
    /// Whether a stream from the controller is open.
    pub connected: bool,
    /// Where the snapshot came from.
    pub source: Source,
    /// Migrations that the local guard has taken back in this process. The migration's policy turns the guard
    /// on; it acts while the controller is away.
    pub gone_back: Vec<GoneBack>,
    /// Telemetry cells whose detail was dropped since the start.
    pub dropped_cells: u64,
    /// The last error in talking to the controller. `None`: there was none.
    pub last_error: Option<String>,
}

impl Client {
    /// The state of the client.
    pub fn status(&self) -> Status {
        Status {
            revision: self.current.received_revision(),
            applied_revision: self.current.applied_revision(),
            age: Duration::from_millis(self.current.silent_ms()),
            connected: self.link.is_connected(),
            source: self.link.held().map_or(Source::Persisted, |held| held.source),
            gone_back: self.current.gone_back(),
            dropped_cells: self.recorder.dropped_cells(),
            last_error: self.link.last_error(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}
