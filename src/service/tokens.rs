//! Who may call (docs/guides/security.md): admits calls by their tokens. `change` makes, rotates and revokes them;
//! `provider` believes those of an identity provider.
//!
//! A controller that starts without tokens lets everybody do everything, and makes none: the first is made in its store
//! while it does not run. One that starts with tokens needs one for every call, and never becomes open again: the last
//! admin's token that does not expire can be neither revoked nor limited.

mod askers;
mod change;
mod error;
mod known;
mod provider;
mod refusals;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use cutover_core::text::span;
use tokio::sync::{Mutex, watch};

use super::{once::Once, whole::UnderWay};
use crate::{
    domain::{Credential, Key, Principal, Role, Vouched},
    oidc,
    store::{Error as StoreError, Store, TokenEvent, TokenRecord},
};
pub use error::{Denied, TokenError};
use known::{Accepted, Known, hash_of};
pub use provider::Provider;
pub use refusals::{Refusals, RefusedBy, RefusedWatch};

/// Maximum tokens.
const TOKENS_MAX: usize = 10_000;
/// Interval at which it is stored when tokens were last used.
const EVERY: Duration = Duration::from_secs(60);
/// How soon the tokens are read again after that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Unique.
    pub name: String,
    /// At least one.
    pub roles: Vec<Role>,
    /// Only for [`Role::Sdk`]. Empty: all migrations.
    pub migrations: Vec<Key>,
    /// From when it is refused. `None`: it does not expire.
    pub expires_ms: Option<u64>,
}

/// What the token by which a process registered is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is accepted, or none is needed.
    Valid,
    /// The text that the process showed was rotated. There is another one for the same name.
    Rotated,
    /// It was revoked, or has expired.
    Ended,
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens {
    store: Arc<dyn Store>,
    known: ArcSwap<Known>,
    /// One change at a time.
    changing: Mutex<()>,
    changed: watch::Sender<()>,
    under_way: UnderWay,
    /// There are tokens, or were: no call is made without one any more.
    is_closed: AtomicBool,
    /// What is known may not be what is stored.
    is_stale: AtomicBool,
    refusals: Refusals,
    provider: Option<Arc<Provider>>,
}

