//! Who joins and who leaves: registration, goodbye, and eviction by an operator.

use std::sync::Arc;

use cutover_core::routing::Mutation;

use super::{
    Admitted, Asking, Dead, Entry, Fenced, Guards, Instances, Operate, Passes, RegisterError, Registration,
    Registry, Who,
    operate::{self, RequestMeta},
};
use crate::{
    domain::{Change, Credential, Refusal},
    store,
    telemetry::{Ingest, now_ms},
};

/// What a process says it knows when it joins.
#[derive(Clone, Debug)]
pub struct Known {
    /// The newest revision that it holds, or keeps from an earlier history of its own.
    pub revision: u64,
    /// Of which history.
    pub history_id: String,
    /// Whether this controller, or one on a copy of its store, has sent it.
    pub is_genuine: bool,
}

/// Why a process can't join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It is not registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Another history can't be begun.
    #[error(transparent)]
    Operate(#[from] operate::Error),
    /// It claims a revision that this store never had, and can't prove that it was sent.
    #[error(
        "it claims to hold revision {claimed} of this history, which is at {newest}, and can't prove that. If the \
         controller's store was put back from a copy: stop the controller, and restore a backup (cutover restore)"
    )]
    Unproven {
        /// What it claims.
        claimed: u64,
        /// What there is.
        newest: u64,
    },
    /// It holds a state that this store never had.
    #[error(
        "the controller's store is older than what this process holds: the controller starts anew, and puts every \
         migration on hold; connect again"
    )]
    PutBack,
}

/// What joining and leaving concerns.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The migrations whose histories record evictions.
    pub registry: Arc<Registry>,
    /// Writes to the histories.
    pub operate: Arc<Operate>,
    /// The instances.
    pub instances: Arc<Instances>,
    /// Stop judging instances that left.
    pub guards: Arc<Guards>,
    /// Give their segments to other workers.
    pub passes: Arc<Passes>,
    /// Counts their reports.
    pub ingest: Arc<Ingest>,
}

impl Membership {
    /// Registers a process that watches. `known`: the newest revision that it holds or keeps.
    pub async fn join(&self, mut asking: Asking, known: Known) -> Result<Registration, JoinError> {
        let newest = self.registry.state().revision;
        let is_outdated = !Mutation::FutureIsNoticed.is_left_out();
        if is_outdated && let Some(why) = self.outdated(&asking, &known, newest).await? {
            // A token lets a service in, and does not let it hold every migration by a number that it made up.
            if asking.record.credential.is_some() && !known.is_genuine {
                let refused = JoinError::Unproven { claimed: known.revision, newest };
                // It lives, and may write by what it holds.
                self.instances.note_unproven(&refused.to_string());
                return Err(refused);
            }
            self.operate.begin_history(why, &known.history_id, known.revision).await?;
            return Err(JoinError::PutBack);
        }
        let state = self.registry.state();
        for (key, held) in &mut asking.routes {
            held.is_known = state.entry_of(key).is_some();
        }
        let incarnation = asking.record.incarnation;
        let at = Fenced { revision: state.revision, has_fence: state.fences.newest.is_some() };
        drop(state);
        let (instances, ingest) = (self.instances.clone(), self.ingest.clone());
        let registered = async move {
            let registration = instances.register(asking, at).await?;
            ingest.registered(&registration.who.label(), incarnation, now_ms());
            Ok(registration)
        };
        // Nobody would give up one whose registration never ends.
        self.registry.under_way().to_the_end(registered).await
    }

