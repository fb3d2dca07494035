//! The tasks of a client.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

use crate::report::Withdrawal;

/// A process that could not start waits for so long until the controller knows: it may be about to end.
const IS_TOLD_WITHIN: Duration = Duration::from_millis(500);

pub(super) struct Tasks {
    /// Until `close` takes them.
    running: Mutex<Option<Running>>,
    all: Vec<AbortHandle>,
    /// Until the process has started.
    withdrawal: Mutex<Option<Withdrawal>>,
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
    pub(super) const fn new(running: Running, all: Vec<AbortHandle>, withdrawal: Option<Withdrawal>) -> Self {
        Self { running: Mutex::new(Some(running)), all, withdrawal: Mutex::new(withdrawal) }
    }

    /// The tasks, once.
    pub(super) fn take(&self) -> Option<Running> {
        lock(&self.running).take()
    }

    pub(super) fn abort(&self) {
        self.all.iter().for_each(AbortHandle::abort);
    }

    /// Whether the process has started. If not, the controller is told, which may have registered it.
    pub(super) async fn settle<E>(&self, started: Result<(), E>) -> Result<(), E> {
        match started {
            Ok(()) => drop(lock(&self.withdrawal).take()),
            Err(_) => {
                let (told, is_told) = oneshot::channel();
                self.withdraw(told);
                // At once if there is nothing to tell.
                let _ = timeout(IS_TOLD_WITHIN, is_told).await;
            }
        }
        started
    }

    fn withdraw(&self, told: oneshot::Sender<()>) {
        let Some(withdrawal) = lock(&self.withdrawal).take() else { return };
        let Some(Running::Connected { watcher, .. }) = self.take() else { return };
        self.abort();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(withdrawal.run(watcher, told));
        }
    }
}

impl Drop for Tasks {
    /// Whoever connects may give up.
    fn drop(&mut self) {
        self.withdraw(oneshot::channel().0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
