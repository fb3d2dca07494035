//! What is wrong with the files for TLS. No message has a part of a key.

use std::{io, path::PathBuf};

/// What is wrong with the files for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {flag} {path}: {error}")]
    Unreadable {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file has no certificate.
    #[error("{flag} {path} has no valid certificate: give it in PEM, as in -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file has no key.
    #[error(
        "--tls-key {0} has no valid private key: give one in PEM without a passphrase, as in -----BEGIN PRIVATE KEY-----"
    )]
    NoKey(PathBuf),
    /// Key and certificate are of different pairs.
    #[error(
        "the key in --tls-key {key} does not belong to the certificate in --tls-cert {cert}: give both of one pair"
    )]
    OtherKey {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate is no longer valid.
    #[error("the certificate in --tls-cert {path} expired at {at}: clients refuse it. Renew it")]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// When.
        at: String,
    },
    /// The certificate is not valid yet.
    #[error(
        "the certificate in --tls-cert {path} is not valid before {at}: clients refuse it. Check this machine's clock"
    )]
    NotYet {
        /// The certificate's file.
        path: PathBuf,
        /// When.
        at: String,
    },
    /// Certificate or key have a form that can't be used.
    #[error("--tls-cert {cert} and --tls-key {key} can't be used: {error}")]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: String,
    },
    /// The CAs of clients can't be used.
    #[error("--tls-client-ca {path} can't be used: {error}")]
    UnusableCa {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
}
