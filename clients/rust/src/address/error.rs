//! Why no controller can be used now.

use std::time::Duration;

/// Why no controller can be used now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No address has a controller that leads.
    #[error("no controller leads: {}", heard.join("; "))]
    Nobody {
        /// What each address said.
        heard: Vec<String>,
        /// When a controller wants to be asked again.
        again: Option<Duration>,
    },
    /// Two addresses have different stores.
    #[error(
        "{one} and {other} belong to two installations: their stores have the histories {history} and {other_history}. Remove \
         one from the list of addresses. If the store was just restored, this passes within a second"
    )]
    Installations {
        /// The one that leads.
        one: String,
        /// Its history.
        history: String,
        /// The other one.
        other: String,
        /// Its history.
        other_history: String,
    },
    /// The one that leads may be of another installation.
    #[error(
        "{one} leads, but its store has the history {history}, and this process goes by {held}. Either {one} belongs to another \
         installation: remove it from the list of addresses. Or the store was restored: start the other controllers, or remove \
         them from the list and restart this process"
    )]
    OtherHistory {
        /// The one that leads.
        one: String,
        /// Its history.
        history: String,
        /// The history of what this process holds.
        held: String,
    },
    /// The only one can't be reached.
    #[error(transparent)]
    Connect(#[from] tonic::transport::Error),
}

impl FindError {
    /// The one that caused an error, if one did.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
    }

    /// Whether one of the controllers is about to lead: one on standby has answered.
    pub const fn is_passing(&self) -> bool {
        self.again().is_some()
    }

    /// When a controller wants to be asked again.
    pub(crate) const fn again(&self) -> Option<Duration> {
        match self {
            Self::Nobody { again, .. } => *again,
            _ => None,
        }
    }
}
