//! The contents of the files for TLS, and how they are used.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError, Error, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::TlsError;
use crate::config::TlsFiles;

/// What the files contain.
pub(super) struct Contents {
    pub(super) pair: Arc<Pair>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// A certificate with its key.
pub(super) struct Pair {
    cert: Vec<u8>,
    key: SecretSlice<u8>,
}

/// How the two ports do TLS.
pub(super) struct Configs {
    pub(super) grpc: Arc<ServerConfig>,
    pub(super) http: Arc<ServerConfig>,
}

impl Contents {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { pair: Arc::new(Pair::read(files)?), client_ca: Self::read_client_ca(files)? })
    }

    pub(super) fn read_client_ca(files: &TlsFiles) -> Result<Option<Vec<u8>>, TlsError> {
        files.client_ca.as_deref().map(|path| read("--tls-client-ca", path)).transpose()
    }

    /// Whether they are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.pair.is(&other.pair) && self.client_ca == other.client_ca
    }

    pub(super) fn configs(&self, files: &TlsFiles) -> Result<Configs, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.pair.cert, "--tls-cert", &files.cert)?;
        // The parser's error may quote the file.
        let key = PrivateKeyDer::from_pem_slice(self.pair.key.expose_secret())
            .map_err(|_| TlsError::NoKey(files.key.clone()))?;
        let roots = match (&self.client_ca, &files.client_ca) {
            (Some(text), Some(path)) => Some(roots(text, path)?),
            _ => None,
        };
        let unusable = |error| match error {
            Error::InconsistentKeys(_) => {
                TlsError::OtherKey { cert: files.cert.clone(), key: files.key.clone() }
            }
            error => TlsError::Unusable {
                cert: files.cert.clone(),
                key: files.key.clone(),
                error: error.to_string(),
            },
        };
        let config = |protocol: &str, may_lack| {
            let verifier = match (&roots, &files.client_ca) {
                (Some(roots), Some(path)) => Some(verifier(roots, path, &provider, may_lack)?),
                _ => None,
            };
            let config = ServerConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(unusable)?;
            let is_closed = verifier.is_some();
            let config = match verifier {
                None => config.with_no_client_auth(),
                Some(verifier) => config.with_client_cert_verifier(verifier),
            };
            let mut config = config.with_single_cert(chain.clone(), key.clone_key()).map_err(unusable)?;
            config.alpn_protocols = vec![protocol.into()];
            if is_closed {
                // A session that is resumed does not verify the client's certificate again.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
            Ok(Arc::new(config))
        };
        Ok(Configs { grpc: config("h2", false)?, http: config("http/1.1", true)? })
    }
}

impl Pair {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { cert: read("--tls-cert", &files.cert)?, key: read("--tls-key", &files.key)?.into() })
    }

    /// Whether they are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.cert == other.cert && self.key.expose_secret() == other.key.expose_secret()
    }

    /// When the certificate ends, in seconds since 1970. `None`: unknown.
    pub(super) fn expires_s(&self) -> Option<u64> {
        ends_s(&CertificateDer::from_pem_slice(&self.cert).ok()?)
    }

    /// Fails if the certificate is not valid at a time.
    pub(super) fn check_time(&self, files: &TlsFiles, now_ms: u64) -> Result<(), TlsError> {
        let at = |time: UnixTime| {
            let at = UNIX_EPOCH + Duration::from_secs(time.as_secs());
            humantime::format_rfc3339_seconds(at).to_string()
        };
        let path = || files.cert.clone();
        match self.fault_at(now_ms / 1_000) {
            Some(CertificateError::ExpiredContext { not_after, .. }) => {
                Err(TlsError::Expired { path: path(), at: at(not_after) })
            }
            Some(CertificateError::NotValidYetContext { not_before, .. }) => {
                Err(TlsError::NotYet { path: path(), at: at(not_before) })
            }
            _ => Ok(()),
        }
    }

    /// What clients would say against the certificate at a time. rustls has no call that reads when a certificate is valid,
    /// but an error of its has it.
    fn fault_at(&self, seconds: u64) -> Option<CertificateError> {
        fault_at(&CertificateDer::from_pem_slice(&self.cert).ok()?, seconds)
    }
}

/// When the first of a file's certificates to end does so, in seconds since 1970. `None`: unknown.
pub fn certificate_ends_s(pem: &[u8]) -> Option<u64> {
    let ends = CertificateDer::pem_slice_iter(pem).filter_map(|found| ends_s(&found.ok()?));
    ends.min()
}

fn ends_s(certificate: &CertificateDer<'_>) -> Option<u64> {
    match fault_at(certificate, u64::MAX)? {
        CertificateError::ExpiredContext { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}

fn fault_at(leaf: &CertificateDer<'_>, seconds: u64) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone()).ok()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(leaf, &[], &name, &[], at) {
        Err(Error::InvalidCertificate(fault)) => Some(fault),
        _ => None,
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Unreadable { flag, path: path.to_owned(), error })
}

/// Who presents a certificate must have one of these CAs. `may_lack`: who has none is let in.
fn verifier(
    roots: &Arc<RootCertStore>,
    path: &Path,
    provider: &Arc<CryptoProvider>,
    may_lack: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let builder = if may_lack { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| TlsError::UnusableCa { path: path.to_owned(), error: error.to_string() })
}

fn roots(text: &[u8], path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(text, "--tls-client-ca", path)? {
        let unusable =
            |error: Error| TlsError::UnusableCa { path: path.to_owned(), error: error.to_string() };
        roots.add(ca).map_err(unusable)?;
    }
    Ok(Arc::new(roots))
}

/// All certificates of a file.
fn certificates(
    text: &[u8],
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| TlsError::NoCertificate { flag, path: path.to_owned() })
}

/// Warns if every user of this machine can read the key.
pub(super) fn warn_of_readers(files: &TlsFiles) {
    let path = files.key.display();
    let mode = fs::metadata(&files.key).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        tracing::warn!("every user of this machine can read the private key. Run: chmod 600 {path}");
    }
}
