//! The signature by which a receiver knows that a message comes from this controller and is not a replay.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header with the signature.
pub const HEADER: &str = "Cutover-Signature";

/// The shared secret. Never shown: its `Debug` contains no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// From the content of a file or a variable, without surrounding white space such as an editor's final
    /// newline. `None`: nothing is left, and an empty secret signs nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.as_bytes().to_vec()))
    }

    /// The header's value, `t=<unix s>,v1=<hex of HMAC-SHA256 over "t.body">`. The time is signed too, so
    /// that a receiver can reject replays.
    #[must_use]
    pub fn sign(&self, unix_s: u64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{unix_s}.").as_bytes());
        mac.update(body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={unix_s},v1={hex}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
