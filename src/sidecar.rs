//! `cutover sidecar`: an instance for services without an SDK, in any language (docs/guides/sidecar.md).
//!
//! It is one SDK client behind a socket. Callers of `Get`, `Put` and `Delete` have the SDK's guarantees as they are.
//! Who calls the stores itself gets a deadline with each operation, and the sidecar holds the operation until it is
//! ended, or until that deadline and the stores' residual time have passed (docs/protocol.md, "Callers of a sidecar").

mod calls;
mod counts;
mod failure;
mod instance;
mod listen;
mod mark;
mod metrics;
mod operations;
mod serve;
mod value;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::ArgGroup;
use cutover_client::{Access, ConnectError, Options, migrator};
use cutover_proto::v1::sidecar_service_server::SidecarServiceServer;
use cutover_store::spec::Spec;
use tokio::sync::watch;
use tonic::service::Routes;

pub use listen::ListenError;
pub use mark::MarkError;

use crate::{api, config::duration};
use calls::Calls;
use instance::Instance;
use listen::Listener;
use metrics::{Counting, Counts};
use operations::{Operations, RESIDUAL, Residuals};

/// Flags of `cutover sidecar`.
#[derive(Clone, Debug, clap::Args)]
#[command(group(ArgGroup::new("address").required(true).args(["socket", "listen"])))]
pub struct Sidecar {
    /// Take calls on this unix socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Who may use the socket, as for chmod
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = listen::mode, requires = "socket")]
    socket_mode: u32,
    /// Take calls on this loopback address; any user of this machine can then make them
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The service that the callers belong to, as `cutover instances` shows it
    #[arg(long, value_name = "NAME")]
    service: String,
    /// A spec file, for get, put and delete; may be repeated
    #[arg(long, value_name = "FILE")]
    pub spec: Vec<PathBuf>,
    /// Keep the last snapshot in this file, to start without the controller and to succeed a sidecar that was killed
    #[arg(long, value_name = "FILE")]
    persist: Option<PathBuf>,
    /// How long that file may be used after the controller was last heard; ramps wait that long for a sidecar that has
    /// ended and is not started again
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse, requires = "persist")]
    persist_for: Duration,
    /// How long callers may take for an operation that they begin: at most 60s
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = operations::finish_within)]
    finish_within: Duration,
    /// How late a put of a caller can still land, in migrations without a spec: at most 10m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = operations::residual)]
    residual: Duration,
    /// Longest time for one store call of get, put and delete: at most 60s
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = operations::finish_within)]
    call_timeout: Duration,
    /// Names the function by which the service derives tenants, so that cutover status shows services that differ
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    tenant_fingerprint: String,
    /// Maximum calls and operations in flight; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    operations_max: u32,
    /// Maximum connections; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections_max: u32,
}

/// Why a sidecar does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't take calls.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A store of a spec can't be opened.
    #[error("the {store} of {spec}: {error}")]
    Store {
        /// The spec file.
        spec: String,
        /// `source` or `target`.
        store: &'static str,
        /// Why.
        error: cutover_store::spec::OpenError,
    },
    /// Two specs are of one migration.
    #[error("{0} and {1} are both of migration {2}: give one spec for each migration")]
    TwoSpecs(String, String, String),
    /// It can't be an instance.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The mark beside the snapshot file can't be used.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The compiled-in descriptors are damaged.
    #[error("the JSON API: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
}

impl Error {
    /// Whether the command line is wrong.
    pub const fn is_misuse(&self) -> bool {
        matches!(
            self,
            Self::Listen(ListenError::NotLoopback(_))
                | Self::TwoSpecs(..)
                | Self::Connect(ConnectError::Server { .. } | ConnectError::Name { .. })
        )
    }
}

impl Sidecar {
    /// One on a unix socket with the default limits.
    pub fn at(socket: PathBuf, service: &str, spec: Vec<PathBuf>) -> Self {
        let client = Options::default();
        Self {
            socket: Some(socket),
            socket_mode: 0o600,
            listen: None,
            service: service.to_owned(),
            spec,
            persist: None,
            persist_for: client.persist_for,
            finish_within: Duration::from_secs(10),
            residual: RESIDUAL,
            call_timeout: migrator::Options::default().call_timeout,
            tenant_fingerprint: client.tenant_fingerprint,
            operations_max: 4096,
            connections_max: 256,
        }
    }

    /// Serves until `shutdown` completes, and then until the operations in flight have ended. `specs`: what the files
    /// say, in their order.
    pub async fn run(
        self,
        specs: Vec<Spec>,
        server: &str,
        access: Access,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        let of_specs =
            specs.iter().map(|spec| (spec.migration.clone(), Duration::from_millis(spec.residual_ms)));
        // Callers may also begin operations of migrations without a spec.
        let residuals = Residuals { of_specs: of_specs.collect(), others: self.residual };
        let named: Vec<_> = self.spec.iter().map(|path| path.display().to_string()).zip(&specs).collect();
        for (at, (path, spec)) in named.iter().enumerate() {
            if let Some((other, _)) = named[..at].iter().find(|(_, other)| other.migration == spec.migration)
            {
                return Err(Error::TwoSpecs(other.clone(), path.clone(), spec.migration.clone()));
            }
        }
        let listener = Listener::bind(self.socket.as_deref(), self.socket_mode, self.listen).await?;
        let drain = Options::default().drain.max(residuals.longest() + self.finish_within);
        let options = Options {
            persist: self.persist,
            persist_for: self.persist_for,
            drain,
            tenant_fingerprint: self.tenant_fingerprint,
            access,
            ..Options::default()
        };
        let operations = Arc::new(Operations::new(self.operations_max, residuals, self.finish_within));
        let (stop, stopped) = watch::channel(false);
        let instance = Instance::new(server, &self.service, options, self.finish_within, self.call_timeout);
        let counts = Counts::default();
        let calls =
            Calls { instance: instance.clone(), operations: operations.clone(), counts: counts.clone() };
        let service = SidecarServiceServer::new(calls)
            .max_decoding_message_size(api::REQUEST_MAX_BYTES)
            .max_encoding_message_size(usize::MAX);
        let services = Routes::new(Counting { inner: service, counts: counts.clone() });
        let app = serve::app(services, &listener, instance.clone(), operations.clone(), counts.clone())?;
        let address = listener.to_string();
        let serving = serve::serve(app, listener, self.connections_max, self.operations_max, stopped);
        let serving = tokio::spawn(serving);
        let releasing = tokio::spawn({
            let operations = operations.clone();
            async move { operations.release_overdue().await }
        });
        tracing::info!(address, service = self.service, "taking calls");
        let ended = tokio::select! {
            started = instance.start(&named) => match started {
                Ok(()) => {
                    tracing::info!(address, "ready");
                    shutdown.as_mut().await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            () = &mut shutdown => Ok(()),
        };
        tracing::info!("stopping");
        operations.close().await;
        releasing.abort();
        // Ends of operations arrive until here.
        stop.send_replace(true);
        let _ = serving.await;
        instance.close().await;
        counts.log_all(operations.counts().2);
        ended
    }
}
