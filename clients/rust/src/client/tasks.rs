//! The tasks of a client.

use std::sync::Mutex;

use tokio::task::{AbortHandle, JoinHandle};

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
    pub(super) fn abort(&self) {
        self.all.iter().for_each(AbortHandle::abort);
    }
}
