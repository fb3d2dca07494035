//! People whom an identity provider vouches for (OpenID Connect): what a JSON Web Token has to say to be accepted, and
//! as whom. Pure; `server/oidc` brings the provider's keys.

mod claims;
mod keys;
mod settings;

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde_json::{Map, Value};

use crate::domain::Role;
pub use keys::{Keys, KeysError};
pub use settings::{File, KeySource, Settings, SettingsError};

/// How far the provider's clock may be from ours.
const LEEWAY_S: u64 = 30;
/// Longest token. A provider that names many groups makes long ones. HTTP/2 takes headers of 16 KiB altogether.
const TOKEN_MAX_BYTES: usize = 12 * 1024;

/// Somebody whom the provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// What the provider calls them.
    pub name: String,
    /// At least one.
    pub roles: Vec<Role>,
    /// From when the token is refused.
    pub until_ms: u64,
    /// The key that signed it.
    pub key: String,
    /// The issuer, and what it calls the account for good. `None`: the token does not say.
    pub account: Option<String>,
}

/// Why a JSON Web Token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The provider's keys could not be read yet.
    #[error(
        "the keys of {issuer} are not known yet, see the controller's log. Try again soon, or show a token of Cutover"
    )]
    NoKeys {
        /// The provider.
        issuer: String,
    },
    /// It can't be read. Nobody has signed it, so this says nothing in the words of who made it.
    #[error("the token is no JSON Web Token that can be used: {0}. Copy it whole")]
    Malformed(&'static str),
    /// It is too long for HTTP/2.
    #[error(
        "the token has {0} bytes, and may have {TOKEN_MAX_BYTES}: ask the provider for one with fewer groups or claims"
    )]
    TooLong(usize),
    /// None of the provider's keys signed it.
    #[error(
        "the token is not signed by a key of {issuer}. If the provider has just changed its keys, try again in some seconds; \
         otherwise show one of that provider"
    )]
    Signature {
        /// The provider.
        issuer: String,
    },
    /// It is somebody else's.
    #[error("the token was not made by {issuer}: show one of that provider")]
    Issuer {
        /// The provider.
        issuer: String,
    },
    /// It is for another application.
    #[error("the token is not for {audience}: ask the provider for one whose audience (aud) is {audience}")]
    Audience {
        /// This controller's.
        audience: String,
    },
    /// A claim is missing, or can't be used.
    #[error("the token's claim {claim:?} {lacks}. Ask whoever set up [oidc], or log in again")]
    Claim {
        /// Its name.
        claim: String,
        /// What is wrong.
        lacks: &'static str,
    },
    /// It has expired.
    #[error("the token of {name} expired {ago} ago: log in again, and show the new one")]
    Expired {
        /// Whose it was.
        name: String,
        /// How long ago.
        ago: String,
    },
    /// It is not valid yet.
    #[error(
        "the token of {name} is valid only from {until} on: is the clock of the controller or the provider wrong?"
    )]
    NotYet {
        /// Whose it is.
        name: String,
        /// How long it takes.
        until: String,
    },
    /// None of its groups has a role.
    #[error(
        "{name} is in no group that has a role here: [oidc.roles] in the controller's configuration says which have"
    )]
    NoRole {
        /// Whose token it is.
        name: String,
    },
}

/// Whether this looks like a JSON Web Token, which no token of Cutover does.
pub fn is_jwt(text: &str) -> bool {
    text.split('.').count() == 3
}

/// Whose token this is, at `now_ms`.
pub fn verify(settings: &Settings, keys: &Keys, token: &str, now_ms: u64) -> Result<Person, Rejected> {
    if token.len() > TOKEN_MAX_BYTES {
        return Err(Rejected::TooLong(token.len()));
    }
    let header = decode_header(token).map_err(|error| {
        Rejected::Malformed(match error.kind() {
            ErrorKind::Base64(_) | ErrorKind::Utf8(_) => "its header is not base64url",
            ErrorKind::Json(_) => "its header is no JSON object with a known algorithm (alg)",
            _ => "it has no header that can be read",
        })
    })?;
    let unsigned = || Rejected::Signature { issuer: settings.issuer.clone() };
    let mut refused = None;
    for key in keys.candidates(header.kid.as_deref(), header.alg) {
        let mut validation = Validation::new(header.alg);
        // Times are judged below, by the clock that is given.
        validation.validate_exp = false;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        match decode::<Map<String, Value>>(token, &key.verifies, &validation) {
            Ok(decoded) => return claims::person(settings, &decoded.claims, &key.id, now_ms),
            Err(error) => refused = refused.or(rejected(settings, error.kind())),
        }
    }
    Err(refused.unwrap_or_else(unsigned))
}

/// `None`: this key did not sign it.
fn rejected(settings: &Settings, error: &ErrorKind) -> Option<Rejected> {
    Some(match error {
        ErrorKind::InvalidIssuer => Rejected::Issuer { issuer: settings.issuer.clone() },
        ErrorKind::InvalidAudience => Rejected::Audience { audience: settings.audience.clone() },
        ErrorKind::MissingRequiredClaim(claim) => {
            Rejected::Claim { claim: claim.clone(), lacks: "is missing" }
        }
        ErrorKind::InvalidClaimFormat(claim) => {
            Rejected::Claim { claim: claim.clone(), lacks: "is malformed" }
        }
        ErrorKind::Json(_) | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
            Rejected::Malformed("its claims are no JSON object")
        }
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
