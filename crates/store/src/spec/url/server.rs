//! Urls of database servers, in the forms that drivers and libpq take.

use std::borrow::Cow;

use url::form_urlencoded;

use super::{Secret, StoreUrl, UrlError, parameters, parsed};
use crate::mapping::Dialect;

/// Parameters that sqlx reads and that do not change how values are stored.
const MYSQL: &[&str] = &["table", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];
const POSTGRES: &[&str] =
    &["table", "sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "application_name"];
const LIKE: &str = "mysql://user@host:3306/database";

/// How TLS is spelled: the mode and its values, the authority's certificate, the client's certificate and key. Only the
/// last two modes look at the server's certificate.
struct Tls {
    mode: &'static str,
    modes: &'static [&'static str],
    authority: &'static str,
    client: [&'static str; 2],
}

const OF_MYSQL: Tls = Tls {
    mode: "ssl-mode",
    modes: &["disabled", "preferred", "required", "verify_ca", "verify_identity"],
    authority: "ssl-ca",
    client: ["ssl-cert", "ssl-key"],
};
const OF_POSTGRES: Tls = Tls {
    mode: "sslmode",
    modes: &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    authority: "sslrootcert",
    client: ["sslcert", "sslkey"],
};

/// The location without its table and password, and the table. A socket is always a parameter.
pub(super) fn server(text: &str, dialect: Dialect) -> Result<(StoreUrl, Option<String>), Vec<UrlError>> {
    let (text, has_host) = with_a_host(text);
    let mut url = parsed(&text).map_err(|error| vec![error])?;
    let (all, tls) = match dialect {
        Dialect::Postgres => (POSTGRES, OF_POSTGRES),
        _ => (MYSQL, OF_MYSQL),
    };
    let (given, mut wrong) = parameters(url.query_pairs(), all);
    let value = |name: &str| given.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_str());
    wrong.extend(tls.wrong(&value));
    let (mut table, mut socket, mut kept) = (None, None, Vec::new());
    for (name, value) in &given {
        let name = name.as_str();
        match name {
            "table" => table = Some(value.clone()),
            "host" if value.is_empty() || value.contains(',') => {
                wrong.push(UrlError::Value("host", "give one name, or the directory of a socket".to_owned()));
            }
            "host" | "socket" if value.starts_with('/') => socket = Some(value.clone()),
            "socket" => {
                wrong.push(UrlError::Value("socket", "give its whole path, which begins with /".to_owned()))
            }
            "host" if url.set_host(Some(value)).is_ok() => {}
            "user" if url.set_username(value).is_ok() => {}
            "port" => match value.parse().ok().filter(|port| *port != 0) {
                Some(port) => url.set_port(Some(port)).unwrap_or_default(),
                None => wrong.push(UrlError::Value("port", "give a number from 1 to 65535".to_owned())),
            },
            "host" | "user" => wrong.push(UrlError::Malformed(format!("{name} {value:?} is none"))),
            _ => kept.push((name.to_owned(), value.clone())),
        }
    }
    // libpq also takes the directory of a socket in place of the host.
    let in_place = url.host_str().map(decoded).filter(|host| host.starts_with('/'));
    if let Some(directory) = in_place.filter(|_| dialect == Dialect::Postgres) {
        socket = Some(directory);
        url.set_host(Some("localhost")).unwrap_or_default();
    }
    let is_named = has_host || socket.is_some() || value("host").is_some();
    if !is_named {
        wrong.push(UrlError::Missing("host", LIKE));
    }
    if url.path().trim_matches('/').is_empty() {
        wrong.push(UrlError::Missing("database", LIKE));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let socket_is = if dialect == Dialect::Postgres { "host" } else { "socket" };
    kept.extend(socket.map(|path| (socket_is.to_owned(), path)));
    match kept.is_empty() {
        true => url.set_query(None),
        false => _ = url.query_pairs_mut().clear().extend_pairs(kept),
    }
    let password = url.password().map(|password| Secret::new(password.to_owned()));
    if password.is_some() {
        // It has a password, so it can be set to none.
        url.set_password(None).unwrap_or_default();
    }
    Ok((StoreUrl::Server { dialect, url, password }, table))
}

/// A url without a host can have neither user nor password, so one is put there: a socket needs none. False: there was
/// none.
fn with_a_host(text: &str) -> (Cow<'_, str>, bool) {
    let Some((scheme, rest)) = text.split_once("://") else { return (text.into(), true) };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    match host.is_empty() || host.starts_with(':') {
        true => (format!("{scheme}://{user}localhost{host}{path}").into(), false),
        false => (text.into(), true),
    }
}

fn decoded(host: &str) -> String {
    let query = format!("host={}", host.replace('+', "%2B"));
    form_urlencoded::parse(query.as_bytes()).next().map(|(_, host)| host.into_owned()).unwrap_or_default()
}

impl Tls {
    fn wrong<'a>(&self, value: &impl Fn(&str) -> Option<&'a str>) -> Vec<UrlError> {
        let mode = value(self.mode).map(str::to_ascii_lowercase);
        let (all, strict) = (self.modes.join(", "), &self.modes[self.modes.len() - 2..]);
        let mut wrong = Vec::new();
        if mode.as_deref().is_some_and(|mode| !self.modes.contains(&mode)) {
            wrong.push(UrlError::Value(self.mode, format!("use one of {all}")));
        } else if value(self.authority).is_some()
            && !mode.as_deref().is_some_and(|mode| strict.contains(&mode))
        {
            // Drivers ignore it, and then trust whoever answers.
            let what = format!("it is used only with {}={}: add that", self.mode, strict[1]);
            wrong.push(UrlError::Value(self.authority, what));
        }
        let [cert, key] = self.client;
        for (name, other) in [(cert, key), (key, cert)] {
            if value(name).is_some() && value(other).is_none() {
                wrong.push(UrlError::Value(name, format!("it needs {other}, too")));
            }
        }
        wrong
    }
}
