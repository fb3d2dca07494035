//! The tasks of a client.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{AbortHandle, JoinHandle};

use crate::{Address, report, watch::Identity};

pub(super) struct Tasks {
    /// Until `close` takes them.
    pub(super) running: Mutex<Option<Running>>,
    pub(super) all: Vec<AbortHandle>,
}

pub(super) enum Running {
    Connected {
        watcher: JoinHandle<()>,
        reporter: JoinHandle<bool>,
    },
    /// Of a fake: a test changes the snapshot, and nothing is reported.
    Fake,
}

impl Tasks {
    /// The process could not start: the controller is told, which may have registered it.
    pub(super) fn withdraw(&self, address: Address, identity: Arc<Identity>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running::Connected { watcher, .. }) = running {
            tokio::spawn(report::withdraw(address, identity, watcher));
        }
    }

    pub(super) fn abort(&self) {
        self.all.iter().for_each(AbortHandle::abort);
    }
}
