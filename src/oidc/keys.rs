//! The provider's public keys, a JSON Web Key Set (RFC 7517).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Maximum keys of a set: each may be tried for a token that names none.
const KEYS_MAX: usize = 100;

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
    /// A hash: the same for the same key only.
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

    /// Those that may have signed a token which says so of itself.
    pub(super) fn candidates<'a>(
        &'a self,
        name: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        let is_named = move |key: &&Key| name.is_none() || key.name.is_none() || key.name.as_deref() == name;
        self.0.iter().filter(is_named).filter(move |key| key.algorithms.contains(&algorithm))
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
        let digest = Sha256::digest(serde_json::to_vec(&jwk).ok()?);
        let id = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { name: jwk.common.key_id, algorithms, verifies, id })
    }
}
