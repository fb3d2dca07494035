//! What a controller does about a store that was restored, or that looks like it.

use std::{path::Path, sync::Arc, time::Duration};

use cutover_core::routing::Mutation;

use super::{InstanceRecord, Operate, operate};
use crate::{
    domain::{Change, Confirmation, Gate, Key, Refusal, Unmet},
    store::{self, Upkeep},
};

/// An SDK that runs has registered within this time. It notices a dead connection within 5 s and waits at
/// most 5 s between attempts; an attempt takes at most 7 s.
const RECONNECTED: Duration = Duration::from_secs(20);

impl Operate {
    /// Holds every migration of a store that was restored from a backup, or put back by hand. Called before
    /// anybody is served.
    pub async fn hold_restored(&self, why: &str, put_back: bool) -> Result<(), operate::Error> {
        if Mutation::RestoreIsConfirmed.is_left_out() {
            return Ok(());
        }
        let keys = self.hold_all(why, put_back).await?;
        // Whoever asked after the backup may still have an answer, even if this process restarts.
        let callers = keys.iter().map(InstanceRecord::callers);
        // What is held already has no event of this history. Another one may follow it before anybody confirms.
        let state = self.registry.state();
        let began = InstanceRecord::history(&state.history_id, state.revision);
        drop(state);
        let held = Upkeep {
            // And whoever registered after it has a slot, even if it is confirmed by then.
            put_instances: callers.chain([InstanceRecord::all_free_slots_rest(), began]).collect(),
            forget_restored: true,
            ..Upkeep::default()
        };
        Ok(self.store.keep(&held).await?)
    }

    /// Called when an instance registers with a state of `history_id` that this store never had: its file must have been
    /// copied or put back. Gives the store another history, because others may understand something
    /// else by these revisions. The controller has to start anew, and then holds every migration. Not before: each hold
    /// is a revision, and with as many as the instance holds nobody would notice any more.
    pub async fn begin_history(
        self: &Arc<Self>,
        why: String,
        history_id: &str,
        revision: u64,
    ) -> Result<(), operate::Error> {
        tracing::error!(why, "this store is older than what an instance holds");
        let operate = self.clone();
        let newest = self.registry.met().newest_with(history_id, revision);
        let begins = Upkeep {
            put_instances: vec![InstanceRecord::history(history_id, newest)],
            begin_history: Some(why.clone()),
            ..Upkeep::default()
        };
        let begun = async move {
            let mut put_back = operate.put_back.lock().await;
            if put_back.is_some() {
                return Ok(());
            }
            match operate.store.keep(&begins).await {
                // If it was not done, the instance is back soon.
                Ok(()) | Err(store::Error::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
            *put_back = Some(why);
            operate.starts_anew.notify_one();
            Ok(())
        };
        self.registry.under_way().to_the_end(begun).await
    }

    /// Called when an instance registers with a state of `history_id` while everything is on hold. An operator has to confirm
    /// that anyway. One that comes later and holds nothing newer raises no alarm then.
    pub async fn meet(&self, history_id: &str, revision: u64) -> Result<(), operate::Error> {
        let met = self.registry.met();
        let put_instances = vec![InstanceRecord::history(history_id, met.newest_with(history_id, revision))];
        self.store.keep(&Upkeep { put_instances, ..Upkeep::default() }).await?;
        met.note(history_id, revision);
        Ok(())
    }

    /// Waits until [`Self::begin_history`] has been called, and returns why.
    pub async fn put_back(&self) -> String {
        loop {
            self.starts_anew.notified().await;
            if let Some(why) = &*self.put_back.lock().await {
                return why.clone();
            }
        }
    }

    async fn hold_all(&self, why: &str, put_back: bool) -> Result<Vec<Key>, operate::Error> {
        let keys: Vec<_> = {
            let state = self.registry.state();
            state.entries().map(|entry| entry.migration.key().clone()).collect()
        };
        let by = operate::RequestMeta { actor: "controller".to_owned(), ..Default::default() };
        for key in &keys {
            let change = Change::SuspectRestore { why: why.to_owned(), put_back };
            match self.change(key, &change, &by).await {
                Ok(_) | Err(operate::Error::Refused(Refusal::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    /// Takes an operator's word for what the store can't know, checked against what running instances know.
    pub async fn confirm_restore(
        &self,
        key: &Key,
        confirmation: Confirmation,
        refused_ended: bool,
        mutation: &operate::RequestMeta,
    ) -> Result<operate::ChangeOutcome, operate::Error> {
        let change = Change::ConfirmRestore(confirmation.clone());
        if let Some(answer) = self.first_answer(key, &change, mutation).await? {
            return Ok(answer);
        }
        if let Some(refused) = self.instances.refused_lately().filter(|_| !refused_ended) {
            let action = format!(
                "{}. Or end it. Confirm again {} s later; or, once every process that is refused has certainly ended: \
                 --refused-ended",
                refused.advice(),
                refused.for_s
            );
            return Err(Refusal::from(Unmet::of_change(
                Gate::Restored,
                format!("{refused}. It can't say what it routes by"),
                action,
            ))
            .into());
        }
        // Instances that registered after the backup are unknown until they connect.
        let listened = self.instances.listened();
        if listened < RECONNECTED {
            let left = (RECONNECTED - listened).as_secs() + 1;
            let message = format!(
                "the controller has listened for {} s: instances may still connect",
                listened.as_secs()
            );
            let unmet = Unmet::of_change(Gate::Restored, message, format!("confirm again in {left} s"));
            return Err(Refusal::from(Unmet { by_itself: true, ..unmet }).into());
        }
        let document = self.registry.state().entry(key).map(|entry| entry.migration.document.clone());
        if let Some(document) = document.filter(|document| document.restored.is_some()) {
            for routes in self.instances.routes(key) {
                confirmation.check(&document, &routes).map_err(Refusal::from)?;
            }
        }
        self.change(key, &change, mutation).await
    }

    /// Writes a copy of the store to a file that does not exist yet.
    pub async fn backup(&self, into: &Path) -> Result<(), store::Error> {
        self.store.backup(into).await
    }
}
