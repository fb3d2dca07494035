//! What changes tokens: one change at a time, by somebody whose own token is valid when it is made.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cutover_core::text::span;
use rand::{TryRng as _, rngs::SysRng};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::MutexGuard;

use super::{NewToken, TOKENS_MAX, TokenError, Tokens, known::hash_of};
use crate::{
    domain::{Key, Need, Principal, Role, Violation, check_token_name},
    service::request::RequestMeta,
    store::{Error as StoreError, PreviousToken, TokenChange, TokenEvent, TokenRecord},
};

/// What every token begins with, so that scanners for secrets find it.
pub(super) const PREFIX: &str = "cutover_";

impl Tokens {
    /// Makes one, and returns its text, which is not kept. `caller`: who asks for it. `None`: whoever can write the store,
    /// while no controller runs on it.
    pub async fn create(
        self: &Arc<Self>,
        new: NewToken,
        caller: Option<&Principal>,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        check(&new, now_ms)?;
        let (tokens, caller, by) = (self.clone(), caller.cloned(), by.clone());
        self.under_way.to_the_end(async move { tokens.create_now(new, caller, &by, now_ms).await }).await
    }

    async fn create_now(
        &self,
        new: NewToken,
        caller: Option<Principal>,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        let _changing = self.begin_change(caller.as_ref(), now_ms).await?;
        let known = self.known.load_full();
        if known.is_empty() && (!new.roles.contains(&Role::Admin) || new.expires_ms.is_some()) {
            return Err(TokenError::FirstIsNoAdmin);
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
        caller: &Principal,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(SecretString, TokenRecord), TokenError> {
        let (tokens, caller, by, name) = (self.clone(), caller.clone(), by.clone(), name.to_owned());
        let work = async move {
            let _changing = tokens.begin_change(Some(&caller), now_ms).await?;
            let known = tokens.known.load_full();
            let old = known.get(&name).ok_or_else(|| TokenError::Unknown(shown(&name)))?.record.clone();
            let expires_ms = expires_ms.or(old.expires_ms);
            if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
                return Err(TokenError::Expired(name));
            }
            if expires_ms.is_some() && known.is_last_admin(&name) {
                return Err(TokenError::LastAdmin(name));
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
        caller: &Principal,
        by: &RequestMeta,
        now_ms: u64,
    ) -> Result<(), TokenError> {
        let (tokens, caller, by, name) = (self.clone(), caller.clone(), by.clone(), name.to_owned());
        let work = async move {
            let _changing = tokens.begin_change(Some(&caller), now_ms).await?;
            let known = tokens.known.load_full();
            let old = known.get(&name).ok_or_else(|| TokenError::Unknown(shown(&name)))?.record.clone();
            if known.is_last_admin(&name) {
                return Err(TokenError::LastAdmin(name));
            }
            let summary = format!("revoked {name}: {}", what(&old));
            tokens.change(Some(old.hash), None, event("revoke", &name, summary, &by, now_ms)).await
        };
        self.under_way.to_the_end(work).await
    }

    /// The right to change tokens, one at a time. Nobody has it whose own token ended while the message was on its way.
    async fn begin_change(
        &self,
        caller: Option<&Principal>,
        now_ms: u64,
    ) -> Result<MutexGuard<'_, ()>, TokenError> {
        let changing = self.changing.lock().await;
        if self.is_stale.load(Ordering::Relaxed) {
            self.read_again().await?;
        }
        match caller {
            Some(_) if self.is_open() => Err(TokenError::FirstFromAfar),
            Some(caller) if !caller.may(Need::Administer) || !self.accepts(caller, now_ms) => {
                Err(TokenError::CallerEnded)
            }
            _ => Ok(changing),
        }
    }

    /// Whatever the answer of the store, what is known afterwards is what is stored. If that can't be read, nobody is
    /// accepted whom the change may have ended.
    async fn change(
        &self,
        expected: Option<String>,
        record: Option<TokenRecord>,
        event: TokenEvent,
    ) -> Result<(), TokenError> {
        tracing::info!(actor = event.actor, token = event.token, "{}", event.summary);
        let name = event.token.clone();
        let change = TokenChange { expected, record, event };
        let written = self.store.change_token(&change).await;
        let may_be_written = matches!(written, Ok(()) | Err(StoreError::Unknown(_)));
        if let Err(error) = self.read_again().await
            && may_be_written
        {
            tracing::warn!(%error, "could not read the tokens after a change; retrying");
            // A new text whose storing is unknown is not returned: nobody has it.
            let stored = written.is_ok().then_some(change.record).flatten();
            let others = self.known.load().records().into_iter().filter(|record| record.name != name);
            self.publish(others.chain(stored).collect());
            self.is_stale.store(true, Ordering::Relaxed);
        }
        Ok(written?)
    }

    pub(super) async fn read_again(&self) -> Result<(), StoreError> {
        let stored = self.store.tokens().await?;
        self.publish(stored);
        self.is_stale.store(false, Ordering::Relaxed);
        Ok(())
    }
}

fn check(new: &NewToken, now_ms: u64) -> Result<(), TokenError> {
    let NewToken { name, roles, migrations, expires_ms } = new;
    check_token_name(name)?;
    if roles.is_empty() {
        return Err(Violation::new(
            "roles",
            "is missing: give at least one of sdk, viewer, worker, operator, approver, admin",
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
    // Who asked has counted from a moment before.
    let valid = |at_ms: u64| at_ms.saturating_sub(now_ms).next_multiple_of(60_000);
    record.expires_ms.map_or_else(String::new, |at_ms| format!(", valid for {}", span(valid(at_ms))))
}

/// The part of a caller's text that an error repeats.
fn shown(text: &str) -> String {
    text.chars().take(63).collect()
}
