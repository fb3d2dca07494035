//! TLS on a listener: bounds handshakes, counts those that fail, and answers clients that come without TLS.

mod connection;
mod refused;

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::Router;
use futures::FutureExt as _;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Listener, SPARE, SPARE_FOR, SPARE_PER_ADDRESS,
    answer::answer,
    places::{Place, Places},
};

pub use connection::{Certified, Connection};
pub use refused::RefusedConnection;
use refused::{Refusals, Refused};

/// Longest time for a handshake, and before that for a place.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Maximum handshakes at the same time.
const HANDSHAKES: usize = 1_024;
/// The same, with those that have little time because the others are taken.
pub(super) const HANDSHAKES_WITH_SPARE: usize = HANDSHAKES + SPARE;
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
    /// For handshakes while the places above are taken.
    spare: Places,
    /// Answers requests that come without TLS.
    plain: Router,
    /// Whether only a process that may route makes calls with this path.
    is_process: fn(&str) -> bool,
    refusals: Refusals,
}

impl Tls {
    /// `plain` answers requests that come without TLS: it should say so. `is_process` knows the paths of calls that only
    /// processes make that may route.
    pub fn new(config: Arc<ServerConfig>, plain: Router, is_process: fn(&str) -> bool) -> Self {
        Self(Arc::new(Shared {
            config: ArcSwap::new(config),
            handshakes: Places::new(HANDSHAKES, Some(HANDSHAKES_PER_ADDRESS)),
            spare: Places::new(SPARE, Some(SPARE_PER_ADDRESS)),
            plain,
            is_process,
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
    pub fn last_refused(&self) -> watch::Receiver<Option<RefusedConnection>> {
        self.0.refusals.last()
    }

    /// Does the handshake of a connection, within `limit` if that is less than other handshakes have. `None`: it failed,
    /// which is counted, and logged at most once a minute for each reason.
    pub(super) async fn handshake<L: Listener>(
        &self,
        connection: L::Connection,
        address: Option<IpAddr>,
        limit: Duration,
    ) -> Option<Connection<L::Connection>> {
        let (reason, why) = match self.place(address, limit).await {
            Ok((_place, limit)) => match self.placed::<L>(connection, limit).await {
                Ok(connection) => return connection,
                Err(refused) => refused,
            },
            Err(why) => (Refused::Busy, why),
        };
        self.0.refusals.note(reason, address, &why);
        None
    }

    /// A place for a handshake, and how long that may take. Others than those who have taken all places need not wait for
    /// them. An error says why there is none.
    async fn place(&self, address: Option<IpAddr>, limit: Duration) -> Result<(Place, Duration), String> {
        let Shared { handshakes, spare, .. } = &*self.0;
        let busy = || format!("its address has more than {HANDSHAKES_PER_ADDRESS} handshakes under way");
        if handshakes.are_taken_by(address) {
            let place = spare.take(address).now_or_never().flatten();
            return place.map(|place| (place, limit.min(SPARE_FOR))).ok_or_else(busy);
        }
        let place = async {
            tokio::select! {
                biased;
                Some(place) = handshakes.take(address) => Ok((place, limit.min(HANDSHAKE))),
                Some(place) = spare.take(address) => Ok((place, limit.min(SPARE_FOR))),
                else => Err(busy()),
            }
        };
        let waited = timeout(limit.min(HANDSHAKE), place).await;
        waited.unwrap_or_else(|_| Err(format!("{HANDSHAKES} handshakes are under way")))
    }

    /// The handshake of a connection that has a place for it. `None`: the client went without a word, like a probe that
    /// only connects.
    async fn placed<L: Listener>(
        &self,
        connection: L::Connection,
        limit: Duration,
    ) -> Result<Option<Connection<L::Connection>>, (Refused, String)> {
        let slow = |_| (Refused::Timeout, "its handshake takes too long".to_owned());
        let begun = Instant::now();
        match timeout(limit, L::first_byte(&connection)).await.map_err(slow)? {
            Ok(Some(HANDSHAKE_BYTE)) => {}
            Ok(Some(_)) => {
                let (plain, is_process) = (self.0.plain.clone(), self.0.is_process);
                let is_process = answer(connection, plain, is_process, LINGER).await;
                return Err((Refused::Plain { is_process }, "the client does not use TLS".to_owned()));
            }
            Ok(None) => return Ok(None),
            Err(error) => return Err((Refused::Other, error.to_string())),
        }
        let left = limit.saturating_sub(begun.elapsed());
        let accept = TlsAcceptor::from(self.0.config.load_full()).accept(connection);
        match timeout(left, accept.into_fallible()).await.map_err(slow)? {
            Ok(stream) => Ok(Some(Connection::Encrypted(Box::new(stream)))),
            Err((error, connection)) => {
                // Outside of the time for the handshake, which would replace the reason.
                let _ = timeout(LINGER, linger(connection)).await;
                Err(Refused::of(&error))
            }
        }
    }
}

/// Closes a connection, but not before the client has closed it: a connection that is closed with unread data is reset,
/// and the client may lose the alert that says why.
async fn linger(mut connection: impl AsyncRead + AsyncWrite + Unpin) {
    let mut unread = [0; 1_024];
    let _ = connection.shutdown().await;
    while connection.read(&mut unread).await.is_ok_and(|count| count > 0) {}
}
