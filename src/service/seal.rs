//! Proofs of which states a controller has sent. An instance repeats the one of the state that it holds. So nobody can
//! claim a revision that was never sent, nor changes that start from a state that a token for other migrations got.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Makes and checks seals.
pub struct Seals(SecretString);

impl Seals {
    pub(super) fn new(key: String) -> Self {
        Self(key.into())
    }

    /// Of a state of a history, as it is sent to tokens for the migrations of `scope`
    /// ([`Principal::scope`](crate::domain::Principal::scope)).
    pub fn seal(&self, history_id: &str, revision: u64, scope: &str) -> String {
        let scope = hex(&Sha256::digest(scope)[..16]);
        let proof = self.proof(history_id, revision, &scope);
        format!("{scope}.{proof}")
    }

    /// Whether this very state was sent to a token for the same migrations.
    pub fn is_of_scope(&self, seal: &str, history_id: &str, revision: u64, scope: &str) -> bool {
        are_equal(seal, &self.seal(history_id, revision, scope))
    }

    /// Whether this revision of the history was sent to anybody.
    pub fn is_genuine(&self, seal: &str, history_id: &str, revision: u64) -> bool {
        let parts = seal.split_once('.');
        parts.is_some_and(|(scope, proof)| are_equal(proof, &self.proof(history_id, revision, scope)))
    }

    fn proof(&self, history_id: &str, revision: u64, scope: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(format!("{history_id}\n{revision}\n{scope}").as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seals(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In a time that says nothing about where they differ.
fn are_equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_one_history_revision_and_scope() {
        let seals = Seals::new("key".to_owned());
        let seal = seals.seal("h", 7, "orders");
        assert!(seals.is_of_scope(&seal, "h", 7, "orders") && seals.is_genuine(&seal, "h", 7));
        for (history, revision, scope) in
            [("g", 7, "orders"), ("h", 8, "orders"), ("h", 7, "orders users"), ("h", 7, "*")]
        {
            assert!(!seals.is_of_scope(&seal, history, revision, scope), "{history} {revision} {scope}");
        }
        assert!(!seals.is_genuine(&seal, "h", 8) && !seals.is_genuine(&seal, "g", 7));
        let (scope, proof) = seal.split_once('.').expect("two parts");
        let forged = ["", ".", proof, &seal[1..], &format!("x{scope}.{proof}"), &format!("{scope}.")];
        for forged in forged {
            assert!(!seals.is_genuine(forged, "h", 7), "{forged}");
        }
        assert!(!Seals::new("other".to_owned()).is_genuine(&seal, "h", 7));
        assert!(!format!("{seals:?}").contains("key"));
    }
}
