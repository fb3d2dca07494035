//! The provider's public keys, a JSON Web Key Set (RFC 7517).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse, ThumbprintHash},
};
use serde::Deserialize;
use serde_json::Value;

/// Maximum keys of a set.
const KEYS_MAX: usize = 100;
/// Maximum keys that a token is tried with: anybody can show one, and a signature costs time.
const TRIED_MAX: usize = 8;

/// All keys of a provider at one time.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// One of them.
pub(super) struct Key {
    /// What the provider calls it.
    name: Option<String>,
    /// What it may have been used with.
    algorithms: Vec<Algorithm>,
    pub(super) verifies: DecodingKey,
    /// Its thumbprint (RFC 7638): the same for the same key, whatever else is said of it.
    pub(super) id: String,
}

/// Why a set can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is no set of keys.
    #[error("it is no JSON Web Key Set: {0}")]
    Malformed(#[from] serde_json::Error),
    /// No key in it verifies a signature.
    #[error("it has no key for signatures by RSA (RS, PS), ECDSA (ES256, ES384) or EdDSA")]
    Empty,
    /// It has too many.
    #[error("it has {0} keys, and at most {KEYS_MAX} can be used")]
    TooMany(usize),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads a set. Keys of other kinds are passed over: providers publish those for encryption beside these.
    pub fn parse(json: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let Set { keys } = serde_json::from_slice(json)?;
        if keys.len() > KEYS_MAX {
            return Err(KeysError::TooMany(keys.len()));
        }
        let keys: Vec<Key> = keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// Those that may have signed a token which says so of itself, the likeliest first.
    pub(super) fn candidates(&self, name: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let is_named = |key: &&Key| name.is_none() || key.name.is_none() || key.name.as_deref() == name;
        let mut keys: Vec<&Key> = self.0.iter().filter(is_named).collect();
        keys.retain(|key| key.algorithms.contains(&algorithm));
        keys.sort_by_key(|key| key.name.as_deref() != name);
        keys.into_iter().take(TRIED_MAX)
    }

    /// Whether both have the same keys, in any order.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let has_all = |one: &Self, other: &Self| one.0.iter().all(|key| other.has(&key.id));
        has_all(self, other) && has_all(other, self)
    }

    /// Whether the key is still one of them.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    fn of(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let possible = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            // A shared secret: whoever can check a signature could make one.
            _ => return None,
        };
        let algorithms = match jwk.common.key_algorithm {
            None => possible,
            Some(named) => {
                let named = Algorithm::try_from(named).ok()?;
                possible.into_iter().filter(|it| *it == named).collect()
            }
        };
        if algorithms.is_empty() {
            return None;
        }
        let verifies = DecodingKey::from_jwk(&jwk).ok()?;
        let id = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        Some(Self { name: jwk.common.key_id, algorithms, verifies, id })
    }
}
