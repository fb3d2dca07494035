//! The SDK's client behind a sidecar, from when there is one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cutover_client::{Client, ConnectError, Options, migrator::Migrator};
use cutover_store::spec::{Missing, Spec};
use tokio::time::sleep;
use tonic::Status;

use super::{
    Error, failure,
    operations::{FINISH_WITHIN_MAX, residual},
};

/// Pause between attempts to connect, each of which takes a while by itself.
const PAUSE: Duration = Duration::from_secs(1);

/// An instance that may not have started yet.
pub(super) struct Instance {
    pub(super) service: String,
    pub(super) id: String,
    server: String,
    options: Options,
    /// Exists while operations may be in flight of which the snapshot file's next holder does not know.
    mark: Option<PathBuf>,
    /// The longest deadline of a caller.
    finish_within: Duration,
    started: OnceLock<Started>,
}

/// An instance that holds a snapshot.
pub(super) struct Started {
    pub(super) client: Client,
    /// By migration.
    pub(super) migrators: BTreeMap<String, Migrator>,
}

impl Instance {
    pub(super) fn new(
        server: &str,
        service: &str,
        persist: Option<PathBuf>,
        residual_ms: Option<u64>,
        finish_within: Duration,
    ) -> Arc<Self> {
        let mark = persist.as_ref().map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(".in-flight");
            PathBuf::from(name)
        });
        // One id for all attempts to connect: of several, the failed ones would be waited for.
        let id = format!("sidecar-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let drain = Options::default().drain.max(residual(residual_ms) + finish_within);
        let options = Options { instance_id: Some(id.clone()), persist, drain, ..Options::default() };
        let (server, service) = (server.to_owned(), service.to_owned());
        Arc::new(Self { service, id, server, options, mark, finish_within, started: OnceLock::new() })
    }

    /// Opens the stores and connects; retries as long as only the controller is missing.
    pub(super) async fn start(&self, specs: &[(String, &Spec)]) -> Result<(), Error> {
        let mut opened = Vec::new();
        for (path, spec) in specs {
            let lookup = |name: &str| std::env::var(name).ok();
            let failed = |store| move |error| Error::Store { spec: path.clone(), store, error };
            let source = spec.source.open(Missing::Refuse, lookup).await.map_err(failed("source"))?;
            let target = spec.target.open(Missing::Refuse, lookup).await.map_err(failed("target"))?;
            opened.push((spec.migration.clone(), source, target));
        }
        self.wait_for_callers_of_another().await;
        let client = loop {
            match Client::connect(&self.server, &self.service, self.options.clone()).await {
                Ok(client) => break client,
                Err(error @ (ConnectError::NoSnapshot { .. } | ConnectError::FileExpired { .. })) => {
                    tracing::warn!("not ready, retrying: {error}");
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if let Some(path) = &self.mark {
            let longest_ms = self.finish_within.as_millis().to_string();
            if let Err(error) = fs::write(path, longest_ms) {
                client.close().await;
                return Err(Error::Mark { path: path.clone(), error });
            }
        }
        let migrators = opened.into_iter().map(|(key, source, target)| {
            let migrator = client.migrator(&key, source, target);
            (key, migrator)
        });
        let migrators = migrators.collect();
        let _ = self.started.set(Started { client, migrators });
        Ok(())
    }

    /// A sidecar that was killed leaves callers with operations in flight. The next holder of its file releases it from
    /// every barrier, so it must not register before those operations have surely ended.
    async fn wait_for_callers_of_another(&self) {
        let Some(path) = self.mark.as_ref().filter(|path| path.exists()) else { return };
        // The longest deadline that the other one gave.
        let longest_ms = fs::read_to_string(path).ok().and_then(|text| text.parse().ok());
        let longest = longest_ms.map_or(FINISH_WITHIN_MAX, Duration::from_millis).min(FINISH_WITHIN_MAX);
        let wait_ms = longest.as_millis() as u64;
        tracing::warn!(
            wait_ms,
            "a sidecar with this snapshot file was killed ({} exists): waiting until its callers' operations have ended",
            path.display()
        );
        sleep(longest).await;
    }

    /// The instance, or why there is none yet.
    pub(super) fn started(&self) -> Result<&Started, Status> {
        self.started
            .get()
            .ok_or_else(|| failure::not_begun("the sidecar has no snapshot yet: is the controller running?"))
    }

    /// Why it is not ready. `None`: it is.
    pub(super) fn why_not(&self) -> Option<String> {
        self.started().err().map(|status| status.message().to_owned())
    }

    /// Says goodbye. All operations have ended.
    pub(super) async fn close(&self) {
        let Some(started) = self.started.get() else { return };
        if !started.client.close().await {
            tracing::warn!(
                instance = self.id,
                "could not say goodbye to the controller: steps up wait for this instance. Run: cutover evict {}",
                self.id
            );
            return;
        }
        let removed = self.mark.as_ref().map_or(Ok(()), fs::remove_file);
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(
                %error,
                "could not remove the mark: the next sidecar with this snapshot file waits although no caller can act"
            );
        }
    }
}

impl Started {
    /// The migration that a request means: the given one, or the only one with a spec.
    pub(super) fn migration<'a>(&'a self, asked: &'a str) -> Result<&'a str, Status> {
        match self.migrators.keys().collect::<Vec<_>>()[..] {
            _ if !asked.is_empty() => Ok(asked),
            [only] => Ok(only),
            [] => Err(failure::invalid("migration is missing: the sidecar has no spec to take it from")),
            _ => Err(failure::invalid("migration is missing: the sidecar has several specs")),
        }
    }

    pub(super) fn migrator(&self, asked: &str) -> Result<Migrator, Status> {
        let migration = self.migration(asked)?;
        self.migrators.get(migration).cloned().ok_or_else(|| {
            failure::missing(format!(
                "the sidecar has no spec of migration {migration:?}: start it with --spec FILE, or use Begin and End"
            ))
        })
    }
}
