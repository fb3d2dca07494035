//! TLS with real handshakes: certificates made for each test.

mod bounds;
mod clients;
mod commands;
mod flags;
pub mod http;
mod reload;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cutover::config::{Serve, TlsFlags};
use cutover_client::{Access, Client, ConnectError, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::server::Controller;

/// A directory of certificates.
pub struct Certificates {
    pub dir: TempDir,
}

/// A CA, whose certificate is in a file.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub file: PathBuf,
}

/// A certificate and its key, in files.
#[derive(Clone)]
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn ca(&self, name: &str) -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = self.path(&format!("{name}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Ca { issuer, file }
    }

    /// A certificate for these names, for servers and clients. Replaces the files of an earlier one with that name.
    pub fn signed(&self, by: &Ca, name: &str, names: &[&str]) -> Pair {
        self.signed_with(by, name, names, |_| ())
    }

    pub fn signed_with(
        &self,
        by: &Ca,
        name: &str,
        names: &[&str],
        with: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        with(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &by.issuer).unwrap();
        let pair =
            Pair { cert: self.path(&format!("{name}.cert.pem")), key: self.path(&format!("{name}.key.pem")) };
        fs::write(&pair.cert, cert.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

impl Pair {
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).unwrap()
    }

    /// Flags of a controller with it.
    pub fn flags(&self, client_ca: Option<&Ca>) -> Serve {
        let tls = TlsFlags {
            tls_cert: Some(self.cert.clone()),
            tls_key: Some(self.key.clone()),
            tls_client_ca: client_ca.map(|ca| ca.file.clone()),
        };
        Serve { tls, ..Serve::default() }
    }
}

/// A controller with TLS, for `localhost`.
pub struct Encrypted {
    pub controller: Controller,
    pub certificates: Certificates,
    pub ca: Ca,
    pub pair: Pair,
    _dir: TempDir,
}

impl Encrypted {
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// `mutual`: clients need a certificate of the same CA.
    pub async fn start_with(mutual: bool) -> Self {
        let (certificates, dir) = (Certificates::new(), TempDir::new().unwrap());
        let ca = certificates.ca("ca");
        let pair = certificates.signed(&ca, "server", &["localhost"]);
        let flags = pair.flags(mutual.then_some(&ca));
        let controller = Controller::start_with(dir.path(), 0, flags).await;
        Self { controller, certificates, ca, pair, _dir: dir }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.controller.port())
    }

    /// Trusts its CA.
    pub fn access(&self) -> Access {
        Access::default().with_ca_file(&self.ca.file)
    }

    /// The same, with a client certificate of its CA.
    pub fn access_with_certificate(&self) -> Access {
        let client = self.certificates.signed(&self.ca, "client", &["orders-api"]);
        self.access().with_client_certificate(client.cert, client.key)
    }

    pub async fn scrape(&self) -> String {
        http::get(self.controller.http, &self.ca.file, None, "/metrics").await
    }

    pub async fn sdk(&self, access: Access) -> Result<Client, ConnectError> {
        sdk(&self.url(), access).await
    }
}

pub async fn sdk(url: &str, access: Access) -> Result<Client, ConnectError> {
    let options = Options { instance_id: Some("orders-1".to_owned()), access, ..Options::default() };
    Client::connect(url, "orders-api", options).await
}

/// A raw connection to `localhost`, and the outcome of its handshake.
pub async fn handshake(
    port: u16,
    ca: &Path,
    client: Option<&Pair>,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
            config.with_client_auth_cert(vec![pair.der()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.into()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The certificate that a port presents.
pub async fn presented(port: u16, ca: &Path, protocol: &str) -> CertificateDer<'static> {
    let stream = handshake(port, ca, None, protocol).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}
