//! The identity provider of people, with its keys as they were last read.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::{Tokens, known::hash_of};
use crate::{
    domain::{Need, Principal, Vouched},
    oidc::{self, Keys, Rejected, Settings},
};

/// Maximum accounts whose last login is remembered.
const LOGINS_MAX: usize = 10_000;

/// An identity provider.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    keys: ArcSwap<Keys>,
    wanted: Notify,
    /// Unix time in seconds. 0: not yet.
    read_s: AtomicU64,
    /// The last login of each account that may change migrations.
    logins: Mutex<HashMap<String, Principal>>,
}

impl Provider {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            keys: ArcSwap::default(),
            wanted: Notify::new(),
            read_s: AtomicU64::default(),
            logins: Mutex::default(),
        }
    }

    /// What is believed of it.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Completes once somebody shows a token that none of its keys has signed: it may have new ones.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(super) fn admit(&self, token: &str, now_ms: u64) -> Result<Principal, Rejected> {
        let keys = self.keys.load();
        if keys.is_empty() {
            return Err(Rejected::NoKeys { issuer: self.settings.issuer.clone() });
        }
        let person = oidc::verify(&self.settings, &keys, token, now_ms).inspect_err(|rejected| {
            if matches!(rejected, Rejected::Signature { .. }) {
                self.wanted.notify_one();
            }
        })?;
        let vouched = Vouched { until_ms: person.until_ms, key: person.key, account: person.account };
        let person = Principal::person(&person.name, person.roles, vouched, &hash_of(token));
        self.remember(&person, now_ms);
        Ok(person)
    }

    fn remember(&self, person: &Principal, now_ms: u64) {
        let Some(account) = person.vouched().and_then(|vouched| vouched.account.as_ref()) else { return };
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if !person.may(Need::Operate) {
            logins.remove(account);
            return;
        }
        if logins.len() >= LOGINS_MAX {
            logins.retain(|_, login| login.vouched().is_some_and(|it| it.until_ms > now_ms));
        }
        if logins.len() < LOGINS_MAX || logins.contains_key(account) {
            logins.insert(account.clone(), person.clone());
        }
    }

    /// The last login of an account, if it may change migrations.
    pub(super) fn last_login(&self, account: &str) -> Option<Principal> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    /// Says that the keys were read, and are those in use.
    pub fn keys_read(&self, now_ms: u64) {
        self.read_s.store(now_ms / 1000, Ordering::Relaxed);
    }

    /// When the keys were last read: Unix time in seconds. 0: not yet.
    pub fn keys_read_s(&self) -> u64 {
        self.read_s.load(Ordering::Relaxed)
    }

    /// Whether it would vouch for the same person now.
    pub(super) fn vouches(&self, vouched: &Vouched, now_ms: u64) -> bool {
        vouched.until_ms > now_ms && self.keys.load().has(&vouched.key)
    }
}

impl Tokens {
    /// Believes an identity provider, too.
    pub fn with_provider(mut self, settings: Option<Settings>) -> Self {
        self.provider = settings.map(|settings| Arc::new(Provider::new(settings)));
        self
    }

    /// The identity provider. `None`: none is believed.
    pub const fn provider(&self) -> Option<&Arc<Provider>> {
        self.provider.as_ref()
    }

    /// Uses these keys of the provider from now on. Answers end for those whose token another key signed. Whether any key
    /// is not as before.
    pub fn use_keys(&self, keys: Keys) -> bool {
        let Some(provider) = &self.provider else { return false };
        let is_new = !provider.keys.load().are_those_of(&keys);
        provider.keys.store(Arc::new(keys));
        if is_new {
            self.changed.send_replace(());
        }
        is_new
    }
}