impl Tokens {
    /// Reads them.
    pub async fn load(store: Arc<dyn Store>, under_way: UnderWay) -> Result<Self, StoreError> {
        let known = Known::of(store.tokens().await?);
        let is_closed = AtomicBool::new(!known.is_empty());
        let known = ArcSwap::from_pointee(known);
        Ok(Self {
            store,
            known,
            changing: Mutex::default(),
            changed: watch::Sender::default(),
            under_way,
            is_closed,
            is_stale: AtomicBool::default(),
            refusals: Refusals::default(),
            provider: None,
        })
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Relaxed)
    }

    /// Who makes a call with this token, or why it is refused.
    pub fn admit(&self, token: Option<&str>, now_ms: u64) -> Result<Principal, Denied> {
        if self.is_open() {
            return Ok(Principal::anybody());
        }
        let known = self.known.load();
        let text = token.ok_or(Denied::Missing)?;
        if let Some(provider) = self.provider.as_ref().filter(|_| oidc::is_jwt(text)) {
            return Ok(provider.admit(text, now_ms)?);
        }
        let hash = hash_of(text);
        let Accepted { token, principal, until_ms } = known.accepted(&hash).ok_or(Denied::Unknown)?;
        if let Some(until_ms) = until_ms.filter(|until_ms| *until_ms <= now_ms) {
            let name = token.record.name.clone();
            // One that was rotated is as good as gone.
            return Err(match token.record.hash == hash {
                true => Denied::Expired { name, ago: span(now_ms - until_ms) },
                false => Denied::Unknown,
            });
        }
        token.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(principal.clone())
    }

    /// Whether a call that was admitted would be admitted now.
    pub fn accepts(&self, caller: &Principal, now_ms: u64) -> bool {
        if let Some(vouched) = caller.vouched() {
            return self.vouches(vouched, now_ms);
        }
        let known = self.known.load();
        match caller.hash() {
            None => self.is_open(),
            Some(hash) => known.accepted(hash).is_some_and(|accepted| accepted.is_valid(now_ms)),
        }
    }

    fn vouches(&self, vouched: &Vouched, now_ms: u64) -> bool {
        self.provider.as_ref().is_some_and(|provider| provider.vouches(vouched, now_ms))
    }

    /// What the token of a process is worth now.
    pub fn standing(&self, credential: &Credential, now_ms: u64) -> Standing {
        let known = self.known.load();
        let accepted = known.accepted(&credential.hash);
        if self.is_open() || accepted.is_some_and(|accepted| accepted.is_valid(now_ms)) {
            return Standing::Valid;
        }
        let named = known.get(&credential.token);
        let is_there = named.is_some_and(|it| it.record.is_valid(now_ms));
        if is_there { Standing::Rotated } else { Standing::Ended }
    }

    /// The calls that were refused.
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Completes once the call would be refused: its token was revoked or rotated, or has expired. Answers end then.
    pub async fn until_refused(&self, caller: Principal, now_ms: impl Fn() -> u64) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let until_ms = {
                let known = self.known.load();
                match (caller.vouched(), caller.hash()) {
                    (Some(vouched), _) if self.vouches(vouched, now_ms()) => Some(vouched.until_ms),
                    (Some(_), _) => return,
                    (None, None) if self.is_open() => None,
                    (None, None) => return,
                    (None, Some(hash)) => match known.accepted(hash) {
                        None => return,
                        Some(accepted) => accepted.until_ms,
                    },
                }
            };
            let left = until_ms.map(|until_ms| until_ms.saturating_sub(now_ms()));
            if left == Some(0) {
                return;
            }
            // Looked at again from time to time, because the clock may be set.
            let left = Duration::from_millis(left.unwrap_or(u64::MAX)).min(EVERY);
            match until_ms {
                None => _ = changed.changed().await,
                Some(_) => _ = tokio::time::timeout(left, changed.changed()).await,
            }
        }
    }

    /// All tokens, by name, with when each was last used.
    pub fn list(&self) -> Vec<TokenRecord> {
        self.known.load().records()
    }

    /// The token of this name.
    pub fn record(&self, name: &str) -> Option<TokenRecord> {
        self.known.load().get(name).map(|token| token.record.clone())
    }

    /// What was done to tokens, newest first.
    pub async fn events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, StoreError> {
        let before = if before == 0 { u64::MAX } else { before };
        self.store.token_events(before, limit).await
    }

    fn publish(&self, stored: Vec<TokenRecord>) {
        let used = self.known.load_full();
        let known = Known::of(stored);
        known.keep_uses_of(&used);
        self.is_closed.fetch_or(!known.is_empty(), Ordering::Relaxed);
        self.known.store(Arc::new(known));
        self.changed.send_replace(());
    }

    /// Stores regularly when tokens were last used, until the process ends.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = tokio::time::sleep(AGAIN), if self.is_stale.load(Ordering::Relaxed) => {}
            }
            let saved = self.settle_and_save().await;
            if once.is_news(&saved)
                && let Err(error) = saved
            {
                tracing::warn!(%error, "could not read the tokens, or persist when they were last used; retrying");
            }
        }
    }

    async fn settle_and_save(&self) -> Result<(), StoreError> {
        if self.is_stale.load(Ordering::Relaxed) {
            let _changing = self.changing.lock().await;
            self.read_again().await?;
        }
        self.save_uses().await
    }

    /// Stores it now.
    pub async fn save_uses(&self) -> Result<(), StoreError> {
        let known = self.known.load_full();
        let used = known.unsaved();
        if used.is_empty() {
            return Ok(());
        }
        self.store.note_used(&used).await?;
        known.saved(&used);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
