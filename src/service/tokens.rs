//! Who may call (docs/guides/security.md): makes, rotates and revokes tokens, and admits calls by them.
//!
//! While there is no token everybody may do everything. From the first one on every call needs one. The last admin's
//! token can't be revoked, so a controller with tokens never becomes open again.

mod error;
mod known;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use cutover_core::text::span;
use rand::{TryRng as _, rngs::SysRng};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, watch};

use super::{once::Once, operate::RequestMeta, whole::UnderWay};
use crate::{
    domain::{Key, Principal, Role, Violation, check_token_name},
    store::{Error as StoreError, PreviousToken, Store, TokenChange, TokenEvent, TokenRecord},
};
pub use error::{Denied, TokenError};
use known::{Accepted, Known, hash_of};

/// What every token begins with, so that scanners for secrets find it.
const PREFIX: &str = "cutover_";
/// Maximum tokens.
const TOKENS_MAX: usize = 10_000;
/// Interval at which it is stored when tokens were last used.
const EVERY: Duration = Duration::from_secs(60);

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

/// A call that was admitted.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who makes it.
    pub principal: Principal,
    /// The hash of its token. `None`: there were no tokens.
    hash: Option<String>,
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
}

impl Tokens {
    /// Reads them.
    pub async fn load(store: Arc<dyn Store>, under_way: UnderWay) -> Result<Self, StoreError> {
        let known = ArcSwap::from_pointee(Known::of(store.tokens().await?));
        Ok(Self { store, known, changing: Mutex::default(), changed: watch::Sender::default(), under_way })
    }

    /// Whether everybody may do everything.
    pub fn is_empty(&self) -> bool {
        self.known.load().is_empty()
    }

    /// Who makes a call with this token, or why it is refused.
    pub fn admit(&self, token: Option<&str>, now_ms: u64) -> Result<Authenticated, Denied> {
        let known = self.known.load();
        if known.is_empty() {
            return Ok(Authenticated { principal: Principal::anybody(), hash: None });
        }
        let hash = hash_of(token.ok_or(Denied::Missing)?);
        let Accepted { token, until_ms } = known.accepted(&hash).ok_or(Denied::Unknown)?;
        if let Some(until_ms) = until_ms.filter(|until_ms| *until_ms <= now_ms) {
            let name = token.record.name.clone();
            // One that was rotated is as good as gone.
            return Err(match token.record.hash == hash {
                true => Denied::Expired { name, ago: span(now_ms - until_ms) },
                false => Denied::Unknown,
            });
        }
        token.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(Authenticated { principal: token.principal.clone(), hash: Some(hash) })
    }

