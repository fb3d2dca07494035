//! What a controller does about a store that was restored, or appears to be.

use std::path::Path;

use super::{Operate, operate};
use crate::{
    domain::{Change, Refusal},
    store::{self, Upkeep},
};

impl Operate {
    /// Holds every migration of a store that was restored from a backup. Call it before serving anybody.
    pub async fn hold_restored(&self, why: &str) -> Result<(), operate::Error> {
        self.hold_all(why).await?;
        Ok(self.store.keep(&Upkeep { forget_restored: true, ..Upkeep::default() }).await?)
    }

    /// An instance registers that holds a revision of this history which never existed here: the store's file
    /// must have been copied or put back. Every migration is held until that is confirmed.
    pub async fn hold_future(&self, instance: &str, held: u64, newest: u64) -> Result<(), operate::Error> {
        let why =
            format!("instance {instance} holds revision {held}, this store is at {newest}: was it restored?");
        tracing::error!(instance, held, newest, "this store is older than what an instance holds");
        self.hold_all(&why).await
    }

    async fn hold_all(&self, why: &str) -> Result<(), operate::Error> {
        let keys: Vec<_> = {
            let state = self.registry.state();
            let open = state.entries().filter(|entry| entry.migration.document.restored.is_none());
            open.map(|entry| entry.migration.key().clone()).collect()
        };
        let by = operate::Mutation { actor: "controller".to_owned(), ..Default::default() };
        for key in keys {
            let change = Change::SuspectRestore { why: why.to_owned() };
            match self.change(&key, &change, &by).await {
                Ok(_) | Err(operate::Error::Refused(Refusal::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a copy of the store to a file that does not exist yet.
    pub async fn backup(&self, into: &Path) -> Result<(), store::Error> {
        self.store.backup(into).await
    }
}
