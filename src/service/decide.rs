//! Decisions for callers over the network, which have no snapshot of their own.

use std::{sync::Arc, time::Duration};

use cutover_core::routing::{self, Decision, Rung};

use super::{Entry, Instances, Registry};
use crate::{domain::Principal, store};

/// Decides for callers. Each request but a look-up is recorded before it is decided, so that every step waits for
/// answers that may still be valid.
#[derive(Clone, Debug)]
pub struct Decider {
    /// The newest state.
    pub registry: Arc<Registry>,
    /// Records that a migration has callers.
    pub instances: Arc<Instances>,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The migration or the tenant can't be routed.
    #[error(transparent)]
    Routing(#[from] routing::Error),
    /// The tenant stayed on hold.
    #[error("still on hold after {0} ms: ask again")]
    OnHold(u32),
    /// Nobody is routed before an operator confirms.
    #[error("the controller's store was restored; nobody is routed before: cutover confirm {0}")]
    Restored(String),
    /// The caller's token is not for this migration.
    #[error("{0}")]
    OutOfScope(String),
    /// The controller ends.
    #[error("the controller is shutting down: ask again")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Decider {
    /// Decides for tenants of one migration, all at one revision. While one of them is on hold it waits, at
    /// most the migration's `hold_timeout_ms` at a time.
    pub async fn decide(
        &self,
        who: &Principal,
        migration: &str,
        tenants: &[String],
    ) -> Result<Vec<Decision>, DecideError> {
        loop {
            let decisions = self.decide_now(who, migration, tenants).await?;
            match decisions.iter().position(|decision| decision.rung == Rung::Hold) {
                Some(at) => self.hold_over(migration, &tenants[at]).await?,
                None => return Ok(decisions),
            }
        }
    }

    /// Where a tenant is, for people. No step waits for the answer, so nobody may act on it.
    pub fn look_up(&self, who: &Principal, migration: &str, tenant: &str) -> Result<Decision, DecideError> {
        if !who.covers(migration) {
            return Err(DecideError::OutOfScope(who.out_of_scope(migration)));
        }
        let decision = self.registry.state().routing.decide(migration, tenant)?;
        match decision.rung {
            Rung::Hold if self.is_restored(migration) => Err(DecideError::Restored(migration.to_owned())),
            _ => Ok(decision),
        }
    }

    /// The same as [`Self::decide`] without waiting: a tenant may be on hold.
    pub(super) async fn decide_now(
        &self,
        who: &Principal,
        migration: &str,
        tenants: &[String],
    ) -> Result<Vec<Decision>, DecideError> {
        if !who.covers(migration) {
            return Err(DecideError::OutOfScope(who.out_of_scope(migration)));
        }
        let mut state = Arc::clone(&self.registry.state());
        if let Some(entry) = state.entry_of(migration).cloned() {
            self.note_asked(&entry).await?;
            state = Arc::clone(&self.registry.state());
        }
        let decide = |tenant: &String| state.routing.decide(migration, tenant);
        Ok(tenants.iter().map(decide).collect::<Result<Vec<_>, _>>()?)
    }

    /// The keys of all migrations that the caller may ask for.
    pub(super) fn migrations(&self, who: &Principal) -> Vec<String> {
        let state = self.registry.state();
        let keys = state.entries().map(|entry| entry.migration.key().as_str());
        keys.filter(|key| who.covers(key)).map(str::to_owned).collect()
    }

    /// Call this before reading the state by which the decision is made: a caller may keep using what was right at
    /// this moment. If the migration was deleted and created again meanwhile, it is noted there as well.
    async fn note_asked(&self, entry: &Entry) -> Result<(), store::Error> {
        if !entry.is_known_to_be_asked() {
            self.instances.note_callers(entry.migration.key()).await?;
            entry.note_known_to_be_asked();
        }
        entry.note_asked();
        Ok(())
    }

    /// Waits until a tenant is no longer on hold.
    async fn hold_over(&self, migration: &str, tenant: &str) -> Result<(), DecideError> {
        let mut revisions = self.registry.subscribe();
        let timeout_ms = self.registry.state().routing.table(migration)?.policy().hold_timeout_ms;
        let over = async {
            while self.registry.state().routing.decide(migration, tenant)?.rung == Rung::Hold {
                revisions.changed().await.map_err(|_| DecideError::Stopping)?;
            }
            Ok(())
        };
        match tokio::time::timeout(Duration::from_millis(timeout_ms.into()), over).await {
            Ok(over) => over,
            Err(_) if self.is_restored(migration) => Err(DecideError::Restored(migration.to_owned())),
            Err(_) => Err(DecideError::OnHold(timeout_ms)),
        }
    }

    fn is_restored(&self, migration: &str) -> bool {
        let state = self.registry.state();
        state.entry_of(migration).is_some_and(|entry| entry.migration.document.restored.is_some())
    }
}