    /// Completes once the call would be refused: its token was revoked, rotated or has expired, or the first token
    /// was made. Streams end then.
    pub async fn until_refused(&self, admitted: Authenticated, now_ms: impl Fn() -> u64) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let until_ms = {
                let known = self.known.load();
                match &admitted.hash {
                    None if known.is_empty() => None,
                    None => return,
                    Some(hash) => match known.accepted(hash) {
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

    /// What was done to tokens, newest first.
    pub async fn events(&self, before: u64, limit: u32) -> Result<Vec<(u64, TokenEvent)>, StoreError> {
        let before = if before == 0 { u64::MAX } else { before };
        self.store.token_events(before, limit).await
    }

    /// Makes one, and returns its text, which is not kept. `is_local`: the caller is on this machine.
    pub async fn create(
        self: &Arc<Self>,
        new: NewToken,
        is_local: bool,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        check(&new, now_ms)?;
        let (tokens, by) = (self.clone(), by.clone());
        self.under_way.to_the_end(async move { tokens.create_now(new, is_local, &by, now_ms).await }).await
    }

    async fn create_now(
        &self,
        new: NewToken,
        is_local: bool,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        let _changing = self.changing.lock().await;
        let known = self.known.load_full();
        if known.is_empty() {
            if !new.roles.contains(&Role::Admin) || new.expires_ms.is_some() {
                return Err(TokenError::FirstIsNoAdmin);
            }
            if !is_local {
                return Err(TokenError::FirstFromAfar);
            }
        }
        if known.get(&new.name).is_some() {
            return Err(TokenError::Exists(new.name));
        }
        if known.len() >= TOKENS_MAX {
            return Err(TokenError::TooMany);
        }
        let text = draw()?;
        let record = TokenRecord {
            name: new.name,
            roles: new.roles,
            migrations: new.migrations,
            hash: hash_of(text.expose_secret()),
            created_ms: now_ms,
            created_by: by.actor.clone(),
            expires_ms: new.expires_ms,
            previous: None,
            used_ms: 0,
        };
        let summary = format!("created {}: {}{}", record.name, what(&record), until(&record, now_ms));
        self.change(None, Some(record.clone()), event("create", &record.name, summary, by, now_ms)).await?;
        Ok((text, record))
    }

    /// Gives it another text, which is returned. The old one is accepted for `keep` more. `expires_ms`: a new end;
    /// `None`: as before.
    pub async fn rotate(
        self: &Arc<Self>,
        name: &str,
        keep: Duration,
        expires_ms: Option<u64>,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        let (tokens, by, name) = (self.clone(), by.clone(), name.to_owned());
        let work = async move {
            let _changing = tokens.changing.lock().await;
            let known = tokens.known.load_full();
            let old = known.get(&name).ok_or_else(|| TokenError::Unknown(shown(&name)))?.record.clone();
            let expires_ms = expires_ms.or(old.expires_ms);
            if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
                return Err(TokenError::Expired(name));
            }
            let text = draw()?;
            let until_ms = now_ms.saturating_add(keep.as_millis() as u64);
            let until_ms = old.expires_ms.map_or(until_ms, |expires_ms| until_ms.min(expires_ms));
            let previous = PreviousToken { hash: old.hash.clone(), until_ms };
            let record = TokenRecord {
                hash: hash_of(text.expose_secret()),
                expires_ms,
                previous: Some(previous).filter(|_| until_ms > now_ms),
                ..old.clone()
            };
            let kept = match record.previous {
                Some(_) => format!("; the old text is accepted for {}", span(until_ms - now_ms)),
                None => String::new(),
            };
            let summary = format!("rotated {name}{}{kept}", until(&record, now_ms));
            let event = event("rotate", &name, summary, &by, now_ms);
            tokens.change(Some(old.hash), Some(record.clone()), event).await?;
            Ok((text, record))
        };
        self.under_way.to_the_end(work).await
    }

    /// Revokes it: every later call with it is refused, and its streams end.
    pub async fn revoke(
        self: &Arc<Self>,
        name: &str,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(), TokenError> {
        let (tokens, by, name) = (self.clone(), by.clone(), name.to_owned());
        let work = async move {
            let _changing = tokens.changing.lock().await;
            let known = tokens.known.load_full();
            let old = known.get(&name).ok_or_else(|| TokenError::Unknown(shown(&name)))?.record.clone();
            let is_admin = |record: &TokenRecord| {
                let is_valid = record.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms);
                record.roles.contains(&Role::Admin) && is_valid
            };
            if is_admin(&old) && !known.records().iter().any(|it| it.name != name && is_admin(it)) {
                return Err(TokenError::LastAdmin(name));
            }
            let summary = format!("revoked {name}: {}", what(&old));
            tokens.change(Some(old.hash), None, event("revoke", &name, summary, &by, now_ms)).await
        };
        self.under_way.to_the_end(work).await
    }

    /// Whatever the answer of the store, what is known afterwards is what is stored.
    async fn change(
        &self,
        expected: Option<String>,
        record: Option<TokenRecord>,
        event: TokenEvent,
    ) -> Result<(), TokenError> {
        tracing::info!(actor = event.actor, token = event.token, "{}", event.summary);
        let written = self.store.change_token(&TokenChange { expected, record, event }).await;
        let stored = match self.store.tokens().await {
            Ok(stored) => stored,
            // A revoked token must not be accepted because the store can't be read now.
            Err(error) if written.is_ok() => return self.read_again(error).await,
            Err(error) => return Err(written.err().unwrap_or(error).into()),
        };
        self.publish(stored);
        Ok(written?)
    }

    async fn read_again(&self, mut error: StoreError) -> Result<(), TokenError> {
        loop {
            tracing::warn!(%error, "could not read the tokens after a change; retrying");
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.store.tokens().await {
                Ok(stored) => {
                    self.publish(stored);
                    return Ok(());
                }
                Err(again) => error = again,
            }
        }
    }

    fn publish(&self, stored: Vec<TokenRecord>) {
        let used = self.known.load_full();
        let known = Known::of(stored);
        known.keep_uses_of(&used);
        self.known.store(Arc::new(known));
        self.changed.send_replace(());
    }

    /// Stores regularly when tokens were last used, until the process ends.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            ticks.tick().await;
            let saved = self.save_uses().await;
            if once.is_news(&saved)
                && let Err(error) = saved
            {
                tracing::warn!(%error, "could not persist when tokens were last used; retrying");
            }
        }
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

fn check(new: &NewToken, now_ms: u64) -> Result<(), TokenError> {
    let NewToken { name, roles, migrations, expires_ms } = new;
    check_token_name(name)?;
    if roles.is_empty() {
        return Err(Violation::new(
            "roles",
            "is missing: give at least one of sdk, viewer, operator, approver, admin",
        )
        .into());
    }
    if !migrations.is_empty() && roles.iter().any(|role| *role != Role::Sdk) {
        let message = "is only for tokens whose only role is sdk: people's tokens are for all migrations";
        return Err(Violation::new("migrations", message).into());
    }
    if migrations.len() > 1000 {
        return Err(Violation::new("migrations", "name at most 1000, or none for all").into());
    }
    if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(Violation::new("expires_ms", "is in the past").into());
    }
    Ok(())
}

/// 256 bits from the operating system.
fn draw() -> Result<SecretString, TokenError> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretString::from(format!("{PREFIX}{hex}")))
}

fn event(change: &str, token: &str, summary: String, by: &RequestMeta, now_ms: u64) -> TokenEvent {
    let (change, token) = (change.to_owned(), token.to_owned());
    TokenEvent { at_ms: now_ms, actor: by.actor.clone(), reason: by.reason.clone(), change, token, summary }
}

/// Roles and migrations, for people.
fn what(record: &TokenRecord) -> String {
    let roles = record.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
    match record.migrations.len() {
        0 => roles,
        1..=3 => format!(
            "{roles} for {}",
            record.migrations.iter().map(Key::as_str).collect::<Vec<_>>().join(", ")
        ),
        many => format!("{roles} for {many} migrations"),
    }
}

fn until(record: &TokenRecord, now_ms: u64) -> String {
    record.expires_ms.map_or_else(String::new, |at_ms| format!(", expires in {}", span(at_ms - now_ms)))
}

/// The part of a caller's text that an error repeats.
fn shown(text: &str) -> String {
    text.chars().take(63).collect()
}

#[cfg(test)]
mod tests;
