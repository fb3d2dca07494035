//! What proves an actor's name. People may change how they are called; this they can't change.

use serde::{Deserialize, Serialize};

/// What proves an actor's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// Nothing does, or it was stored by a version that did not keep it.
    #[default]
    Unproven,
    /// A text of a token, by its SHA-256.
    Token(String),
    /// An account at an identity provider: its issuer, and what the issuer calls the account for good (`sub`).
    Account(String),
}

impl Identity {
    /// For documents, which leave it out.
    pub(super) fn is_unproven(&self) -> bool {
        *self == Self::Unproven
    }
}

/// Whether two actors are the same person: by their names, or by the account behind two names. Accounts at a provider
/// are the same in upper and lower case, and tokens have no upper case.
pub(super) fn is_same_person(one: (&str, &Identity), other: (&str, &Identity)) -> bool {
    let is_same_account =
        matches!((one.1, other.1), (Identity::Account(one), Identity::Account(other)) if one == other);
    is_same_account || one.0.eq_ignore_ascii_case(other.0)
}
