//! Webhooks over TLS: a certificate of a CA that the controller was told to trust, and one of another.
//!
//! The certificates in `tls/` are used only here, and are valid for a hundred years.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use cutover_proto::v1;
use nix::sys::signal::Signal;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::support::process::Process;

/// The first byte of a TLS handshake; an unencrypted request begins with a letter.
const HANDSHAKE: u8 = 0x16;

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notify/tls").join(name)
}

/// What a server received.
#[derive(Clone, Default)]
struct Met {
    /// The first byte of each connection.
    first: Arc<Mutex<Vec<u8>>>,
    /// The error of each handshake that failed.
    failed: Arc<Mutex<Vec<String>>>,
    /// Keys and bodies of requests.
    told: Arc<Mutex<Vec<(String, Bytes)>>>,
}

struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
    met: Met,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.tcp.accept().await.unwrap();
            let mut first = [0];
            stream.peek(&mut first).await.unwrap();
            self.met.first.lock().unwrap().push(first[0]);
            match self.tls.accept(stream).await {
                Ok(stream) => return (stream, from),
                Err(error) => self.met.failed.lock().unwrap().push(error.to_string()),
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn hook(State(met): State<Met>, headers: HeaderMap, body: Bytes) {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    met.told.lock().unwrap().push((key, body));
}

impl Met {
    /// Listens with a certificate for `localhost`; gives the URL.
    async fn listen(&self) -> String {
        let chain = CertificateDer::pem_file_iter(pem("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(pem("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/hook", tcp.local_addr().unwrap().port());
        let listener = Listener { tcp, tls: TlsAcceptor::from(Arc::new(config)), met: self.clone() };
        let app = Router::new().route("/hook", post(hook)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let comes = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), comes).await.is_ok(), "{what} does not come");
}

async fn start(dir: &Path, ca: &str, url: &str) -> Process {
    Process::start_with(dir, &["--webhook", &format!("ops={url}")], &[("SSL_CERT_FILE", pem(ca).as_path())])
        .await
}

async fn pause(process: &Process) {
    let mut admin = process.admin().await;
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        ..Default::default()
    };
    admin.create_migration(create).await.unwrap();
    let why = v1::Mutation { reason: "a test".to_owned(), ..Default::default() };
    admin.pause(v1::PauseRequest { mutation: Some(why), key: "orders".to_owned() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_trusted_ca_is_told_over_tls() {
    let (dir, met) = (TempDir::new().unwrap(), Met::default());
    let process = start(dir.path(), "ca.pem", &met.listen().await).await;
    pause(&process).await;
    until("the message", || !met.told.lock().unwrap().is_empty()).await;
    let body = met.told.lock().unwrap()[0].1.clone();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["change"], "pause");
    assert_eq!((&*met.first.lock().unwrap(), met.failed.lock().unwrap().len()), (&vec![HANDSHAKE], 0));
    process.end(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_gets_nothing_and_is_tried_again_until_it_is_trusted() {
    let (dir, met) = (TempDir::new().unwrap(), Met::default());
    let url = met.listen().await;
    let process = start(dir.path(), "other.pem", &url).await;
    pause(&process).await;
    until("a second attempt", || met.failed.lock().unwrap().len() >= 2).await;
    until("a warning", || process.said("its certificate is not trusted")).await;
    assert!(process.said("UnknownIssuer") && process.said("SSL_CERT_FILE"));
    process.end(Signal::SIGTERM).await;
    assert!(met.told.lock().unwrap().is_empty());
    assert!(met.first.lock().unwrap().iter().all(|first| *first == HANDSHAKE), "nothing goes in clear");

    let process = start(dir.path(), "ca.pem", &url).await;
    until("what was missed", || !met.told.lock().unwrap().is_empty()).await;
    process.end(Signal::SIGTERM).await;
}
