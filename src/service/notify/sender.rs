//! One request and its result. TLS is rustls with the system's certificates.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http_body_util::Full;
use hyper::{Request, body::Bytes, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use crate::notify::{Endpoint, HEADER, retry_after};

/// An endpoint that takes longer to answer, connecting included, counts as silent.
const ANSWER: Duration = Duration::from_secs(10);

/// Why messages can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// No certificate could be checked.
    #[error(
        "an endpoint has https, but this system has no certificates{0}: install ca-certificates or set SSL_CERT_FILE"
    )]
    NoCertificates(String),
    /// TLS can't be set up.
    #[error("TLS can't be set up for https endpoints: {0}")]
    Tls(#[from] rustls::Error),
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Sender {
    /// Reads the system's certificates if they are needed.
    pub(super) fn new(needs_tls: bool) -> Result<Self, SenderError> {
        let mut roots = RootCertStore::empty();
        if needs_tls {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map(|error| format!(" ({error})").replace('\n', " "));
                return Err(SenderError::NoCertificates(why.unwrap_or_default()));
            }
        }
        // The provider is named explicitly: another crate of the process may have installed another one.
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector.build()) })
    }

    /// One attempt at `unix_s`: the status of the answer and how long the endpoint asks to be left alone, or
    /// why there is no answer. Redirects are not followed: a message goes only where an operator said.
    pub(super) async fn post(
        &self,
        to: &Endpoint,
        key: &str,
        body: &[u8],
        unix_s: u64,
    ) -> Result<(u16, Duration), String> {
        let mut request = Request::post(to.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .header("Idempotency-Key", key);
        if let Some(secret) = &to.secret {
            request = request.header(HEADER, secret.sign(unix_s, body));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)));
        let request = request.map_err(|error| format!("the request can't be made: {error}"))?;
        match tokio::time::timeout(ANSWER, self.client.request(request)).await {
            Ok(Ok(response)) => {
                let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.map(|value| retry_after(value, SystemTime::now()));
                Ok((response.status().as_u16(), asked.unwrap_or_default()))
            }
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(format!("nothing in {} s", ANSWER.as_secs())),
        }
    }
}

/// Everything that is known about the error; no part contains the URL.
fn why(error: &hyper_util::client::legacy::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if why.contains("invalid peer certificate") {
        return format!("its certificate is not trusted ({why}): SSL_CERT_FILE names the file of its CA");
    }
    if why.is_empty() { error.to_string() } else { why }
}