    /// Why the state of this process is of a newer store than this one. `None`: nothing shows that it is.
    async fn outdated(
        &self,
        asking: &Asking,
        known: &Known,
        newest: u64,
    ) -> Result<Option<String>, operate::Error> {
        let Known { revision, history_id, is_genuine } = known;
        let holds = format!("instance {} holds revision {revision}", asking.record.instance_id);
        if **history_id == *self.registry.state().history_id {
            let is_later = *revision > newest;
            return Ok(is_later.then(|| format!("{holds}, this store is at {newest}: was it restored?")));
        }
        if !*is_genuine || self.operate.has_been_at(history_id, *revision).await? {
            return Ok(None);
        }
        let is_open = |entry: &&Arc<Entry>| entry.migration.document.restored.is_none();
        let are_open = || self.registry.state().entries().any(|entry| is_open(&entry));
        let has_met = || self.registry.met().has(history_id, *revision);
        if self.registry.state().entries().next().is_some() && !are_open() && !has_met() {
            self.operate.meet(history_id, *revision).await?;
        }
        // Somebody may have confirmed meanwhile.
        if !are_open() {
            return Ok(None);
        }
        let why = format!(
            "{holds} of another copy of this store: either a restore left this one behind, or the other was in use for a \
             while"
        );
        if !has_met() {
            return Ok(Some(why));
        }
        // A latecomer of a mistake that was confirmed. It is told the state of this store, unless that lacks its writes.
        let state = self.registry.state();
        let beyond = asking.routes.iter().find(|(key, held)| {
            state.entry_of(key).filter(is_open).is_some_and(|entry| held.goes_beyond(&entry.migration))
        });
        Ok(beyond.map(|(key, _)| {
            format!("{why}. It has tenants of {key} with writes in the target alone, and this store does not know that")
        }))
    }

    /// Records that a process is about to end. Does nothing for an unknown one, nor for one that the holder of this
    /// token does not speak for.
    pub async fn goodbye(
        &self,
        instance_id: &str,
        incarnation: u64,
        file_valid_ms: u32,
        by: Option<&Credential>,
    ) -> Result<(), store::Error> {
        if !self.instances.speaks(instance_id, incarnation, by) {
            return Ok(());
        }
        let (instances, id) = (self.instances.clone(), instance_id.to_owned());
        let gone = self
            .registry
            .under_way()
            .to_the_end(async move { instances.goodbye(&id, incarnation, file_valid_ms).await })
            .await?;
        if let Some(who) = gone {
            tracing::info!(instance = instance_id, "said goodbye");
            self.ingest.forget_instance(&who.label());
            self.forget(&who);
        }
        Ok(())
    }

    fn forget(&self, who: &Who) {
        self.guards.goodbye(&who.label());
        self.passes.goodbye(&who.instance_id);
    }

    /// Evicts instances and returns their names, which may be none. First it records the eviction, in one
    /// event, in the history of every unfinished migration. So no eviction is without its who and why.
    pub async fn evict(&self, dead: &Dead, mutation: &RequestMeta) -> Result<Vec<String>, operate::Error> {
        if mutation.dry_run {
            return Ok(self.instances.to_be_given_up(dead));
        }
        let (membership, dead, mutation) = (self.clone(), dead.clone(), mutation.clone());
        self.registry
            .under_way()
            .to_the_end(async move {
                let dead = membership.instances.give_up(&dead);
                if dead.is_empty() {
                    return Ok(Vec::new());
                }
                let evicted = membership.tell_and_remove(&dead, &mutation).await;
                if evicted.is_err() {
                    dead.iter().for_each(|admitted| membership.instances.keep_on(admitted));
                }
                evicted
            })
            .await
    }

    async fn tell_and_remove(
        &self,
        dead: &[Admitted],
        mutation: &RequestMeta,
    ) -> Result<Vec<String>, operate::Error> {
        let names: Vec<String> = dead.iter().map(|admitted| self.instances.name(&admitted.who)).collect();
        let state = self.registry.state().clone();
        let open = state.entries().filter(|entry| entry.migration.document.finished_at_ms.is_none());
        for entry in open {
            let change = Change::Evict { instances: names.clone() };
            match self.operate.change(entry.migration.key(), &change, mutation).await {
                // The migration was deleted meanwhile, so its history has ended.
                Ok(_) | Err(operate::Error::Refused(Refusal::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        for admitted in dead {
            if self.instances.evict(admitted.clone()).await? {
                self.forget(&admitted.who);
            }
        }
        tracing::warn!(
            instances = names.join(", "),
            actor = mutation.actor,
            reason = mutation.reason,
            "evicted"
        );
        Ok(names)
    }
}
