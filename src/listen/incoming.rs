//! Connections as a stream, for a server that serves them itself.

use std::{io, time::Duration};

use futures::{Stream, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    accept,
    tls::{Connection, HANDSHAKES_WITH_SPARE, Tls},
};

struct Incoming {
    listener: TcpListener,
    tls: Option<Tls>,
    /// `None`: it failed.
    handshakes: JoinSet<Option<Connection<TcpStream>>>,
}

/// The connections of a listener. With TLS, handshakes run beside each other: a slow one delays nobody.
pub fn incoming(
    listener: TcpListener,
    tls: Option<Tls>,
) -> impl Stream<Item = io::Result<Connection<TcpStream>>> {
    let incoming = Incoming { listener, tls, handshakes: JoinSet::new() };
    stream::unfold(incoming, async |mut incoming| {
        let next = incoming.next().await;
        Some((Ok(next), incoming))
    })
}

impl Incoming {
    async fn next(&mut self) -> Connection<TcpStream> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                // Further ones wait in the socket's queue.
                (connection, address) = accept(&self.listener), if self.handshakes.len() < HANDSHAKES_WITH_SPARE => {
                    if let Err(error) = connection.set_nodelay(true) {
                        tracing::debug!(%error, "a connection ended before it was served");
                        continue;
                    }
                    let Some(tls) = self.tls.clone() else { return Connection::Plain(connection) };
                    self.handshakes.spawn(async move {
                        tls.handshake::<TcpListener>(connection, address, Duration::MAX).await
                    });
                }
            }
        }
    }
}
