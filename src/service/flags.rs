//! Migrations as OpenFeature's flags (docs/openfeature.md): what OFREP and flagd's evaluation answer.
//!
//! An answer is a remote decision as that of `Decide`: it goes through the same [`Decider`], so steps wait until it
//! has expired (docs/adr/0038-openfeature-by-remote-evaluation.md).

use cutover_core::routing::{self, Decision, Reason, Rung};
use futures::future::join_all;

use super::{DECISION_FINISHED, DECISION_VALID, DecideError, Decider};
use crate::domain::Principal;

/// A migration's value for one tenant.
#[derive(Clone, Copy, Debug)]
pub struct Flag(Decision);

/// A value in a flag's metadata.
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// A name.
    Text(&'static str),
    /// A count, or a time in milliseconds.
    Number(u64),
    /// Yes or no.
    Truth(bool),
}

/// Why a flag has no value.
#[derive(Debug, thiserror::Error)]
#[error("{details}")]
pub struct FlagError {
    /// OpenFeature's code for it.
    pub code: FlagErrorCode,
    /// What failed and what to do.
    pub details: String,
}

/// OpenFeature's error codes, as far as Cutover has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagErrorCode {
    /// The request can't be read.
    ParseError,
    /// The context names no tenant.
    TargetingKeyMissing,
    /// The tenant is invalid.
    InvalidContext,
    /// There is no such migration.
    FlagNotFound,
    /// Another type than a flag has was asked for.
    TypeMismatch,
    /// Nobody can be routed right now.
    ProviderNotReady,
    /// The caller's token is not for this migration. OpenFeature has no code for it.
    Forbidden,
    /// Anything else.
    General,
}

impl Flag {
    /// The stage.
    pub const fn value(&self) -> &'static str {
        self.0.stage().name()
    }

    /// The rung.
    pub const fn variant(&self) -> &'static str {
        self.0.rung.name()
    }

    /// Never STATIC or CACHED: providers keep such a value.
    pub fn reason(&self) -> &'static str {
        if self.0.reason == Reason::Rollout { "SPLIT" } else { "TARGETING_MATCH" }
    }

    /// The whole decision, with how long it may be used.
    pub const fn metadata(&self) -> [(&'static str, Attribute); 7] {
        [
            ("stage", Attribute::Text(self.value())),
            ("rung", Attribute::Text(self.variant())),
            ("revision", Attribute::Number(self.0.revision)),
            ("reason", Attribute::Text(self.0.reason.name())),
            ("no_fallback", Attribute::Truth(self.0.no_fallback)),
            ("valid_for_ms", Attribute::Number(DECISION_VALID.as_millis() as u64)),
            ("finish_within_ms", Attribute::Number(DECISION_FINISHED.as_millis() as u64)),
        ]
    }
}

impl FlagErrorCode {
    /// OpenFeature's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::ProviderNotReady => "PROVIDER_NOT_READY",
            Self::Forbidden | Self::General => "GENERAL",
        }
    }
}

impl FlagError {
    /// An error with this text.
    pub fn new(code: FlagErrorCode, details: impl Into<String>) -> Self {
        Self { code, details: details.into() }
    }

    /// The context has no `targetingKey`.
    pub fn tenant_missing() -> Self {
        let details = "the context has no targetingKey: give the tenant";
        Self::new(FlagErrorCode::TargetingKeyMissing, details)
    }

    /// The `targetingKey` is something else than a string.
    pub fn tenant_not_text() -> Self {
        let details = "targetingKey is not a string: give the tenant";
        Self::new(FlagErrorCode::InvalidContext, details)
    }
}

impl From<DecideError> for FlagError {
    fn from(error: DecideError) -> Self {
        let code = match &error {
            DecideError::Routing(routing::Error::UnknownMigration(_)) => FlagErrorCode::FlagNotFound,
            DecideError::Routing(routing::Error::Tenant(_)) => FlagErrorCode::InvalidContext,
            DecideError::Routing(routing::Error::Unreadable { .. }) => FlagErrorCode::General,
            DecideError::OutOfScope(_) => FlagErrorCode::Forbidden,
            DecideError::OnHold(_)
            | DecideError::Restored(_)
            | DecideError::Stopping
            | DecideError::Store(_) => FlagErrorCode::ProviderNotReady,
        };
        Self::new(code, error.to_string())
    }
}

impl Decider {
    /// A migration's value for a tenant. While the tenant is on hold it waits, as [`Decider::decide`] does.
    pub async fn flag(&self, who: &Principal, key: &str, tenant: &str) -> Result<Flag, FlagError> {
        let decisions = self.decide(who, key, &[tenant.to_owned()]).await?;
        let decision = decisions.into_iter().next();
        decision.map(Flag).ok_or_else(|| FlagError::new(FlagErrorCode::General, "no decision for a tenant"))
    }

    /// A tenant's values of all migrations that the caller may ask for, by key, without waiting for a hold to end. Each
    /// is a remote decision; a failure is that of its flag alone.
    pub async fn flags(&self, who: &Principal, tenant: &str) -> Vec<(String, Result<Flag, FlagError>)> {
        let mut keys = self.migrations(who);
        keys.sort();
        let tenants = [tenant.to_owned()];
        let decided = join_all(keys.iter().map(|key| self.decide_now(who, key, &tenants))).await;
        let flags = decided.into_iter().map(|decided| match decided?.first() {
            Some(decision) if decision.rung != Rung::Hold => Ok(Flag(*decision)),
            _ => Err(FlagError::new(
                FlagErrorCode::ProviderNotReady,
                "on hold: ask again, or for this flag alone",
            )),
        });
        keys.iter().cloned().zip(flags).collect()
    }
}
