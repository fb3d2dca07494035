//! Keeps other sites' pages away from this one: a page of a stranger runs in the browser of somebody who can reach
//! the controller, and must neither read nor change anything here. docs/api.md says what is checked and why.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

use super::failure::Failure;

/// Set on every answer that does not have its own.
const HEADERS: [(HeaderName, &str); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The same for what a browser may show as a page: everything but decisions, which would weigh twice as much.
const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// The names that this server answers to.
#[derive(Clone, Debug)]
pub struct Hosts {
    listens_on: IpAddr,
    names: Arc<[String]>,
    /// What to do about another name.
    advice: fn(&str) -> String,
}

/// Checks every request to these routes, and sets the headers of every answer.
pub fn protect(router: Router, hosts: Hosts) -> Router {
    router.layer(middleware::from_fn_with_state(hosts, check))
}

async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let of_page: &[_] = if request.uri().path().starts_with("/ofrep/") { &[] } else { &PAGE_HEADERS };
    let mut response = match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    for (name, value) in HEADERS.iter().chain(of_page) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

impl Hosts {
    /// `listens_on` is the server's own address, `names` the further ones that it is reached by.
    pub fn new(listens_on: IpAddr, names: Vec<String>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase());
        let advice =
            |name: &str| format!("If that is its name, start it with: cutover serve --http-host {name}");
        Self { listens_on, names: names.collect(), advice }
    }

    /// A server that has no name but those of loopback.
    pub fn loopback(listens_on: IpAddr) -> Self {
        let advice = |_: &str| "Use localhost, or the address that it listens on".to_owned();
        Self { advice, ..Self::new(listens_on, Vec::new()) }
    }

    fn check(&self, request: &Request) -> Result<(), Failure> {
        let headers = request.headers();
        let host = text(headers, &header::HOST).unwrap_or_default();
        if !self.is_ours(host) {
            let host: String = host.chars().take(80).collect();
            let name = name_of(&host).unwrap_or_default();
            let advice = (self.advice)(&name);
            let message = format!("this server does not answer to the host {host:?}. {advice}");
            return Err(Failure::of(StatusCode::MISDIRECTED_REQUEST, "PERMISSION_DENIED", message));
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_foreign = text(headers, &header::ORIGIN).is_some_and(|origin| !self.is_same(origin, host));
        // A link to a page. A stranger who opens a stream in a window would hold one of the browser's few connections.
        let path = request.uri().path();
        // They answer to types only that a form can't send.
        let is_connect = path.starts_with("/flagd.");
        let is_page = !path.starts_with("/api/") && !path.starts_with("/ofrep/") && !is_connect;
        let is_link = is_read && is_page && text(headers, &SEC_FETCH_MODE) == Some("navigate");
        let from = text(headers, &SEC_FETCH_SITE);
        if is_foreign || !(is_link || matches!(from, None | Some("same-origin" | "none"))) {
            let message = "a page of another site asks: only pages of this server may";
            return Err(Failure::of(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message));
        }
        let kind = text(headers, &header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !is_read
            && !is_connect
            && *request.method() == Method::POST
            && !kind.eq_ignore_ascii_case("application/json")
        {
            let message = format!(
                "the content type is {kind:?}: send JSON, with the header content-type: application/json"
            );
            return Err(Failure::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT", message));
        }
        Ok(())
    }

    /// A name that a stranger can point to this address by DNS is not ours; an address can't be pointed anywhere.
    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip == self.listens_on || self.listens_on.is_unspecified(),
            Err(_) => name == "localhost" || self.names.contains(&name),
        }
    }

    /// Behind a proxy the host may be another name than the browser's.
    fn is_same(&self, origin: &str, host: &str) -> bool {
        let Some((_, origin)) = origin.split_once("://") else { return false };
        origin.eq_ignore_ascii_case(host) || name_of(origin).is_some_and(|name| self.names.contains(&name))
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A header's value; `None`: there is none, or no text. Of several nothing is right: they are not text either.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => Some("?"),
        (None, _) => None,
    }
}

/// The name in `name:port`, in lower case.
fn name_of(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    (!host.contains('@')).then(|| authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listens_on: &str) -> Hosts {
        Hosts::new(listens_on.parse().expect("an address"), vec!["Cutover.corp".to_owned()])
    }

    #[test]
    fn a_host_is_loopback_an_own_address_or_a_given_name() {
        for (host, loopback, any, own) in [
            ("localhost:7071", true, true, true),
            ("LOCALHOST", true, true, true),
            ("127.9.9.9:1", true, true, true),
            ("[::1]:7071", true, true, true),
            ("cutover.corp", true, true, true),
            ("10.0.0.5:7071", false, true, true),
            ("10.0.0.6", false, true, false),
            ("evil.example", false, false, false),
            ("localhost.evil.example", false, false, false),
            ("127.0.0.1.evil.example:7071", false, false, false),
            ("evil@localhost", false, false, false),
            ("", false, false, false),
        ] {
            let said = ["127.0.0.1", "0.0.0.0", "10.0.0.5"].map(|at| hosts(at).is_ours(host));
            assert_eq!(said, [loopback, any, own], "{host}");
        }
    }

    #[test]
    fn an_origin_is_the_host_or_a_given_name() {
        let hosts = hosts("127.0.0.1");
        for (origin, is_same) in [
            ("http://localhost:7071", true),
            ("https://cutover.corp", true),
            ("http://localhost:3000", false),
            ("http://127.0.0.1:7071", false),
            ("https://evil.example", false),
            ("null", false),
            ("?", false),
        ] {
            assert_eq!(hosts.is_same(origin, "localhost:7071"), is_same, "{origin}");
        }
    }
}
