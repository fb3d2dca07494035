//! Where a controller is, and connections to it.

mod dialer;
mod error;
mod find;
mod histories;
mod place;
mod probe;

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover_core::servers::{self, ServersError};
use tonic::{
    codegen::http::{Uri, uri::Scheme},
    transport::{Endpoint, Error},
};

use crate::{Access, AuthorizedChannel, tls::TlsError};
use dialer::Dialer;
pub use error::FindError;
pub(crate) use find::Found;
use histories::Known;
use place::Place;
pub(crate) use probe::told;
pub use probe::{Probed, State};

/// Where a controller is, and how it lets this process in: one address, or those of several controllers over one store, of
/// which one leads.
///
/// ```
/// # use std::time::Duration;
/// use cutover_client::{Access, Address};
///
/// # fn story() -> Result<(), cutover_client::AddressError> {
/// let one = Address::new("http://127.0.0.1:7070", &Access::default(), Duration::from_secs(3))?;
/// let two = Address::new("http://a:7070,http://b:7070", &Access::default(), Duration::from_secs(3))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Address {
    /// At least one.
    places: Vec<Place>,
    access: Access,
    connect_timeout: Duration,
    /// What was learned about the places. Clones share it.
    known: Arc<Mutex<Known>>,
}

/// Why an address can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL of a controller.
    #[error(transparent)]
    Malformed(#[from] ServersError),
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

/// The addresses of a controller, for [`Client::connect`](crate::Client::connect): a text with one, a text with several
/// that commas separate, or a list.
pub trait IntoServer {
    /// All in one text.
    fn into_server(self) -> String;
}

impl IntoServer for &str {
    fn into_server(self) -> String {
        self.to_owned()
    }
}

impl IntoServer for &String {
    fn into_server(self) -> String {
        self.clone()
    }
}

impl IntoServer for &Arc<str> {
    fn into_server(self) -> String {
        self.to_string()
    }
}

impl IntoServer for &Box<str> {
    fn into_server(self) -> String {
        self.to_string()
    }
}

impl IntoServer for std::borrow::Cow<'_, str> {
    fn into_server(self) -> String {
        self.into_owned()
    }
}

impl IntoServer for String {
    fn into_server(self) -> String {
        self
    }
}

impl<S: AsRef<str>> IntoServer for &[S] {
    fn into_server(self) -> String {
        self.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
    }
}

impl<S: AsRef<str>, const N: usize> IntoServer for [S; N] {
    fn into_server(self) -> String {
        self.as_slice().into_server()
    }
}

impl<S: AsRef<str>> IntoServer for Vec<S> {
    fn into_server(self) -> String {
        self.as_slice().into_server()
    }
}

impl Address {
    /// Checks addresses and the files of `access`. `server` is `http://HOST:PORT` or `https://HOST:PORT`, or several of them,
    /// separated by commas. A name with several IP addresses counts as several. A connection to one may take
    /// `connect_timeout`.
    pub fn new(server: &str, access: &Access, connect_timeout: Duration) -> Result<Self, AddressError> {
        let mut places = Vec::new();
        for address in servers::parse(server)? {
            places.push(place(address, access, connect_timeout)?);
        }
        if places.iter().any(|place| place.is_tls) {
            // They are read again for each connection; what is wrong with them now is said now.
            access.tls().config()?;
        }
        let known = Arc::new(Mutex::new(Known::of(places.len())));
        Ok(Self { places, access: access.clone(), connect_timeout, known })
    }

    /// With further settings of its connections.
    #[must_use]
    pub fn with(mut self, set: impl Fn(Endpoint) -> Endpoint) -> Self {
        for place in &mut self.places {
            place.endpoint = set(place.endpoint.clone());
        }
        self
    }

    /// Whether the list has more than one address.
    pub(crate) const fn is_several(&self) -> bool {
        self.places.len() > 1
    }

    /// Connects to the controller that leads. The calls have the token. If the connection is lost, it connects to the one
    /// that leads then.
    pub async fn connect(&self) -> Result<AuthorizedChannel, Error> {
        let channel = self.endpoint().connect_with_connector(Dialer::of(self)).await?;
        Ok(self.access.authorize(channel))
    }

    /// A channel that connects on first use, and again whenever the connection is lost, to the controller that leads. The
    /// calls have the token.
    pub fn connect_lazy(&self) -> AuthorizedChannel {
        self.access.authorize(self.endpoint().connect_with_connector_lazy(Dialer::of(self)))
    }

    /// Requests have the first address.
    fn endpoint(&self) -> Endpoint {
        let Place { endpoint, .. } = &self.places[0];
        // To find who leads takes some time, too.
        endpoint.clone().connect_timeout(self.connect_timeout + find::LIMIT)
    }
}

/// The addresses, separated by commas.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.places.iter().map(|place| place.address.as_str()).collect();
        f.write_str(&addresses.join(","))
    }
}

fn place(address: &str, access: &Access, connect_timeout: Duration) -> Result<Place, AddressError> {
    let unreadable = || ServersError::of_all(format!("{address:?} is not a URL"));
    let uri: Uri = address.parse().map_err(|_| unreadable())?;
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().ok_or_else(unreadable)?.trim_matches(['[', ']']).to_owned();
    if !is_tls && !access.is_insecure() && !is_loopback(&host) {
        if access.shows_token() {
            return Err(AddressError::TokenUnencrypted { host });
        }
        if access.tls().is_any() {
            return Err(AddressError::FilesUnused { host });
        }
    }
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let endpoint = if is_tls { encrypted(&uri) } else { Some(Endpoint::from(uri)) };
    let endpoint = endpoint.ok_or_else(unreadable)?.connect_timeout(connect_timeout);
    Ok(Place { address: address.to_owned(), endpoint, host, port, is_tls })
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
    fn addresses_are_checked_one_by_one() {
        for server in ["", "127.0.0.1:7070", "http://a:1,", "http://a:1,b:1", "http://a:1,http://A:1/"] {
            let refused = new(server, &Access::default());
            assert!(refused.is_err_and(|why| why.contains("https://")), "{server}");
        }
        let token = Access::default().with_token("cutover_text");
        let refused = new("http://127.0.0.1:1,http://controller:1", &token).expect_err("one is not loopback");
        assert!(refused.contains("controller is not a loopback address"), "{refused}");
        let two = new("http://a:1, http://b:1/", &Access::default()).expect("two");
        assert_eq!(two.to_string(), "http://a:1,http://b:1/");
    }

    #[test]
    fn a_list_is_a_text_with_commas() {
        assert_eq!("http://a:1".into_server(), "http://a:1");
        assert_eq!(["http://a:1", "http://b:1"].into_server(), "http://a:1,http://b:1");
        assert_eq!(vec!["http://a:1".to_owned()].into_server(), "http://a:1");
        assert_eq!(Vec::<String>::new().into_server(), "", "refused as empty");
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
