//! Files for TLS.

use std::path::PathBuf;

use super::Error;

/// Flags for TLS.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsFlags {
    /// The certificate to serve with, and those between it and its CA, in PEM: turns TLS on for gRPC and HTTP. Read again
    /// when it changes
    #[arg(long, value_name = "FILE", env = "CUTOVER_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM and without a passphrase
    #[arg(long, value_name = "FILE", env = "CUTOVER_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Require of every client a certificate that a CA in this file has signed
    #[arg(long, value_name = "FILE", env = "CUTOVER_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
}

/// The files of a controller with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those between it and its CA.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// Every client needs a certificate signed by one of these CAs. `None`: clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// Flags, and what lacks from the file.
    pub(super) fn or(self, file: Self) -> Self {
        Self {
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_client_ca: self.tls_client_ca.or(file.tls_client_ca),
        }
    }

    /// `None`: no TLS.
    pub(super) fn files(self) -> Result<Option<TlsFiles>, Error> {
        match (self.tls_cert, self.tls_key, self.tls_client_ca) {
            (None, None, None) => Ok(None),
            (Some(cert), Some(key), client_ca) => Ok(Some(TlsFiles { cert, key, client_ca })),
            (cert, key, _) => {
                let missing = match (cert, key) {
                    (Some(_), _) => "--tls-key is missing",
                    (None, Some(_)) => "--tls-cert is missing",
                    (None, None) => "--tls-cert and --tls-key are missing",
                };
                Err(Error::HalfTls(missing))
            }
        }
    }
}
