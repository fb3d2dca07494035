//! The sockets of a controller, and what comes in there.

use std::{os::fd::AsFd, sync::Arc};

use tokio::net::TcpListener;
use tonic::transport::server::Connected;

use super::{Error, access, bounds, files, tls::Certificates};
use crate::{
    config::Config,
    listen::{Bounded, LimitCounts, Peer, Port, Tls},
};

/// Bound sockets, so that a caller can choose port 0 and learn the actual port.
#[derive(Debug)]
pub struct Listeners {
    /// For gRPC.
    pub grpc: TcpListener,
    /// For the JSON API, health and metrics.
    pub http: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    pub async fn bind(config: &Config) -> Result<Self, Error> {
        let bind = async |address, flag| {
            TcpListener::bind(address).await.map_err(|error| Error::Listen { address, flag, error })
        };
        Ok(Self { grpc: bind(config.grpc, "grpc").await?, http: bind(config.http, "http").await? })
    }

    /// The same sockets once more. They stay bound while either is open.
    pub(super) fn again(&self, config: &Config) -> Result<Self, Error> {
        let again = |listener: &TcpListener, address, flag| {
            let socket = listener.as_fd().try_clone_to_owned().map(std::net::TcpListener::from);
            let listen = |error| Error::Listen { address, flag, error };
            socket.and_then(TcpListener::from_std).map_err(listen)
        };
        Ok(Self {
            grpc: again(&self.grpc, config.grpc, "grpc")?,
            http: again(&self.http, config.http, "http")?,
        })
    }
}

/// Where a controller is reached.
pub(super) struct Ports<S> {
    /// Of gRPC.
    pub(super) connections: S,
    /// `None`: there is no HTTP.
    pub(super) http: Option<Http>,
    /// Counts who is refused at the gRPC port.
    pub(super) limited: Arc<LimitCounts>,
}

impl<S> Ports<S> {
    /// Connections of gRPC and their counts, the socket of HTTP, and certificates.
    pub(super) fn parts(self) -> (S, Arc<LimitCounts>, Option<TcpListener>, Option<Arc<Certificates>>) {
        let (http, certificates) =
            self.http.map_or((None, None), |http| (Some(http.listener), http.certificates));
        (self.connections, self.limited, http, certificates)
    }
}

/// The HTTP port.
pub(super) struct Http {
    pub(super) listener: TcpListener,
    pub(super) certificates: Option<Arc<Certificates>>,
}

/// The gRPC port of a process that may open so many files.
pub(super) fn port(config: &Config, files: u64, tls: Option<Tls>, counts: Arc<LimitCounts>) -> Port {
    let connections = files::grpc_connections(files);
    let per_address = config.grpc_connections_per_address.map_or(connections * 9 / 10, |most| most as usize);
    let (full, refusing) = bounds::full(connections, per_address);
    Port { tls, connections, per_address, full, refusing, is_process: access::is_process, counts }
}

impl Connected for Bounded {
    type ConnectInfo = Option<Peer>;

    fn connect_info(&self) -> Option<Peer> {
        self.peer()
    }
}
