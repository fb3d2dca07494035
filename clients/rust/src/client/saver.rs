//! Keeps the persisted snapshot up to date, off the hot paths.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tracing::error;

use crate::{
    Address,
    clock::Instant,
    host,
    persisted::{self, FileLock, PersistedError, Saving},
    watch::{Current, Link, Source},
    words::describe,
};

/// The file is written soon, because nothing newer than it is acknowledged. But a large file is not written
/// constantly.
const PAUSE_FACTOR: u32 = 4;

/// Longest pause after a write. A process that stood still while it wrote took the whole time for the disk's.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Minimum interval between writes that only refresh the file's age.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// Writes the controller's state to a file.
#[derive(Clone)]
pub(super) struct Saver {
    pub(super) path: PathBuf,
    /// How long the file may be used.
    pub(super) valid: Duration,
    pub(super) current: Arc<Current>,
    pub(super) link: Arc<Link>,
    /// The file's lock, while the file is this client's. Only one save runs at a time: a save can't be taken back, and
    /// may outlive whoever began it.
    pub(super) file: Arc<Mutex<Option<Arc<FileLock>>>>,
}

/// Of several addresses, only those of the file's installation are used, even before the file is.
pub(super) async fn expect_history(address: &Address, file: Option<&Path>) {
    let Some(path) = file.filter(|_| address.is_several()) else { return };
    let path = path.to_owned();
    if let Ok(Some(history)) = host::blocking(move || persisted::history_of(&path)).await {
        address.expect(history);
    }
}

impl Saver {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Saves whenever a newer revision was received, and regularly, so that the file does not expire.
    pub(super) async fn run(self) {
        let mut received = self.current.subscribe();
        let refresh = (self.valid / 4).max(REFRESH_MIN);
        loop {
            let again = timeout(refresh, received.changed()).await;
            if matches!(again, Ok(Err(_))) {
                return;
            }
            received.mark_unchanged();
            let began = Instant::now();
            self.save().await;
            sleep(pause(began.elapsed())).await;
        }
    }

    /// Saves the current state, if it came from the controller.
    pub(super) async fn save(&self) {
        let saver = self.clone();
        let failed = match host::blocking(move || saver.write()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => describe(&error),
            Err(error) => error.to_string(),
        };
        error!("could not save the snapshot; ramps wait for this instance until it is saved: {failed}");
        self.link.failed(failed);
    }

    /// Reads the state while it holds the file, so that no save puts an older slot, history or revision over a newer
    /// one. Blocks on the disk.
    fn write(&self) -> Result<(), PersistedError> {
        let file = self.file();
        // Before the state: a slot that comes in between is saved with the next state.
        let writer_slot = self.link.writer_slot();
        let Some(held) = self.link.held().filter(|held| held.source == Source::Controller) else {
            return Ok(());
        };
        // It belongs to another process by now.
        if file.is_none() {
            return Ok(());
        }
        let saving = Saving {
            history_id: held.history_id.clone(),
            seal: held.seal.clone(),
            is_base: held.kept.is_empty(),
            writer_slot,
            heard: Instant::now().saturating_sub(self.current.lease_age()),
            valid: self.valid,
        };
        persisted::save(&self.path, &held.snapshot, &saving)?;
        self.link.saved(saving.history_id, held.snapshot.revision(), writer_slot);
        Ok(())
    }

    /// Writes the file no more, once the write under way has ended.
    pub(super) fn release_if_idle(&self) {
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }

    /// Writes the file no more.
    pub(super) fn release(&self) {
        *self.file() = None;
    }

    fn file(&self) -> MutexGuard<'_, Option<Arc<FileLock>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long not to write after a write that took so long.
fn pause(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_FACTOR).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stood_still_while_it_saved_saves_again_soon() {
        assert_eq!(pause(Duration::from_millis(100)), Duration::from_millis(400));
        assert_eq!(pause(Duration::from_secs(37)), PAUSE_MAX);
        assert_eq!(pause(Duration::MAX), PAUSE_MAX);
    }
}
