//! A TCP proxy that delays requests and answers, and cuts connections when the answer comes: the request was
//! executed, but the caller does not know.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    task::JoinHandle,
};

/// How bad the connection is; changed while it is used.
#[derive(Debug, Default)]
pub struct Faults {
    /// Of a million answers, this many are lost with their connection.
    pub cut_ppm: AtomicU64,
    /// A quarter of the requests and answers take longer by a random time up to this.
    pub delay_ms: AtomicU64,
    /// Nothing gets through, and nothing is lost.
    pub held: AtomicBool,
    /// Connections cut so far.
    pub cuts: AtomicU64,
}

impl Faults {
    /// Removes all faults.
    pub fn heal(&self) {
        self.cut_ppm.store(0, Ordering::Relaxed);
        self.delay_ms.store(0, Ordering::Relaxed);
    }

    async fn delay(&self) {
        while self.held.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let delay_ms = self.delay_ms.load(Ordering::Relaxed);
        if delay_ms > 0 && rand::random_range(0..4) == 0 {
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..=delay_ms))).await;
        }
    }
}

/// A proxy until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A new proxy to a server on this machine.
    pub async fn start(to: SocketAddr, faults: Arc<Faults>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = faults.clone();
                tokio::spawn(async move {
                    // A server that is away, or a side that hangs up, just ends the connection.
                    if let Ok(server) = TcpStream::connect(to).await {
                        carry(client, server, &faults).await;
                    }
                });
            }
        });
        Ok(Self { address, accepting })
    }
}

async fn carry(client: TcpStream, server: TcpStream, faults: &Faults) {
    // An error here costs some milliseconds at most.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    // Whichever direction ends first ends both: the sockets are closed when this returns.
    tokio::select! {
        () = requests(client_in, server_out, faults) => {}
        () = answers(server_in, client_out, faults) => {}
    }
}

async fn requests(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, faults: &Faults) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        faults.delay().await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // A client that hung up may still have a request in flight.
    tokio::time::sleep(Duration::from_millis(200)).await;
}

async fn answers(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, faults: &Faults) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if rand::random_range(0..1_000_000) < faults.cut_ppm.load(Ordering::Relaxed) {
            faults.cuts.fetch_add(1, Ordering::Relaxed);
            return;
        }
        faults.delay().await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
