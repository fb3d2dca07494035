//! The address of a controller, and connections to it.

use std::{net::IpAddr, time::Duration};

use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::{Endpoint, Error},
};

use crate::{
    Access, AuthorizedChannel,
    host::{self, Connector},
    tls::TlsError,
};

/// The address of a controller, and how it lets this process in.
///
/// ```
/// # use std::time::Duration;
/// use cutover_client::{Access, Address};
///
/// # fn story() -> Result<(), cutover_client::AddressError> {
/// let address = Address::new("http://127.0.0.1:7070", &Access::default(), Duration::from_secs(3))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Address {
    endpoint: Endpoint,
    access: Access,
    connect_timeout: Duration,
    /// `None`: without TLS.
    host: Option<String>,
}

/// Why an address can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL of a controller.
    #[error("{0}: give a URL like http://127.0.0.1:7070 or https://cutover.example.com:7070")]
    Malformed(&'static str),
    /// Others could read the token on the way.
    #[error(
        "a token would cross the network unencrypted, because {host} is not a loopback address. Use https:// (cutover serve \
         --tls-cert). If a mesh or tunnel encrypts the way, allow it: --insecure, CUTOVER_INSECURE=true or Access::insecure"
    )]
    TokenUnencrypted {
        /// The host of the address.
        host: String,
    },
    /// There are files for TLS, and no TLS.
    #[error(
        "there is a CA or a client certificate, but http:// uses neither: anybody could answer as {host}. Use https:// (cutover \
         serve --tls-cert). If a mesh or tunnel encrypts the way, allow it: --insecure, CUTOVER_INSECURE=true or \
         Access::insecure"
    )]
    FilesUnused {
        /// The host of the address.
        host: String,
    },
    /// The files for TLS can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Address {
    /// Checks an address, `http://HOST:PORT` or `https://HOST:PORT`, and the files of `access`. A connection may take
    /// `connect_timeout`.
    pub fn new(server: &str, access: &Access, connect_timeout: Duration) -> Result<Self, AddressError> {
        let uri: Uri = server.parse().map_err(|_| AddressError::Malformed("not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(AddressError::Malformed("its scheme is neither http nor https")),
            None => return Err(AddressError::Malformed("it has no scheme")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or(AddressError::Malformed("it has no host"))?.to_owned();
        let host = host.trim_matches(['[', ']']).to_owned();
        if !is_tls && !access.is_insecure() && !is_loopback(&host) {
            if access.shows_token() {
                return Err(AddressError::TokenUnencrypted { host });
            }
            if access.tls().is_any() {
                return Err(AddressError::FilesUnused { host });
            }
        }
        if is_tls {
            // They are read again for each connection; what is wrong with them now is said now.
            access.tls().config()?;
        }
        let endpoint = if is_tls { encrypted(&uri) } else { Some(Endpoint::from(uri)) };
        let endpoint = endpoint.ok_or(AddressError::Malformed("not a URL"))?.connect_timeout(connect_timeout);
        Ok(Self { endpoint, access: access.clone(), connect_timeout, host: is_tls.then_some(host) })
    }

    /// With further settings of its connections.
    #[must_use]
    pub fn with(self, set: impl FnOnce(Endpoint) -> Endpoint) -> Self {
        Self { endpoint: set(self.endpoint), ..self }
    }

    /// Connects. The calls have the token.
    pub async fn connect(&self) -> Result<AuthorizedChannel, Error> {
        Ok(self.access.authorize(host::connect(&self.endpoint, self.connector()).await?))
    }

    /// A channel that connects on first use, and again whenever the connection is lost. The calls have the token.
    pub fn connect_lazy(&self) -> AuthorizedChannel {
        self.access.authorize(host::connect_lazy(&self.endpoint, self.connector()))
    }

    fn connector(&self) -> Connector {
        let tls = self.host.clone().map(|host| (host, self.access.tls().clone()));
        Connector::new(self.connect_timeout, tls)
    }
}

/// tonic gets an address without TLS, because TLS is the connector's: so nothing depends on which features of tonic this
/// program's other dependencies turn on. Requests have the original address.
fn encrypted(uri: &Uri) -> Option<Endpoint> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    if uri.port().is_none() {
        parts.authority = format!("{}:443", uri.host()?).parse().ok();
    }
    Some(Endpoint::from(Uri::from_parts(parts).ok()?).origin(uri.clone()))
}

/// Whether nobody but this machine's users can be on the way to a host.
fn is_loopback(host: &str) -> bool {
    let is_ip = |ip: IpAddr| ip.to_canonical().is_loopback();
    host.parse().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), is_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(server: &str, access: &Access) -> Result<Address, String> {
        Address::new(server, access, Duration::from_secs(1)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_goes_unencrypted_to_this_machine_only() {
        let (with, without) = (Access::default().with_token("cutover_text"), Access::default());
        for (server, is_fine) in [
            ("http://127.0.0.1:7070", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:7070", true),
            ("http://[::ffff:127.0.0.1]:7070", true),
            ("http://LOCALHOST:7070", true),
            ("http://localhost.evil.example:7070", false),
            ("http://127.0.0.1.evil.example:7070", false),
            ("http://10.0.0.5:7070", false),
            ("http://[2001:db8::1]:7070", false),
            ("http://controller:7070", false),
        ] {
            let refused = new(server, &with).err();
            assert_eq!(refused.is_none(), is_fine, "{server}");
            assert!(refused.is_none_or(|why| why.contains("--insecure") && !why.contains("cutover_text")));
            assert!(new(server, &without).is_ok(), "there is nothing to read: {server}");
            assert!(new(server, &with.clone().insecure()).is_ok(), "{server}");
        }
    }

    #[test]
    fn a_token_file_is_a_token_even_before_it_is_there() {
        let access = Access::default().with_token_file("/nowhere/token");
        assert!(new("http://controller:7070", &access).is_err());
    }

    #[test]
    fn files_for_tls_go_unused_to_this_machine_only() {
        let any = Access::default();
        for access in [any.clone().with_ca_file("/ca"), any.with_client_certificate("/cert", "/key")] {
            let refused = new("http://controller:7070", &access).expect_err("it would trust anybody");
            assert!(refused.contains("https://") && refused.contains("--insecure"), "{refused}");
            assert!(new("http://127.0.0.1:7070", &access).is_ok());
            assert!(new("http://controller:7070", &access.insecure()).is_ok());
        }
    }

    #[test]
    fn an_address_has_a_scheme_that_is_known_and_a_host() {
        for server in ["", "not a url", "127.0.0.1:7070", "ftp://host:1", "http:///", "unix:///socket"] {
            let refused = new(server, &Access::default());
            assert!(refused.is_err_and(|why| why.contains("https://")), "{server}");
        }
    }

    #[test]
    fn https_keeps_its_name_for_requests_and_has_a_port_of_its_own() {
        for (server, dialled) in [
            ("https://cutover.example", "http://cutover.example:443/"),
            ("https://[::1]", "http://[::1]:443/"),
            ("https://[::1]:7070", "http://[::1]:7070/"),
        ] {
            let endpoint = encrypted(&server.parse().expect("a URI")).expect("an endpoint");
            assert_eq!(endpoint.uri().to_string(), dialled);
        }
    }
}
