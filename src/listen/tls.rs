//! TLS on a listener: bounds handshakes, counts those that fail, and answers clients that come without TLS.

mod connection;
mod refused;

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Listener, places::Places};

pub use connection::{Certified, Connection};
use refused::{Refusals, Refused};

/// Longest time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Maximum handshakes at the same time.
pub(super) const HANDSHAKES: usize = 1_024;
/// How many of these one address can have.
const HANDSHAKES_PER_ADDRESS: usize = HANDSHAKES / 2;
/// How long a client that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);
/// The first byte of a handshake. Requests without TLS begin with a letter.
const HANDSHAKE_BYTE: u8 = 0x16;

/// How a listener does TLS. Clones share their certificate, their limits and their counts.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: ArcSwap<ServerConfig>,
    handshakes: Places,
    /// Answers requests that come without TLS.
    plain: Router,
    refusals: Refusals,
}

impl Tls {
    /// `plain` answers requests that come without TLS: it should say so.
    pub fn new(config: Arc<ServerConfig>, plain: Router) -> Self {
        let handshakes = Places::new(HANDSHAKES, Some(HANDSHAKES_PER_ADDRESS));
        Self(Arc::new(Shared {
            config: ArcSwap::new(config),
            handshakes,
            plain,
            refusals: Refusals::default(),
        }))
    }

    /// Uses another configuration from the next handshake on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.config.store(config);
    }

    /// How many connections were refused, by reason.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        self.0.refusals.counts()
    }

    /// Counts a request that was refused because its connection has no client certificate.
    pub fn refuse_uncertified(&self, why: &str) {
        self.0.refusals.note(Refused::Certificate, None, why);
    }

    /// The last refusal of somebody who may be a client of this server that is set up wrongly.
    pub fn last_refused(&self) -> watch::Receiver<Option<String>> {
        self.0.refusals.last()
    }

    /// Does the handshake of a connection. `None`: it failed, which is counted, and logged at most once a minute for each
    /// reason.
    pub(super) async fn handshake<L: Listener>(
        &self,
        connection: L::Connection,
        address: Option<IpAddr>,
    ) -> Option<Connection<L::Connection>> {
        let done = timeout(HANDSHAKE, self.unbounded::<L>(connection, address)).await;
        match done.unwrap_or_else(|_| Err((Refused::Timeout, "it takes too long".to_owned()))) {
            Ok(connection) => connection,
            Err((reason, why)) => {
                self.0.refusals.note(reason, address, &why);
                None
            }
        }
    }

    /// `None`: the client went without a word, like a probe that only connects.
    async fn unbounded<L: Listener>(
        &self,
        connection: L::Connection,
        address: Option<IpAddr>,
    ) -> Result<Option<Connection<L::Connection>>, (Refused, String)> {
        let Some(_place) = self.0.handshakes.take(address).await else {
            return Err((
                Refused::Busy,
                format!("the address has {HANDSHAKES_PER_ADDRESS} others under way"),
            ));
        };
        match L::first_byte(&connection).await {
            Ok(Some(HANDSHAKE_BYTE)) => {}
            Ok(Some(_)) => {
                self.answer_plain(connection).await;
                return Err((Refused::Plain, "the client does not use TLS".to_owned()));
            }
            Ok(None) => return Ok(None),
            Err(error) => return Err((Refused::Other, error.to_string())),
        }
        let acceptor = TlsAcceptor::from(self.0.config.load_full());
        match acceptor.accept(connection).into_fallible().await {
            Ok(stream) => Ok(Some(Connection::Encrypted(Box::new(stream)))),
            Err((error, connection)) => {
                let reason = Refused::of(&error);
                // A timeout must not replace the reason.
                let _ = timeout(LINGER, linger(connection)).await;
                Err((reason, error.to_string()))
            }
        }
    }

    /// Answers over HTTP/1.1 or HTTP/2, as the client begins.
    async fn answer_plain(&self, connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().keep_alive(false);
        let app = TowerToHyperService::new(self.0.plain.clone());
        let served = http.serve_connection(TokioIo::new(connection), app);
        let _ = timeout(LINGER, served).await;
    }
}

/// Closes a connection, but not before the client has closed it: a connection that is closed with unread data is reset,
/// and the client may lose the alert that says why.
async fn linger(mut connection: impl AsyncRead + AsyncWrite + Unpin) {
    let mut unread = [0; 1_024];
    let _ = connection.shutdown().await;
    while connection.read(&mut unread).await.is_ok_and(|count| count > 0) {}
}
