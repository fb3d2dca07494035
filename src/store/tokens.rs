//! Who may call: tokens, by their hashes, and what was done to them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{Key, Role};

/// A token. Its text is not stored anywhere, only its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Unique; the actor in the history is made of it.
    pub name: String,
    /// What its holder may do.
    pub roles: Vec<Role>,
    /// For which migrations. Empty: all.
    #[serde(default)]
    pub migrations: Vec<Key>,
    /// SHA-256 of the text, in hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// From when it is refused. `None`: it does not expire.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// The one before a rotation, which is still accepted for a while.
    #[serde(default)]
    pub previous: Option<PreviousToken>,
    /// When it was last used, to about a minute. 0: never.
    #[serde(skip)]
    pub used_ms: u64,
}

impl TokenRecord {
    /// Whether it has not expired.
    pub fn is_valid(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|until_ms| until_ms > now_ms)
    }
}

/// A token that was rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousToken {
    /// SHA-256 of its text.
    pub hash: String,
    /// From when it is refused.
    pub until_ms: u64,
}

/// What was done to a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEvent {
    /// When.
    pub at_ms: u64,
    /// Who did it.
    pub actor: String,
    /// Why. Empty: no reason was given.
    pub reason: String,
    /// `create`, `rotate` or `revoke`.
    pub change: String,
    /// The token's name.
    pub token: String,
    /// One line for people.
    pub summary: String,
}

/// A change of one token, and its event.
#[derive(Clone, Debug)]
pub struct TokenChange {
    /// The hash of the token as it was read. `None`: there must be none of this name.
    pub expected: Option<String>,
    /// The token. `None`: it is revoked.
    pub record: Option<TokenRecord>,
    /// What is appended. It names the token.
    pub event: TokenEvent,
}

/// Maximum events that are kept; the oldest go first.
pub const TOKEN_EVENTS_MAX: u32 = 10_000;

/// The part of a store that holds tokens.
#[async_trait]
pub trait TokenStore {
    /// All tokens, by name.
    async fn tokens(&self) -> Result<Vec<TokenRecord>, Error>;

    /// Changes one token and appends the event, both or neither; durable when it returns. [`Error::Conflict`] if the
    /// token is not as expected.
    async fn change_token(&self, change: &TokenChange) -> Result<(), Error>;

    /// Notes when tokens were last used, by name. Tokens that are gone are left out.
    async fn note_used(&self, used: &[(String, u64)]) -> Result<(), Error>;

    /// Events with a number below `before`, newest first, with their numbers.
    async fn token_events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, Error>;
}
