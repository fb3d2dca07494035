//! The tokens as they are stored, by what a call shows of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use crate::{domain::Principal, store::TokenRecord};

/// All of them at one time.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_name: BTreeMap<String, Arc<Token>>,
    /// By hashes, so how long a search takes says nothing about a token.
    by_hash: HashMap<String, Accepted>,
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) record: TokenRecord,
    pub(super) principal: Principal,
    pub(super) used_ms: AtomicU64,
    /// The last use that is stored.
    saved_ms: AtomicU64,
}

/// What a hash stands for.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) token: Arc<Token>,
    /// From when it is refused.
    pub(super) until_ms: Option<u64>,
}

impl Known {
    pub(super) fn of(records: Vec<TokenRecord>) -> Self {
        let mut known = Self::default();
        for record in records {
            let principal = Principal::holder(
                &record.name,
                record.roles.iter().copied(),
                record.migrations.iter().cloned(),
            );
            let token = Arc::new(Token {
                principal,
                used_ms: record.used_ms.into(),
                saved_ms: record.used_ms.into(),
                record,
            });
            let record = &token.record;
            if let Some(previous) = &record.previous {
                let accepted = Accepted { token: token.clone(), until_ms: Some(previous.until_ms) };
                known.by_hash.insert(previous.hash.clone(), accepted);
            }
            let accepted = Accepted { token: token.clone(), until_ms: record.expires_ms };
            known.by_hash.insert(record.hash.clone(), accepted);
            known.by_name.insert(record.name.clone(), token);
        }
        known
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Token> {
        self.by_name.get(name).map(Arc::as_ref)
    }

    pub(super) fn accepted(&self, hash: &str) -> Option<&Accepted> {
        self.by_hash.get(hash)
    }

    pub(super) fn records(&self) -> Vec<TokenRecord> {
        let record = |token: &Arc<Token>| TokenRecord {
            used_ms: token.used_ms.load(Ordering::Relaxed),
            ..token.record.clone()
        };
        self.by_name.values().map(record).collect()
    }

    /// Uses that may not be stored yet outlive a change.
    pub(super) fn keep_uses_of(&self, earlier: &Self) {
        for (name, token) in &self.by_name {
            if let Some(before) = earlier.by_name.get(name) {
                token.used_ms.fetch_max(before.used_ms.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    pub(super) fn unsaved(&self) -> Vec<(String, u64)> {
        let unsaved = self.by_name.iter().filter_map(|(name, token)| {
            let used_ms = token.used_ms.load(Ordering::Relaxed);
            (used_ms > token.saved_ms.load(Ordering::Relaxed)).then(|| (name.clone(), used_ms))
        });
        unsaved.collect()
    }

    pub(super) fn saved(&self, used: &[(String, u64)]) {
        for (name, used_ms) in used {
            if let Some(token) = self.by_name.get(name) {
                token.saved_ms.fetch_max(*used_ms, Ordering::Relaxed);
            }
        }
    }
}

/// SHA-256 in hexadecimal. A token has 256 random bits, so there is nothing to guess that a slow hash would protect.
pub(super) fn hash_of(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}
