//! Migrators from spec files.

use std::{io, path::Path, time::Duration};

use tracing::warn;

use super::Client;
use crate::{
    migrator::Migrator,
    spec::{Missing, OpenError, Spec, SpecError},
};

/// Why no migrator could be made from a spec file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecFileError {
    /// The file can't be read.
    #[error("can't read the spec file {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file is not a valid spec.
    #[error("{path}: {error}")]
    Spec {
        /// The file.
        path: String,
        /// Why.
        #[source]
        error: SpecError,
    },
    /// A store can't be opened.
    #[error("the {store} of {path} can't be opened: {error}")]
    Open {
        /// The file.
        path: String,
        /// `source` or `target`.
        store: &'static str,
        /// Why.
        #[source]
        error: OpenError,
    },
    /// A write that timed out could land after the controller has stopped waiting for this client.
    #[error(
        "{path}: a write may land {residual_ms} ms late (residual_ms), but this client's drain is {} ms: connect with Options {{ drain: Duration::from_millis({residual_ms}), .. }} or more, or lower residual_ms",
        drain.as_millis()
    )]
    Residual {
        /// The file.
        path: String,
        /// The spec's bound.
        residual_ms: u64,
        /// [`Options::drain`](super::Options::drain).
        drain: Duration,
    },
}

impl Client {
    /// Opens both stores of a spec file (docs/spec.md) and returns their [migrator](Self::migrator). Passwords
    /// come from the environment variables that the spec names. The tables must exist. A store that the user may not write is
    /// opened with a warning in the log.
    ///
    /// Each store needs the cargo feature of its name: `sqlite`, `mysql`, `postgres`, `dynamodb`.
    ///
    /// ```no_run
    /// # async fn story(client: cutover_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = client.migrator_from_spec("orders.toml").await?;
    /// orders.delete("acme", "order-1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn migrator_from_spec(&self, path: impl AsRef<Path>) -> Result<Migrator, SpecFileError> {
        let file = path.as_ref();
        let path = || file.display().to_string();
        let text = tokio::fs::read_to_string(file).await;
        let text = text.map_err(|error| SpecFileError::Read { path: path(), error })?;
        let spec: Spec = text.parse().map_err(|error| SpecFileError::Spec { path: path(), error })?;
        let residual_ms = spec.residual_ms;
        if self.drain < Duration::from_millis(residual_ms) {
            return Err(SpecFileError::Residual { path: path(), residual_ms, drain: self.drain });
        }
        let variable = |name: &str| std::env::var(name).ok();
        let opened =
            |store| move |error| SpecFileError::Open { path: file.display().to_string(), store, error };
        let source = spec.source.open(Missing::Refuse, variable).await.map_err(opened("source"))?;
        let target = spec.target.open(Missing::Refuse, variable).await.map_err(opened("target"))?;
        for (name, store) in [("source", &source), ("target", &target)] {
            match store.missing_privileges().await {
                Ok(missing) => missing.iter().for_each(|what| {
                    warn!("{}: the {name} can be read, but a write may be refused: {what}", path());
                }),
                Err(error) => warn!("{}: the {name}'s privileges could not be checked: {error}", path()),
            }
        }
        let migrator = self.migrator(&spec.migration, source, target);
        Ok(match spec.ttl {
            Some(ttl) => migrator.with_ttl(ttl),
            None => migrator,
        })
    }
}
