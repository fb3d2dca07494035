//! Why the controller does not run.

use super::TlsError;
use crate::{
    config,
    https::HttpsError,
    service::{NotifyError, TokenError, operate},
    store::{self, Leader, OpenError},
};

/// Why the controller does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No token was made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store has no tokens, and should have.
    #[error(
        "{store} has no tokens, so everybody who reaches the controller could move tenants, and {wants}. Is it the right \
         store, or an old backup? Otherwise make an admin's token in it: {command}"
    )]
    NoTokens {
        /// Its URL.
        store: String,
        /// What asks for one.
        wants: &'static str,
        /// What makes one.
        command: String,
    },
    /// Others than this machine's users could reach it.
    #[error(
        "--{flag} {address} is not a loopback address, and {lacks}. {advice}. Or listen on loopback, as without --{flag}. \
         If the network lets only those in who may do everything, add --insecure"
    )]
    Exposed {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// What is missing.
        lacks: &'static str,
        /// What to do.
        advice: String,
    },
    /// The files for TLS can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys of the identity provider can't be fetched.
    #[error("[oidc] keys: {0}")]
    Https(#[from] HttpsError),
    /// The keys of the identity provider can't be used.
    #[error("[oidc] keys = {path:?} can't be used: {why}")]
    OidcKeys {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// Notifications can't be sent.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// A port is not available.
    #[error("can't listen on {address}: {error}; is another controller running? Choose another --{flag}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// The system's error.
        error: std::io::Error,
    },
    /// A background task ended, which must not happen.
    #[error("background task {task} failed: {why}. Start the controller again, and report this")]
    Task {
        /// The task.
        task: &'static str,
        /// Its last message.
        why: String,
    },
    /// Migrations of a restored store can't be held.
    #[error("the store was restored, and its migrations can't be held: {0}")]
    Restored(operate::Error),
    /// The store is older than what an instance holds: the history that this process began with is no more.
    #[error("{0}: start the controller again, then look at cutover confirm")]
    PutBack(String),
    /// Another controller may lead.
    #[error("this controller does not lead any more: {0}")]
    Deposed(String),
    /// Another controller leads on the store.
    #[error(
        "{store} is in use by a controller: {who}. Make the token with that one (without --store, with --server and an \
         admin's token), or stop all controllers on this store first"
    )]
    Led {
        /// Its URL, without a password.
        store: String,
        /// Who leads.
        who: String,
    },
    /// The same, for the JSON API.
    #[error("the JSON API: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// gRPC ended.
    #[error("gRPC ended: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// The compiled-in descriptors are damaged.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Error {
    /// Whether a controller that shares its store goes back to standby, instead of ending.
    pub(super) const fn is_passing(&self) -> bool {
        let of_store = match self {
            Self::Deposed(_) => return true,
            Self::Store(error)
            | Self::Notify(NotifyError::Store(error))
            | Self::Restored(operate::Error::Store(error)) => error,
            _ => return false,
        };
        matches!(of_store, store::Error::Unavailable(_) | store::Error::Unknown(_))
    }

    /// Whether the command line is wrong.
    pub const fn is_misuse(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Open(OpenError::Url(_))
                | Self::Exposed { .. }
                | Self::NoTokens { .. }
                | Self::OidcKeys { .. }
                | Self::Tls(_)
        )
    }
}

/// Why a store can't be used while another controller leads.
pub(super) fn taken(leader: &Leader, store: &str) -> Error {
    let who = match leader {
        Leader::Known(name) => format!("{name} leads there"),
        Leader::Nobody => "others try to lead there".to_owned(),
        Leader::Unknown(why) => why.clone(),
    };
    Error::Led { store: store.to_owned(), who }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_was_deposed_in_anything_goes_back_to_standby() {
        let away = || store::Error::Unavailable(String::new());
        let passing = [
            Error::Deposed(String::new()),
            away().into(),
            Error::Notify(NotifyError::Store(away())),
            Error::Restored(operate::Error::Store(store::Error::Unknown(String::new()))),
        ];
        assert!(passing.iter().all(Error::is_passing));
        let lasting = [
            Error::PutBack(String::new()),
            Error::Store(store::Error::Corrupt(String::new())),
            Error::Restored(operate::Error::UnknownJob(String::new())),
        ];
        assert!(!lasting.iter().any(Error::is_passing));
    }
}
