//! Endpoints as an operator configured them. A channel's URL is a secret too: neither errors nor `Debug` show
//! it.

use std::fmt;

use hyper::Uri;

use super::{Secret, Shape};

/// A notification endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Unique; identifies its cursor, metrics and log lines.
    pub name: String,
    /// The format it expects.
    pub shape: Shape,
    /// Its URL; absolute, http or https.
    pub url: Uri,
    /// Signs its messages. `None`: they are not signed.
    pub secret: Option<Secret>,
}

/// Why an endpoint is invalid. Each message is one line that says what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no `=`.
    #[error("{flag} takes NAME=URL, like {flag} ops=https://hooks.example.com/cutover")]
    NoName {
        /// Which flag.
        flag: &'static str,
    },
    /// The name is invalid.
    #[error("{flag}: {name:?} is no name: take 1 to 40 of a-z, 0-9, - and _")]
    Name {
        /// Which flag.
        flag: &'static str,
        /// What was given.
        name: String,
    },
    /// The URL is invalid.
    #[error("{flag} {name}: not an absolute URL: give one that begins with https:// or http://")]
    Url {
        /// Which flag.
        flag: &'static str,
        /// The endpoint's name.
        name: String,
    },
    /// The URL contains a user, which would not be sent.
    #[error("{flag} {name}: a user in the URL is not sent: take it out and sign by --webhook-secret-file")]
    User {
        /// Which flag.
        flag: &'static str,
        /// The endpoint's name.
        name: String,
    },
}

impl Shape {
    /// The flag for such an endpoint.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Webhook => "--webhook",
            Self::Slack => "--slack",
        }
    }
}

impl Endpoint {
    /// An endpoint without a secret.
    pub fn new(shape: Shape, name: &str, url: &str) -> Result<Self, EndpointError> {
        let flag = shape.flag();
        let named = || name.to_owned();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=40).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(EndpointError::Name { flag, name: named() });
        }
        let no_url = || EndpointError::Url { flag, name: named() };
        let url: Uri = url.parse().map_err(|_| no_url())?;
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        if !matches!(url.scheme_str(), Some("http" | "https")) || !has_host {
            return Err(no_url());
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(EndpointError::User { flag, name: named() });
        }
        Ok(Self { name: named(), shape, url, secret: None })
    }

    /// Whether it needs TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Endpoint");
        shown.field("name", &self.name).field("shape", &self.shape);
        shown.field("host", &self.url.host()).field("secret", &self.secret).finish()
    }
}
