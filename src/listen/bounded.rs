//! A connection that has a place, and little time for its first bytes.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_io_timeout::TimeoutStream;

use super::{
    limited::{LimitCounts, Open},
    places::{Place, one_client},
    tls::Connection,
};

/// Longest time for the first bytes: HTTP/2 has no limit of its own for them. After that it pings.
const PREFACE: Duration = Duration::from_secs(5);
/// The first bytes of HTTP/2, of one length for everybody.
const PREFACE_BYTES: usize = 24;
/// Longest time that a client may leave what is sent to it.
pub(super) const UNSENT: Duration = Duration::from_secs(20);

/// The address that a request came from, as limits count it: of IPv6 the first 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

impl Peer {
    pub(super) fn new(address: IpAddr) -> Self {
        Self(one_client(address))
    }
}

/// A connection within the limits of its listener.
#[derive(Debug)]
pub struct Bounded {
    io: Pin<Box<TimeoutStream<Connection<TcpStream>>>>,
    /// How many of the first bytes are missing, and until when they may. `None`: they are there.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    peer: Option<Peer>,
    _place: Place,
    _open: Open,
}

impl Bounded {
    pub(super) fn new(
        connection: Connection<TcpStream>,
        address: Option<IpAddr>,
        place: Place,
        counts: Arc<LimitCounts>,
    ) -> Self {
        let mut io = TimeoutStream::new(connection);
        io.set_write_timeout(Some(UNSENT));
        Self {
            io: Box::pin(io),
            preface: Some((PREFACE_BYTES, Box::pin(sleep(PREFACE)))),
            peer: address.map(Peer::new),
            _place: place,
            _open: counts.open(),
        }
    }

    /// Where it comes from.
    pub const fn peer(&self) -> Option<Peer> {
        self.peer
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let polled = this.io.as_mut().poll_read(context, into);
        let Some((left, until)) = &mut this.preface else { return polled };
        if polled.is_pending() {
            ready!(until.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request begins")));
        }
        *left = left.saturating_sub(into.filled().len() - before);
        if *left == 0 {
            this.preface = None;
        }
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().io.as_mut().poll_write(context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().io.as_mut().poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
