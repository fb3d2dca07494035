//! The tokens as they are stored, by what a call shows of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use crate::{
    domain::{Principal, Role},
    store::TokenRecord,
};

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
    pub(super) used_ms: AtomicU64,
    /// The last use that is stored.
    saved_ms: AtomicU64,
}

/// What a hash stands for.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) token: Arc<Token>,
    pub(super) principal: Principal,
    /// From when it is refused.
    pub(super) until_ms: Option<u64>,
}

impl Accepted {
    pub(super) fn is_valid(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until_ms| until_ms > now_ms)
    }
}

impl Known {
    pub(super) fn of(records: Vec<TokenRecord>) -> Self {
        let mut known = Self::default();
        for record in records {
            let token =
                Arc::new(Token { used_ms: record.used_ms.into(), saved_ms: record.used_ms.into(), record });
            let record = &token.record;
            let principal = |hash: &str| {
                let (roles, migrations) = (record.roles.iter().copied(), record.migrations.iter().cloned());
                Principal::holder(&record.name, roles, migrations, hash)
            };
            if let Some(previous) = &record.previous {
                let (principal, until_ms) = (principal(&previous.hash), Some(previous.until_ms));
                let accepted = Accepted { token: token.clone(), principal, until_ms };
                known.by_hash.insert(previous.hash.clone(), accepted);
            }
            let (principal, until_ms) = (principal(&record.hash), record.expires_ms);
            let accepted = Accepted { token: token.clone(), principal, until_ms };
            known.by_hash.insert(record.hash.clone(), accepted);
            known.by_name.insert(record.name.clone(), token);
        }
        known
    }

    /// Whether nobody else could manage tokens for good.
    pub(super) fn is_last_admin(&self, name: &str) -> bool {
        let for_good = |token: &&Arc<Token>| {
            token.record.roles.contains(&Role::Admin) && token.record.expires_ms.is_none()
        };
        let mut admins = self.by_name.values().filter(for_good);
        admins.any(|token| token.record.name == name)
            && !self.by_name.values().filter(for_good).any(|token| token.record.name != name)
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
