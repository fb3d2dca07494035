//! Why a call is refused before it is made, and why tokens are not changed.

use super::TOKENS_MAX;
use crate::{domain::Violation, oidc::Rejected, store::Error as StoreError};

/// Why a call is refused before it is made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It has no token.
    #[error(
        "this controller requires a token: give it with --token-file FILE or in CUTOVER_TOKEN, or send the header \
         authorization: Bearer TOKEN. An admin makes one: cutover token create NAME --role ROLE"
    )]
    Missing,
    /// Its token is not known.
    #[error(
        "the token is not known: it was revoked or rotated, or belongs to another controller. Ask an admin for another \
         one: cutover token create NAME --role ROLE"
    )]
    Unknown,
    /// What its identity provider says is not enough.
    #[error(transparent)]
    Oidc(#[from] Rejected),
    /// Its token has expired.
    #[error(
        "token {name} expired {ago} ago. Ask an admin to renew it: cutover token rotate {name} --expires 90d"
    )]
    Expired {
        /// The token's name.
        name: String,
        /// How long ago.
        ago: String,
    },
}

/// Why tokens were not changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request is malformed.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// The name is taken.
    #[error("there is a token {0} already: choose another name, or renew it: cutover token rotate {0}")]
    Exists(String),
    /// There is no such token.
    #[error("there is no token {0:?}: cutover token list lists them")]
    Unknown(String),
    /// Only an admin can make further ones.
    #[error(
        "the first token has to be an admin's that does not expire, because every call needs a token from then on: \
         cutover token create NAME --role admin"
    )]
    FirstIsNoAdmin,
    /// Anybody who reaches the controller could make it.
    #[error(
        "this controller started without tokens, so everybody may do everything. Stop it, make an admin's token in its \
         store, and start it again: cutover token create NAME --role admin --store URL"
    )]
    FirstFromAfar,
    /// Nobody could make tokens any more.
    #[error(
        "{0} is the last admin's token that does not expire: make another one first: cutover token create NAME --role \
         admin"
    )]
    LastAdmin(String),
    /// The caller's own token has ended.
    #[error("the token of this call was revoked or rotated, or has expired, before the change was made")]
    CallerEnded,
    /// It has expired.
    #[error("token {0} has expired, so it needs a new time: cutover token rotate {0} --expires 90d")]
    Expired(String),
    /// There are too many.
    #[error("there are {TOKENS_MAX} tokens: revoke some that are no longer used (cutover token list)")]
    TooMany,
    /// The system has no random numbers.
    #[error("can't draw random numbers: {0}")]
    Random(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
