//! Keeps the persisted snapshot up to date, off every hot path.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};
use tracing::error;

use crate::{
    host, persisted,
    watch::{Link, Source, describe},
};

/// The file is written at most this often.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what the controller sent to a file.
#[derive(Clone)]
pub(super) struct Saver {
    path: PathBuf,
    link: Arc<Link>,
}

impl Saver {
    pub(super) const fn new(path: PathBuf, link: Arc<Link>) -> Self {
        Self { path, link }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Saves whenever a newer revision was received.
    pub(super) async fn run(self, mut received: watch::Receiver<u64>) {
        while received.changed().await.is_ok() {
            self.save().await;
            sleep(PAUSE).await;
        }
    }

    /// Saves what is held, if it is the controller's.
    pub(super) async fn save(&self) {
        let Some(held) = self.link.held().filter(|held| held.source == Source::Controller) else { return };
        let path = self.path.clone();
        let save = move || persisted::save(&path, &held.snapshot, &held.history_id);
        let failed = match host::blocking(save).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => describe(&error),
            Err(error) => error.to_string(),
        };
        error!("the snapshot was not persisted: {failed}");
        self.link.failed(failed);
    }
}
