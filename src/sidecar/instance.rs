//! The SDK's client behind a sidecar, from when there is one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use cutover_client::{
    Client, ConnectError, Options,
    migrator::{self, Migrator},
};
use cutover_store::spec::{Missing, Spec};
use tokio::time::sleep;
use tonic::Status;

use super::{Error, failure, mark::Mark};

/// Pause between attempts to connect, each of which takes a while by itself.
const PAUSE: Duration = Duration::from_secs(1);

/// An instance that may not have started yet.
pub(super) struct Instance {
    pub(super) service: String,
    pub(super) id: String,
    server: String,
    options: Options,
    /// Of an instance that keeps a snapshot file, from when it starts.
    mark: OnceLock<Mark>,
    /// The longest deadline of a caller.
    finish_within: Duration,
    /// The longest time for one call to a store.
    call_timeout: Duration,
    /// Why it has not started yet. Empty: it was not refused.
    refused: Mutex<String>,
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
        options: Options,
        finish_within: Duration,
        call_timeout: Duration,
    ) -> Arc<Self> {
        // One id for all attempts to connect: of several, the failed ones would be waited for.
        let id = format!("sidecar-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let options = Options { instance_id: Some(id.clone()), ..options };
        let (server, service) = (server.to_owned(), service.to_owned());
        let (mark, refused, started) = (OnceLock::new(), Mutex::default(), OnceLock::new());
        Arc::new(Self { service, id, server, options, mark, finish_within, call_timeout, refused, started })
    }

    /// Opens the stores and connects; retries as long as only the controller is missing.
    pub(super) async fn start(&self, specs: &[(String, &Spec)]) -> Result<(), Error> {
        self.wait_for_callers_of_another().await?;
        let mut opened = Vec::new();
        for (path, spec) in specs {
            let lookup = |name: &str| std::env::var(name).ok();
            let failed = |store| move |error| Error::Store { spec: path.clone(), store, error };
            let source = spec.source.open(Missing::Refuse, lookup).await.map_err(failed("source"))?;
            let target = spec.target.open(Missing::Refuse, lookup).await.map_err(failed("target"))?;
            for (name, store) in [("source", &source), ("target", &target)] {
                match store.missing_privileges().await {
                    Ok(missing) => missing.iter().for_each(|what| {
                        tracing::warn!("{path}: the {name} can be read, but a write may be refused: {what}");
                    }),
                    Err(error) => {
                        tracing::warn!("{path}: the {name}'s privileges could not be checked: {error}");
                    }
                }
            }
            opened.push((*spec, source, target));
        }
        let client = loop {
            match Client::connect(&self.server, &self.service, self.options.clone()).await {
                Ok(client) => break client,
                Err(error @ (ConnectError::NoSnapshot { .. } | ConnectError::FileExpired { .. })) => {
                    tracing::warn!("not ready, retrying: {error}");
                    *self.refused() = error.to_string();
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if let Some(Err(error)) = self.mark.get().map(|mark| mark.set(self.finish_within)) {
            client.close().await;
            return Err(error.into());
        }
        let migrators = opened.into_iter().map(|(spec, source, target)| {
            let key = spec.migration.clone();
            let options = migrator::Options { call_timeout: self.call_timeout, ..Default::default() };
            let mut migrator = client.migrator(&key, source, target).with_options(options);
            if let Some(ttl) = &spec.ttl {
                migrator = migrator.with_ttl(ttl.clone());
            }
            (key, migrator)
        });
        let migrators = migrators.collect();
        let _ = self.started.set(Started { client, migrators });
        Ok(())
    }

    /// A sidecar that was killed leaves callers with operations in flight. The next holder of its file releases it from
    /// every barrier, so it must not register before those operations have surely ended.
    async fn wait_for_callers_of_another(&self) -> Result<(), Error> {
        let Some(path) = &self.options.persist else { return Ok(()) };
        let (mark, left) = Mark::take(path)?;
        let _ = self.mark.set(mark);
        if !left.is_zero() {
            let (path, wait_ms) = (path.display().to_string(), left.as_millis() as u64);
            tracing::warn!(
                path,
                wait_ms,
                "the last sidecar with this snapshot file was killed: waiting for its callers"
            );
            sleep(left).await;
        }
        Ok(())
    }

    /// The instance, or why there is none yet.
    pub(super) fn started(&self) -> Result<&Started, Status> {
        self.started.get().ok_or_else(|| {
            let why = match self.refused().as_str() {
                "" => "connecting to the controller".to_owned(),
                why => format!("retrying: {why}"),
            };
            failure::not_begun(&format!("the sidecar has no snapshot yet: {why}"))
        })
    }

    fn refused(&self) -> MutexGuard<'_, String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(Err(error)) = self.mark.get().map(Mark::clear) {
            tracing::warn!(
                %error,
                "could not clear the mark: the next sidecar with this snapshot file waits although no caller can act"
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
