//! The files for TLS, and what may be wrong with it. No message has a part of a key.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::{ExposeSecret as _, SecretSlice};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, Error, RootCertStore, WantsVerifier,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Files for TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// CAs to trust. `None`: the system's.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// What is wrong with TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file has no certificate.
    #[error("{0} has no valid certificate: give it in PEM, as in -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// A file has no key.
    #[error(
        "{0} has no valid private key: give one in PEM without a passphrase, as in -----BEGIN PRIVATE KEY-----"
    )]
    NoKey(PathBuf),
    /// One of certificate and key is missing.
    #[error("a client certificate needs its private key: give --client-cert and --client-key, or neither")]
    HalfIdentity,
    /// They can't be used.
    #[error("the client certificate {cert} and the key {key} can't be used: {error}")]
    Identity {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: String,
    },
    /// There is no CA to trust.
    #[error("this system trusts no CA: give the certificate of the controller's with --ca FILE (CUTOVER_CA)")]
    NoCas,
    /// What answers there does not use TLS.
    #[error(
        "{0} does not use TLS on that port: connect with http:// instead of https://, or start the controller with --tls-cert \
         and --tls-key"
    )]
    NotTls(String),
    /// What answers there does not speak gRPC.
    #[error(
        "{0} does not speak gRPC on that port: connect to the controller's gRPC port, which is 7070 by default"
    )]
    NotGrpc(String),
    /// The controller's certificate is not accepted.
    #[error("the certificate of {host} is not accepted: {why}")]
    Certificate {
        /// The host.
        host: String,
        /// Why, and what to do.
        why: String,
    },
    /// The controller wants a certificate from its clients.
    #[error(
        "{0} requires a client certificate: give one that its CA for clients has signed, with --client-cert and --client-key \
         (CUTOVER_CLIENT_CERT, CUTOVER_CLIENT_KEY)"
    )]
    NeedsCertificate(String),
    /// The controller does not accept this client's certificate.
    #[error(
        "{host} does not accept this client's certificate ({alert}): it must be signed by a CA in the controller's \
         --tls-client-ca, and be valid now"
    )]
    Refused {
        /// The host.
        host: String,
        /// What the controller said.
        alert: String,
    },
    /// Something else.
    #[error("TLS with {host} failed: {why}")]
    Failed {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
}

impl TlsFiles {
    /// Reads the files.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let config = builder()?.with_root_certificates(self.roots()?);
        let mut config = match (&self.cert, &self.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                // The parser's error may quote the file.
                let text = SecretSlice::from(read(key)?);
                let parsed = PrivateKeyDer::from_pem_slice(text.expose_secret())
                    .map_err(|_| TlsError::NoKey(key.clone()))?;
                config.with_client_auth_cert(chain, parsed).map_err(|error| TlsError::Identity {
                    cert: cert.clone(),
                    key: key.clone(),
                    error: match error {
                        Error::InconsistentKeys(_) => "they are not of one pair".to_owned(),
                        error => error.to_string(),
                    },
                })?
            }
            _ => return Err(TlsError::HalfIdentity),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    /// Refuses every server, and shows no certificate.
    pub(crate) fn trusting_nobody() -> Result<Arc<ClientConfig>, TlsError> {
        let mut config = builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    pub(crate) const fn is_any(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for ca in certificates(path)? {
                    roots.add(ca).map_err(|_| TlsError::NoCertificate(path.clone()))?;
                }
            }
            None => {
                // Some of a system's are often of a form that is not supported.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError::NoCas);
                }
            }
        }
        Ok(roots)
    }
}

impl TlsError {
    /// The one that caused an error, if one did.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
    }

    /// Why a handshake with a host failed, or the first bytes after it.
    pub(crate) fn of(error: &io::Error, host: &str) -> Self {
        let host = host.to_owned();
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "it closed the connection. Either its port has no TLS, or too many handshakes from this address are under way"
                        .to_owned()
                }
                _ => error.to_string(),
            };
            return Self::Failed { host, why };
        };
        use AlertDescription as Alert;
        match error {
            Error::InvalidMessage(_) => Self::NotTls(host),
            Error::InvalidCertificate(error) => Self::Certificate { why: why(error), host },
            Error::AlertReceived(Alert::NoApplicationProtocol) => Self::NotGrpc(host),
            Error::AlertReceived(Alert::CertificateRequired) => Self::NeedsCertificate(host),
            Error::AlertReceived(
                alert @ (Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied),
            ) => Self::Refused { host, alert: format!("{alert:?}") },
            error => Self::Failed { host, why: error.to_string() },
        }
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.map_err(|error| TlsError::Failed { host: "a controller".to_owned(), why: error.to_string() })
}

fn why(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "no trusted CA has signed it. Give the certificate of its CA with --ca FILE (CUTOVER_CA)"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "it is for other names ({}). Connect by one of them, or add this one to the certificate",
            presented.join(", ")
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired. Renew it; and check this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet. Check the clocks of both machines".to_owned()
        }
        error if format!("{error:?}").contains("CaUsedAsEndEntity") => {
            "it is the certificate of a CA. Make one for the server, which the CA signs".to_owned()
        }
        error => error.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}
