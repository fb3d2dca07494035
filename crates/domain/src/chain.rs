//! The chain of the history: each event has a hash over its content and the hash of the event before it, so nobody can
//! change, remove or move one without replacing all later hashes.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// First bytes of what is hashed: the form of an entry. Another form needs another name.
const FORM: &str = "cutover history 1";

/// A SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Stands before the first event. No content has it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A stored hash. [`Self::NONE`] if it is not one, so no entry fits it.
    pub fn stored(bytes: &[u8]) -> Self {
        bytes.try_into().map_or(Self::NONE, Self)
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = ();

    /// 64 lower-case hexadecimal digits: one spelling for each hash.
    fn from_str(text: &str) -> Result<Self, ()> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(drop)?;
        }
        Ok(Self(bytes))
    }
}

/// The content of an event as it is stored. Texts are hashed byte by byte and never written anew, so a hash holds over
/// upgrades of the program.
#[derive(Clone, Copy, Debug)]
pub struct HistoryEntry<'a> {
    /// The history in which it was committed.
    pub history_id: &'a str,
    /// Its revision.
    pub revision: u64,
    /// The migration's key.
    pub key: &'a str,
    /// Unix time.
    pub at_ms: u64,
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The kind of change.
    pub change: &'a str,
    /// What it did: the stored JSON.
    pub summary: &'a str,
    /// The document's JSON. `None`: the migration was deleted.
    pub document: Option<Hash>,
    /// The rows' JSON.
    pub rows: Hash,
}

impl HistoryEntry<'_> {
    /// Its hash, after an event with the hash `before`. Each text has its length in front of it, and everything else a
    /// fixed length, so no two entries share an encoding.
    pub fn hash(&self, before: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        let mut text = |text: &str| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        };
        [FORM, self.history_id, self.key, self.actor, self.reason].into_iter().for_each(&mut text);
        [self.request_id, self.change, self.summary].into_iter().for_each(&mut text);
        hasher.update(before.0);
        hasher.update(self.revision.to_be_bytes());
        hasher.update(self.at_ms.to_be_bytes());
        hasher.update([u8::from(self.document.is_some())]);
        hasher.update(self.document.unwrap_or(Hash::NONE).0);
        hasher.update(self.rows.0);
        Hash(hasher.finalize().into())
    }
}

/// Why an entry is not the next one of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// Entries are missing.
    #[error("revision {} is missing: {revision} follows {after}", after + 1)]
    Missing {
        /// The last entry before them.
        after: u64,
        /// The entry after them.
        revision: u64,
    },
    /// An entry is repeated, or in the wrong place.
    #[error("revision {revision} is in the wrong place: it follows {after}")]
    Order {
        /// The entry before it.
        after: u64,
        /// The entry.
        revision: u64,
    },
    /// It was made after another entry than the one before it.
    #[error("revision {revision} does not follow the entry before it: revision {after} was replaced")]
    Replaced {
        /// The entry before it.
        after: u64,
        /// The entry.
        revision: u64,
    },
    /// Its hash is not that of its content and the entry before it.
    #[error("revision {revision} does not fit its hash: it was changed after it was written, or revision {} was replaced", revision.saturating_sub(1))]
    Content {
        /// The entry.
        revision: u64,
    },
}

/// How far a history is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The last entry. 0: none.
    pub revision: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Chain {
    /// Takes the next entry, which says that it has this `hash` and the one before it has `before`.
    pub fn follow(&mut self, entry: &HistoryEntry<'_>, before: &Hash, hash: Hash) -> Result<(), ChainBreak> {
        let (after, revision) = (self.revision, entry.revision);
        if revision <= after {
            return Err(ChainBreak::Order { after, revision });
        }
        if revision - after > 1 {
            return Err(ChainBreak::Missing { after, revision });
        }
        if *before != self.hash {
            return Err(ChainBreak::Replaced { after, revision });
        }
        if hash == Hash::NONE || entry.hash(before) != hash {
            return Err(ChainBreak::Content { revision });
        }
        *self = Self { revision, hash };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: u64) -> HistoryEntry<'static> {
        HistoryEntry {
            history_id: "h",
            revision,
            key: "orders",
            at_ms: 7,
            actor: "token:ada",
            reason: "",
            request_id: "",
            change: "pause",
            summary: "[\"paused\"]",
            document: Some(Hash::of(b"{}")),
            rows: Hash::of(b"[]"),
        }
    }

    /// The form is a contract: histories and checkpoints that exist would not fit another one.
    #[test]
    fn the_form_stays_as_it_is() {
        let text = |text: &str| [&(text.len() as u64).to_be_bytes()[..], text.as_bytes()].concat();
        let texts = ["cutover history 1", "h", "orders", "token:ada", "", "", "pause", "[\"paused\"]"];
        let mut bytes = texts.map(text).concat();
        bytes.extend([0; 32]);
        bytes.extend([3_u64.to_be_bytes(), 7_u64.to_be_bytes()].concat());
        bytes.push(1);
        bytes.extend([Hash::of(b"{}").0, Hash::of(b"[]").0].concat());
        assert_eq!(entry(3).hash(&Hash::NONE), Hash::of(&bytes));
    }

    #[test]
    fn every_part_counts_and_texts_do_not_run_into_each_other() {
        let of = entry(3);
        let others = [
            HistoryEntry { history_id: "i", ..of },
            HistoryEntry { revision: 4, ..of },
            HistoryEntry { key: "order", actor: "stoken:ada", ..of },
            HistoryEntry { at_ms: 8, ..of },
            HistoryEntry { actor: "token:bob", ..of },
            HistoryEntry { reason: "pause", change: "", ..of },
            HistoryEntry { request_id: "pause", change: "", ..of },
            HistoryEntry { change: "paus", summary: "e[\"paused\"]", ..of },
            HistoryEntry { summary: "[\"Paused\"]", ..of },
            HistoryEntry { document: None, ..of },
            HistoryEntry { document: Some(Hash::NONE), ..of },
            HistoryEntry { rows: Hash::of(b"[ ]"), ..of },
        ];
        let mut hashes: Vec<Hash> = others.iter().map(|entry| entry.hash(&Hash::NONE)).collect();
        hashes.extend([of.hash(&Hash::NONE), of.hash(&Hash::of(b""))]);
        for (at, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..at].contains(hash), "{at}");
            assert_eq!(hash.to_string().parse(), Ok(*hash));
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let first = entry(1).hash(&Hash::NONE);
        let mut chain = Chain::default();
        chain.follow(&entry(1), &Hash::NONE, first).expect("the first");
        let good = entry(2).hash(&first);
        let so_far = chain;
        let follow = |entry: HistoryEntry<'_>, before: &Hash, hash| {
            let mut chain = so_far;
            chain.follow(&entry, before, hash).expect_err("it does not fit").to_string()
        };
        let changed = HistoryEntry { reason: "another", ..entry(2) };
        assert!(follow(changed, &first, good).starts_with("revision 2 does not fit its hash"));
        assert!(follow(entry(2), &first, Hash::NONE).starts_with("revision 2 does not fit its hash"));
        assert!(follow(entry(4), &first, good).starts_with("revision 2 is missing: 4 follows 1"));
        assert!(follow(entry(1), &first, first).starts_with("revision 1 is in the wrong place"));
        assert!(follow(entry(2), &Hash::of(b""), good).contains("revision 1 was replaced"));
        chain.follow(&entry(2), &first, good).expect("the second");
        assert_eq!(chain, Chain { revision: 2, hash: good });
    }
}
