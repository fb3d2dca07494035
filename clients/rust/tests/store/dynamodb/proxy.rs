//! A way to the server that can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Passes bytes on between its port and the server's.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// Reads of requests still passed on; below 0 every connection is cut.
    requests_left: AtomicI64,
    answers_pass: AtomicBool,
}

impl Proxy {
    /// In front of the server at `url`.
    pub(crate) async fn before(url: &str) -> Self {
        let server = url.rsplit_once("http://").expect("the script writes it").1.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state =
            Arc::new(State { requests_left: AtomicI64::new(i64::MAX), answers_pass: AtomicBool::new(true) });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, server) = (shared.clone(), server.clone());
                tokio::spawn(async move { pass(client, &server, &state).await });
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("dynamodb://?region=us-east-1&endpoint=http://127.0.0.1:{}", self.port)
    }

    /// Cuts every connection, old and new, once about so many requests have passed.
    pub(crate) fn cut_after_requests(&self, requests: i64) {
        self.state.requests_left.store(requests, SeqCst);
    }

    /// The server does what it is asked; when it answers, the connection is cut.
    pub(crate) fn cut_instead_of_answers(&self) {
        self.state.answers_pass.store(false, SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.state.requests_left.store(i64::MAX, SeqCst);
        self.state.answers_pass.store(true, SeqCst);
    }
}

/// Until either side ends, or the way is cut; both are dropped then.
async fn pass(mut client: TcpStream, server: &str, state: &State) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut request, mut answer) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(bytes @ 1..) = read else { return };
                if state.requests_left.fetch_sub(1, SeqCst) <= 0 {
                    return;
                }
                if server.write_all(&request[..bytes]).await.is_err() { return }
            }
            read = server.read(&mut answer) => {
                let Ok(bytes @ 1..) = read else { return };
                if !state.answers_pass.load(SeqCst) || client.write_all(&answer[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}
