//! Evictions: an operator asserts that instances are dead.

use std::{sync::Arc, time::Duration};

use super::{
    Guards, Instances, Operate, Passes, Registry, Who,
    operate::{self, Mutation},
};
use crate::domain::{Change, Refusal};

/// The instances to evict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dead {
    /// Every process with this id, lost or not.
    Named(String),
    /// All lost instances, except those that said goodbye and left a file.
    Lost {
        /// Only those that have been silent for longer than this.
        older_than: Duration,
        /// Only those of this service. Empty: of any service.
        service: String,
    },
}

/// What an eviction needs.
#[derive(Clone, Debug)]
pub struct Evictions {
    /// The migrations whose histories record it.
    pub registry: Arc<Registry>,
    /// Writes to the histories.
    pub operate: Arc<Operate>,
    /// The instances.
    pub instances: Arc<Instances>,
    /// Stop judging evicted instances.
    pub guards: Arc<Guards>,
    /// Give their segments to other workers.
    pub passes: Arc<Passes>,
}

impl Evictions {
    /// Evicts instances and returns their ids, which may be none. First it records the eviction, in one
    /// event, in the history of every unfinished migration. So no eviction is without its who and why.
    pub async fn evict(&self, dead: &Dead, mutation: &Mutation) -> Result<Vec<String>, operate::Error> {
        let dead = self.instances.give_up(dead);
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let evicted = self.tell_and_remove(&dead, mutation).await;
        if evicted.is_err() {
            dead.iter().for_each(|who| self.instances.keep_on(who));
        }
        evicted
    }

    async fn tell_and_remove(
        &self,
        dead: &[Who],
        mutation: &Mutation,
    ) -> Result<Vec<String>, operate::Error> {
        let mut ids: Vec<String> = dead.iter().map(|who| who.instance_id.clone()).collect();
        ids.dedup();
        let state = self.registry.state().clone();
        let open = state.entries().filter(|entry| entry.migration.document.finished_at_ms.is_none());
        for entry in open {
            let change = Change::Evict { instances: ids.clone() };
            match self.operate.change(entry.migration.key(), &change, mutation).await {
                // The migration was deleted meanwhile, so its history has ended.
                Ok(_) | Err(operate::Error::Refused(Refusal::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        for who in dead {
            self.instances.evict(who).await?;
            self.guards.goodbye(&who.label());
            self.passes.goodbye(&who.instance_id);
        }
        tracing::warn!(
            instances = ids.join(", "),
            actor = mutation.actor,
            reason = mutation.reason,
            "evicted"
        );
        Ok(ids)
    }
}
