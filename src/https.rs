//! The HTTP client of the controller. TLS is rustls with the system's certificates.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// What the controller calls itself.
pub const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"));

/// Follows no redirects.
pub type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// No certificate could be checked.
    #[error(
        "an address has https, but this system has no certificates{0}: install ca-certificates or set SSL_CERT_FILE"
    )]
    NoCertificates(String),
    /// TLS can't be set up.
    #[error("TLS can't be set up for https: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client. Reads the system's certificates if they are needed.
pub fn client(needs_tls: bool) -> Result<HttpsClient, HttpsError> {
    let mut roots = RootCertStore::empty();
    if needs_tls {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})").replace('\n', " "));
            return Err(HttpsError::NoCertificates(why.unwrap_or_default()));
        }
    }
    // The provider is named explicitly: another crate of the process may have installed another one.
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(Client::builder(TokioExecutor::new()).build(connector.build()))
}

/// Everything that is known about the error; no part contains the URL.
pub fn why(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if why.contains("invalid peer certificate") {
        return format!("its certificate is not trusted ({why}): SSL_CERT_FILE names the file of its CA");
    }
    if why.is_empty() { error.to_string() } else { why }
}
