//! What the tasks of a client share about the controller.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::Current;
use crate::{
    AuthorizedChannel,
    persisted::{self, Persisted},
    routing::Snapshot,
    stamp::Stamper,
    store::Version,
};

/// Where the snapshot in use came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The controller, since this process started.
    Controller,
    /// The file of an earlier process; the controller has not been heard yet.
    Persisted,
}

/// The state of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// No state yet.
    Waiting,
    /// The controller's state has arrived.
    Ready,
    /// The controller refuses this client for good, with its reason.
    Refused(String),
}

/// A registration on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) channel: AuthorizedChannel,
    pub(crate) report_ms: u32,
    /// The admission that the controller assigned.
    pub(crate) admission: u64,
    /// The history of its store.
    pub(crate) history_id: String,
    /// Distinguishes sessions.
    pub(crate) number: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(super) start: watch::Sender<Start>,
    session: watch::Sender<Option<Session>>,
    writer_slot: AtomicU16,
    /// One for all migrators of the process: two writes with equal versions would be taken for one.
    pub(crate) stamper: Arc<Stamper>,
    /// The newest session whose instance the controller no longer knows. 0: none.
    forgotten: watch::Sender<u64>,
    /// Whether a file is kept for starts without the controller.
    pub(super) keeps_file: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) held: Option<Arc<Held>>,
    /// History and revision in the file.
    pub(super) saved: Option<(String, u64)>,
    admission: u64,
    connected: bool,
    last_error: Option<String>,
}

/// The newest state, whether or not operations may begin under it now.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) snapshot: Snapshot,
    pub(crate) history_id: String,
    /// The controller's proof that it sent this state. Empty: none.
    pub(crate) seal: String,
    pub(crate) source: Source,
    /// Migrations whose tables are of an earlier history: this one's controller does not know where tenants
    /// stand. No delta goes on top of these.
    pub(crate) kept: HashSet<Arc<str>>,
}

impl Link {
    pub(crate) fn new(keeps_file: bool) -> Self {
        // Until the controller assigns one, a random slot makes equal versions unlikely.
        let slot = rand::random_range(0..Version::SLOTS);
        Self {
            start: watch::Sender::new(Start::Waiting),
            session: watch::Sender::new(None),
            writer_slot: AtomicU16::new(slot),
            stamper: Arc::new(Stamper::new(slot).expect("a slot is below 16383")),
            forgotten: watch::Sender::new(0),
            keeps_file,
            state: Mutex::default(),
        }
    }

    pub(crate) fn held(&self) -> Option<Arc<Held>> {
        self.state().held.clone()
    }

    /// The history that this process goes by. `None`: it holds no state.
    pub(crate) fn history(&self) -> Option<String> {
        self.held().map(|held| persisted::history(&held.history_id).to_owned())
    }

    /// Routes by a file's state, unless the controller is there: then its own state is about to arrive, and
    /// the file's may be too old for operations. `rest`: how late a write of its process may still arrive.
    pub(crate) fn install_persisted(&self, current: &Current, persisted: Persisted, rest: Duration) {
        let mut state = self.state();
        if state.held.is_none() && !state.connected {
            current.take_from_file(persisted.heard, persisted.valid);
            self.set_slot(persisted.writer_slot);
            self.stamper.rest(rest);
            current.replace(persisted.snapshot.clone());
            let Persisted { snapshot, history_id, seal, .. } = persisted;
            let kept = HashSet::new();
            state.held = Some(Arc::new(Held { snapshot, history_id, seal, source: Source::Persisted, kept }));
        }
    }

    /// The controller is there: from now on no file is taken. Returns what is held.
    pub(crate) fn take_no_file(&self) -> Option<Arc<Held>> {
        let mut state = self.state();
        state.connected = true;
        state.held.clone()
    }

    /// The controller has registered this instance.
    pub(crate) fn connected(&self, writer_slot: u16, session: Session) {
        let mut state = self.state();
        if writer_slot != self.writer_slot() {
            // The file has one that may be another process's by now.
            state.saved = None;
        }
        self.set_slot(writer_slot);
        state.admission = session.admission;
        self.session.send_replace(Some(session));
    }

    fn set_slot(&self, writer_slot: u16) {
        self.writer_slot.store(writer_slot, Ordering::Relaxed);
        self.stamper.set_slot(writer_slot).expect("whoever reads one refuses slots of 16383 and above");
    }

    /// The last admission that the controller assigned. 0: none.
    pub(crate) fn admission(&self) -> u64 {
        self.state().admission
    }

    /// The file contains the state up to this revision, and this slot.
    pub(crate) fn saved(&self, history_id: String, revision: u64, writer_slot: u16) {
        let mut state = self.state();
        if writer_slot != self.writer_slot() {
            return;
        }
        let is_newer = |(history, saved): &(String, u64)| *history == history_id && *saved > revision;
        if !state.saved.as_ref().is_some_and(is_newer) {
            state.saved = Some((history_id, revision));
        }
    }

    pub(crate) fn disconnected(&self, error: String) {
        let mut state = self.state();
        state.connected = false;
        state.last_error = Some(error);
    }

    pub(crate) fn refused(&self, why: String) {
        self.start.send_if_modified(|start| {
            let waiting = *start == Start::Waiting;
            if waiting {
                *start = Start::Refused(why);
            }
            waiting
        });
    }

    pub(crate) fn failed(&self, error: String) {
        self.state().last_error = Some(error);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state().connected
    }

    /// Whether the current state comes from the controller, not from a file.
    pub(crate) fn is_the_controllers(&self) -> bool {
        self.state().held.as_ref().is_some_and(|held| held.source == Source::Controller)
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.state().last_error.clone()
    }

    pub(crate) fn writer_slot(&self) -> u16 {
        self.writer_slot.load(Ordering::Relaxed)
    }

    pub(crate) fn starts(&self) -> watch::Receiver<Start> {
        self.start.subscribe()
    }

    pub(crate) fn sessions(&self) -> watch::Receiver<Option<Session>> {
        self.session.subscribe()
    }

    /// The number of the newest session. 0: none.
    pub(crate) fn session_number(&self) -> u64 {
        self.session.borrow().as_ref().map_or(0, |session| session.number)
    }

    /// The controller does not know this instance: it has to open a new watch.
    pub(crate) fn forgotten(&self, session: u64) {
        self.forgotten.send_replace(session);
    }

    pub(crate) async fn until_forgotten(&self, session: u64) {
        // An earlier session that was forgotten says nothing about this one.
        let _ = self.forgotten.subscribe().wait_for(|forgotten| *forgotten == session).await;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
