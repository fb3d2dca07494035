//! Takes connections and serves HTTP on them. Bounds what those who open them can hold: connections, the time for a
//! request, and the time without taking what is sent to them (docs/api.md, "Limits").

mod answer;
mod bounded;
mod incoming;
mod limited;
mod places;
mod room;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    future::Future,
    io,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower_http::timeout::RequestBodyDeadlineLayer;

pub use bounded::{Bounded, Peer};
pub use incoming::{Port, incoming};
pub use limited::{Limit, LimitCounts};
use room::{Room, Seat};
pub use tls::{Certified, Connection, RefusedConnection, Tls};

/// Further connections at the same time that get an answer, each for one request.
const SPARE: usize = 64;
/// How many of these one address can have.
const SPARE_PER_ADDRESS: usize = SPARE / 4;
/// How long such a connection has to ask and to be answered.
const SPARE_FOR: Duration = Duration::from_secs(2);
/// Maximum bytes in the kernel that a client has yet to take. It keeps a stalled client from going unnoticed.
const UNSENT_MAX_BYTES: usize = 128 << 10;
/// After a failure to accept connections, such as too many open files.
const RETRY: Duration = Duration::from_secs(1);
/// How often the log says that connections are refused.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What one client, or all of them, can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum connections at the same time.
    pub connections: usize,
    /// How many of them one address can have. `None`: all.
    pub per_address: Option<usize>,
    /// Longest time for the head of a request, and between two requests on one connection.
    pub head: Duration,
    /// Longest time for the body of a request, as a whole.
    pub body: Duration,
    /// Longest time that a client may leave what is sent to it.
    pub unsent: Duration,
    /// Maximum requests at the same time on one connection of HTTP/2. `None`: only HTTP/1.1 is spoken.
    pub http2_requests: Option<u32>,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Within the limits.
    pub open: Router,
    /// On a connection beyond a limit: refuses what can wait.
    pub full: Router,
}

/// A socket that takes connections.
pub trait Listener: Send {
    /// A connection.
    type Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, and the address that it counts for.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Connection, Option<IpAddr>)>> + Send;

    /// The first byte that the client sends, which stays unread. `None`: it has closed the connection.
    fn first_byte(connection: &Self::Connection) -> impl Future<Output = io::Result<Option<u8>>> + Send;

    /// A client that has gone without a word is noticed by the kernel, one that does not read by the write that stalls.
    fn bound(connection: &Self::Connection, unsent: Duration) -> io::Result<()>;
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (connection, from) = self.accept().await?;
        Ok((connection, Some(from.ip())))
    }

    async fn first_byte(connection: &TcpStream) -> io::Result<Option<u8>> {
        let mut first = [0];
        let count = connection.peek(&mut first).await?;
        Ok((count > 0).then_some(first[0]))
    }

    fn bound(connection: &TcpStream, unsent: Duration) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let socket = SockRef::from(connection);
        socket.set_send_buffer_size(UNSENT_MAX_BYTES)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(unsent))?;
        Ok(())
    }
}

impl Listener for UnixListener {
    type Connection = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        Ok((self.accept().await?.0, None))
    }

    /// There is no TLS on unix sockets.
    async fn first_byte(_: &UnixStream) -> io::Result<Option<u8>> {
        Ok(None)
    }

    fn bound(connection: &UnixStream, _: Duration) -> io::Result<()> {
        SockRef::from(connection).set_send_buffer_size(UNSENT_MAX_BYTES)
    }
}

/// Serves until `stop` completes and the requests in flight have been answered.
pub async fn serve<L: Listener>(
    listener: L,
    tls: Option<Tls>,
    routes: Routes,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let body = RequestBodyDeadlineLayer::new(limits.body);
    let (open, full) = (routes.open.layer(body.clone()), routes.full.layer(body));
    let mut room = Room::new(limits.connections, limits.per_address);
    let graceful = GracefulShutdown::new();
    // Dropped when it stops: handshakes end then.
    let (running, closing) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (connection, address) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let seat = tokio::select! {
            biased;
            seat = room.seat(address) => seat,
            () = &mut stop => break,
        };
        let Some(Seat { place, is_spare }) = seat else { continue };
        let app = if is_spare { full.clone() } else { open.clone() };
        if let Err(error) = L::bound(&connection, limits.unsent) {
            tracing::debug!(%error, "a connection ended before it was served");
            continue;
        }
        let http = protocols(&limits, is_spare);
        let (tls, watcher, mut closing) = (tls.clone(), graceful.watcher(), closing.clone());
        tokio::spawn(async move {
            let first = if is_spare { SPARE_FOR } else { limits.head };
            let connection = tokio::select! {
                biased;
                connection = encrypted::<L>(tls, connection, address, first) => connection,
                _ = closing.changed() => None,
            };
            let Some(connection) = connection else { return };
            let is_certified = connection.is_certified();
            let mut io = TimeoutStream::new(connection);
            io.set_write_timeout(Some(limits.unsent));
            let has_begun = Arc::new(AtomicBool::new(false));
            let begun = has_begun.clone();
            let app = TowerToHyperService::new(app);
            let app = service_fn(move |mut request: Request<Incoming>| {
                begun.store(true, Ordering::Relaxed);
                if is_certified {
                    request.extensions_mut().insert(Certified);
                }
                if let Some(address) = address {
                    request.extensions_mut().insert(Peer::new(address));
                }
                app.call(request)
            });
            let served = http.serve_connection(TokioIo::new(Box::pin(io)), app).into_owned();
            let mut served = pin!(watcher.watch(served));
            let ended = match timeout(first, served.as_mut()).await {
                Ok(ended) => ended,
                // HTTP/2 has no limit of its own for the first bytes.
                Err(_) if is_spare || !has_begun.load(Ordering::Relaxed) => Ok(()),
                Err(_) => served.await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection failed");
            }
            drop(place);
        });
    }
    drop((listener, running));
    graceful.shutdown().await;
}

/// The connection after its handshake, if there is to be one. `None`: it failed.
async fn encrypted<L: Listener>(
    tls: Option<Tls>,
    connection: L::Connection,
    address: Option<IpAddr>,
    limit: Duration,
) -> Option<Connection<L::Connection>> {
    match tls {
        None => Some(Connection::Plain(connection)),
        Some(tls) => tls.handshake::<L>(connection, address, limit).await,
    }
}

/// What a connection speaks.
fn protocols(limits: &Limits, is_spare: bool) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    if limits.http2_requests.is_none() {
        http = http.http1_only();
    }
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).keep_alive(!is_spare);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_requests)
        .keep_alive_interval(limits.unsent)
        .keep_alive_timeout(limits.unsent);
    http
}

/// The next connection.
async fn accept<L: Listener>(listener: &L) -> (L::Connection, Option<IpAddr>) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client's fault.
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {
            }
            Err(error) => {
                tracing::error!(%error, "could not accept a connection; retrying");
                sleep(RETRY).await;
            }
        }
    }
}
