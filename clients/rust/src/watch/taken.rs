//! How a state from the controller is taken in: put together from messages, applied to the state that is held, and
//! installed for the operations that begin from now on. And what of it may be acknowledged.

use std::{collections::HashSet, sync::Arc, time::Duration};

use cutover_proto::v1::{self, watch_response::Kind};
use tracing::warn;

use super::{
    Current, Link, Source, Start, Watcher,
    kept::keep,
    link::Held,
    stream::{Ended, Receiving},
};
use crate::{
    host,
    routing::{Mutation, Snapshot},
    wire::{self, Misfit, UpdateKind},
};

impl Watcher {
    pub(super) async fn take(
        &mut self,
        receiving: &mut Receiving,
        message: v1::WatchResponse,
    ) -> Result<(), Ended> {
        let (kind, update) = match message.kind {
            Some(Kind::Snapshot(update)) => (UpdateKind::Snapshot, update),
            Some(Kind::Delta(update)) => (UpdateKind::Delta, update),
            Some(Kind::Heartbeat(heartbeat)) => {
                return self.heartbeat(receiving, heartbeat.revision);
            }
            Some(Kind::Registered(_)) => return Err(Ended::Protocol("`registered` came twice")),
            // From a newer controller: it counts as a sign of life.
            None => return Ok(()),
        };
        let Some(state) = receiving.assembly.add(kind, update)? else { return Ok(()) };
        let held = self.link.held();
        let same = held.clone().filter(|held| held.history_id == receiving.history_id);
        match (same.as_deref(), kind) {
            (None, UpdateKind::Delta) => {
                let what = "which belongs to another history than what is held";
                return Err(Misfit::Baseless { migration: String::new(), what }.into());
            }
            // Going back behind a revision that was acknowledged would lose writes.
            (Some(Held { snapshot, .. }), UpdateKind::Snapshot) if state.revision < snapshot.revision() => {
                return Err(Ended::Behind { held: snapshot.revision(), theirs: state.revision });
            }
            (Some(Held { kept, .. }), UpdateKind::Delta) => {
                let part = state.tables.iter().find(|part| kept.contains(part.migration.as_str()));
                if let Some(v1::TablePart { migration, .. }) = part {
                    let what = "whose table is kept from before the controller's store was restored";
                    return Err(Misfit::Baseless { migration: migration.clone(), what }.into());
                }
            }
            _ => {}
        }
        let seal = state.seal.clone();
        let base = same.map_or_else(Snapshot::default, |held| held.snapshot.clone());
        // A million overrides take a while.
        let applied = host::blocking(move || wire::apply(&base, &state)).await;
        let mut snapshot = applied.map_err(|_| Ended::Panicked)??;
        let kept = held.map_or_else(HashSet::new, |held| {
            keep(&held, &receiving.history_id, receiving.continues, &mut snapshot, kind)
        });
        if !kept.is_empty() {
            warn!(
                instance = self.identity.instance_id,
                migrations = ?kept,
                "the controller's store was restored: routing goes on as before until cutover confirm"
            );
        }
        let (history_id, source) = (receiving.history_id.clone(), Source::Controller);
        self.link.install(&self.current, Held { snapshot, history_id, seal, source, kept });
        self.wants_snapshot = false;
        receiving.suspended = false;
        self.is_current(receiving)
    }

    /// A controller at the current revision has nothing to send: the current state is up to date.
    fn heartbeat(&mut self, receiving: &mut Receiving, revision: u64) -> Result<(), Ended> {
        let is_current = |held: &Arc<Held>| {
            held.history_id == receiving.history_id && held.snapshot.revision() == revision
        };
        let Some(held) = self.link.held().filter(is_current) else { return Ok(()) };
        if receiving.suspended {
            self.link.install(&self.current, Held { source: Source::Controller, ..Held::clone(&held) });
            receiving.suspended = false;
        }
        self.is_current(receiving)
    }

    /// What is held was the controller's current state after this process had registered. Nobody goes on without it for a
    /// while from then on.
    fn is_current(&mut self, receiving: &Receiving) -> Result<(), Ended> {
        (self.unheard, self.given_up) = (Duration::ZERO, false);
        match self.current.is_current(receiving.asked) {
            true => Ok(()),
            false => Err(Ended::LeftBehind),
        }
    }
}

impl Link {
    /// Routes by the controller's state from now on.
    fn install(&self, current: &Current, new: Held) {
        let mut state = self.state();
        let same_history = state.held.as_ref().is_none_or(|held| held.history_id == new.history_id);
        current.is_the_controllers();
        if same_history {
            current.replace(new.snapshot.clone());
        } else {
            current.replace_history(new.snapshot.clone());
        }
        state.held = Some(Arc::new(new));
        self.start.send_replace(Start::Ready);
    }

    /// What may be acknowledged now: the newest revision received, and the one that this process has quiesced for.
    pub(crate) fn acknowledgement(&self, current: &Current) -> (u64, u64) {
        // In this order: no operation can have begun under a revision that was received after this check.
        let applied = current.applied_revision();
        let received = current.received_revision().max(applied);
        // A process that starts from the file must not be behind what was acknowledged.
        let saved = self.acknowledgeable(received);
        (received.min(saved), applied.min(saved))
    }

    /// How much of a received revision may be acknowledged: no more than the file has, if one is kept.
    fn acknowledgeable(&self, revision: u64) -> u64 {
        if !self.keeps_file || Mutation::FileSaved.is_left_out() {
            return revision;
        }
        let state = self.state();
        match (&state.saved, &state.held) {
            (Some((history_id, saved)), Some(held)) if *history_id == held.history_id => revision.min(*saved),
            _ => 0,
        }
    }
}
