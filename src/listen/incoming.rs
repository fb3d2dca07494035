//! Connections as a stream, for a server that serves them itself.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use futures::{Stream, stream};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    SPARE, SPARE_FOR, accept,
    answer::answer,
    bounded::{Bounded, UNSENT},
    encrypted,
    limited::{Limit, LimitCounts},
    room::{Room, Seat},
    tls::{Connection, HANDSHAKES_WITH_SPARE, Tls},
};

/// How a listener takes connections for a server of HTTP/2.
#[derive(Clone, Debug)]
pub struct Port {
    /// `None`: without TLS.
    pub tls: Option<Tls>,
    /// Maximum connections at the same time.
    pub connections: usize,
    /// How many of them one address can have.
    pub per_address: usize,
    /// The answer to a connection beyond that.
    pub full: String,
    /// Gives that answer.
    pub refusing: Router,
    /// Whether only a process that may route makes calls with this path.
    pub is_process: fn(&str) -> bool,
    /// Counts them.
    pub counts: Arc<LimitCounts>,
}

struct Incoming {
    listener: TcpListener,
    port: Port,
    room: Room,
    /// It waits for a place.
    waiting: Option<(TcpStream, Option<IpAddr>)>,
    /// Handshakes, and answers to those that are refused. `None`: it is not served.
    opening: JoinSet<Option<Bounded>>,
}

/// The connections of a listener. Handshakes run beside each other: a slow one delays nobody. While nobody asks for the next
/// connection, none is accepted: it waits in the socket's queue for the next server.
pub fn incoming(listener: TcpListener, port: Port) -> impl Stream<Item = io::Result<Bounded>> {
    let room = Room::new(port.connections, Some(port.per_address));
    let incoming = Incoming { listener, port, room, waiting: None, opening: JoinSet::new() };
    stream::unfold(incoming, async |mut incoming| {
        let next = incoming.next().await;
        Some((Ok(next), incoming))
    })
}

impl Incoming {
    async fn next(&mut self) -> Bounded {
        let Self { listener, port, room, waiting, opening } = self;
        loop {
            let address = waiting.as_ref().and_then(|(_, address)| *address);
            let takes_more = waiting.is_none() && opening.len() < HANDSHAKES_WITH_SPARE + SPARE;
            let seat = tokio::select! {
                Some(done) = opening.join_next() => match done {
                    Ok(Some(connection)) => return connection,
                    _ => continue,
                },
                accepted = accept(listener), if takes_more => {
                    *waiting = Some(accepted);
                    continue;
                }
                seat = room.seat(address), if waiting.is_some() => seat,
            };
            let Some((connection, address)) = waiting.take() else { continue };
            let Some(seat) = seat else {
                // It may have been anybody.
                port.counts.refuse(Limit::Connections, address, Some(&port.full));
                continue;
            };
            if let Err(error) = bound(&connection) {
                tracing::debug!(%error, "a connection ended before it was served");
                continue;
            }
            if port.tls.is_none() && !seat.is_spare {
                let connection = Connection::Plain(connection);
                return Bounded::new(connection, address, seat.place, port.counts.clone());
            }
            opening.spawn(open(port.clone(), connection, address, seat));
        }
    }
}

/// The send buffer keeps its size: a snapshot may be large, and the way long.
fn bound(connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(connection).set_tcp_user_timeout(Some(UNSENT))?;
    Ok(())
}

async fn open(
    port: Port,
    connection: TcpStream,
    address: Option<IpAddr>,
    Seat { place, is_spare }: Seat,
) -> Option<Bounded> {
    let limit = if is_spare { SPARE_FOR } else { Duration::MAX };
    let connection = encrypted::<TcpListener>(port.tls, connection, address, limit).await?;
    if is_spare {
        let is_process = answer(connection, port.refusing, port.is_process, SPARE_FOR).await;
        port.counts.refuse(Limit::Connections, address, is_process.then_some(port.full.as_str()));
        return None;
    }
    Some(Bounded::new(connection, address, place, port.counts))
}
