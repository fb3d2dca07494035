//! Where a controller is, as people write it: one address, or those of several controllers over one store.

use std::{collections::HashMap, fmt};

/// The header of answers about health (`grpc.health.v1`) that has the id of the store's history.
pub const HISTORY_HEADER: &str = "cutover-history";
/// The header of refusals that says how many milliseconds to wait before another attempt (gRPC's proposal A6).
pub const PUSHBACK_HEADER: &str = "grpc-retry-pushback-ms";

/// What is wrong with the addresses of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServersError {
    /// The address, if there are several.
    address: Option<String>,
    what: String,
}

impl ServersError {
    /// Something is wrong with the only address.
    pub fn of_all(what: impl Into<String>) -> Self {
        Self { address: None, what: what.into() }
    }
}

impl fmt::Display for ServersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = &self.address {
            write!(f, "{address:?}: ")?;
        }
        write!(
            f,
            "{}: give a URL like http://127.0.0.1:7070 or https://cutover.example.com:7070. Separate several \
             controllers by commas",
            self.what
        )
    }
}

impl std::error::Error for ServersError {}

/// Reads `http://HOST:PORT` or `https://HOST:PORT`, or several of them, separated by commas. Returns at least one. No two
/// are equal.
///
/// ```
/// use cutover_core::servers;
///
/// assert_eq!(servers::parse("http://a:7070, http://b:7070"), Ok(vec!["http://a:7070", "http://b:7070"]));
/// assert!(servers::parse("http://a:7070,").is_err());
/// ```
pub fn parse(text: &str) -> Result<Vec<&str>, ServersError> {
    let addresses: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut seen = HashMap::new();
    for address in &addresses {
        let wrong = |what: String| ServersError {
            address: (addresses.len() > 1 && !address.is_empty()).then(|| (*address).to_owned()),
            what,
        };
        let place = match address {
            &"" if addresses.len() > 1 => {
                return Err(wrong("there is a comma without an address".to_owned()));
            }
            address => place(address).map_err(|what| wrong(what.to_owned()))?,
        };
        if let Some(first) = seen.insert(place, *address) {
            return Err(wrong(format!("it is there twice, also as {first:?}")));
        }
    }
    Ok(addresses)
}

/// Host and port, in one spelling.
fn place(address: &str) -> Result<(String, u16), &'static str> {
    if address.is_empty() {
        return Err("it is empty");
    }
    let Some((scheme, rest)) = address.split_once("://") else { return Err("it has no scheme") };
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err("its scheme is neither http nor https"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("it has something behind the port");
    }
    if rest.contains('@') {
        return Err("it has a user; put a token into CUTOVER_TOKEN_FILE");
    }
    let (host, port) = match rest.rsplit_once(':') {
        // The last colon of an IPv6 address.
        Some((_, end)) if end.ends_with(']') => (rest, None),
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let known = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || is_bracketed && b"[]:%".contains(&byte)
    };
    match host {
        "" | "[]" => return Err("it has no host"),
        host if !host.bytes().all(known) => return Err("its host is not a name or an IP address"),
        _ => {}
    }
    let port = match port.map(str::parse) {
        None => default,
        Some(Ok(port)) => port,
        Some(Err(_)) => return Err("its port is not a number up to 65535"),
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn one_address_or_several() {
        for (text, addresses) in [
            ("http://127.0.0.1:7070", &["http://127.0.0.1:7070"][..]),
            ("https://[::1]:7070/", &["https://[::1]:7070/"]),
            ("http://a.example,http://b_1:7070", &["http://a.example", "http://b_1:7070"]),
            (" http://a:1 ,\n HTTPS://A:2", &["http://a:1", "HTTPS://A:2"]),
        ] {
            assert_eq!(parse(text).expect(text), addresses);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_address() {
        for (text, said) in [
            ("", "it is empty"),
            ("not a url", "it has no scheme"),
            ("127.0.0.1:7070", "it has no scheme"),
            ("ftp://host:1", "neither http nor https"),
            ("unix:///socket", "neither http nor https"),
            ("http:///", "it has no host"),
            ("http://:7070", "it has no host"),
            ("http://a:", "its port is not a number"),
            ("http://a:70700", "its port is not a number"),
            ("http://a:7070/v1", "behind the port"),
            ("http://ada@a:7070", "it has a user"),
            ("http://a b:7070", "its host is not a name"),
            ("http://a:7070,", "there is a comma without an address"),
            (",http://a:7070", "there is a comma without an address"),
            ("http://a:7070,,http://b:7070", "there is a comma without an address"),
            ("http://a:7070,b:7070", "\"b:7070\": it has no scheme"),
            ("http://a:7070;http://b:7070", "behind the port"),
            ("http://a:7070 http://b:7070", "behind the port"),
            (
                "http://a:7070,http://b:7070,http://A:7070/",
                "\"http://A:7070/\": it is there twice, also as \"http://a:7070\"",
            ),
            ("http://a,https://a:80", "\"https://a:80\": it is there twice"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(said) && refused.contains("https://"), "{text}: {refused}");
        }
    }
}
