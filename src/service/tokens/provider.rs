//! The identity provider of people, with its keys as they were last read.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::{Tokens, known::hash_of};
use crate::{
    domain::{Principal, Vouched},
    oidc::{self, Keys, Rejected, Settings},
};

/// An identity provider.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    keys: ArcSwap<Keys>,
    wanted: Notify,
}

impl Provider {
    fn new(settings: Settings) -> Self {
        Self { settings, keys: ArcSwap::default(), wanted: Notify::new() }
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
        let vouched = Vouched { until_ms: person.until_ms, key: person.key };
        Ok(Principal::person(&person.name, person.roles, vouched, &hash_of(token)))
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

    /// Uses these keys of the provider from now on. Answers end for those whose token another key signed.
    pub fn use_keys(&self, keys: Keys) {
        if let Some(provider) = &self.provider {
            provider.keys.store(Arc::new(keys));
            self.changed.send_replace(());
        }
    }
}
