//! Where a store is: `sqlite:PATH`, `mysql://..`, `postgres://..`, `dynamodb://TABLE`.

mod server;

use std::{fmt, path::PathBuf};

use url::{Url, form_urlencoded};

use super::{Secret, nearest::nearest};
use crate::mapping::Dialect;

/// A store's location. Displayed without password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`
    Sqlite {
        /// The file, relative to the working directory of the process that opens it.
        path: PathBuf,
    },
    /// `mysql://USER@HOST:PORT/DATABASE`, also `mariadb://`; or `postgres://`, also `postgresql://`.
    Server {
        /// Which of the two.
        dialect: Dialect,
        /// Without password and table. If a socket is given, it is a parameter, and the host means nothing.
        url: Url,
        /// As in the url, percent-encoded.
        password: Option<Secret>,
    },
    /// `dynamodb://TABLE?region=..&endpoint=..`
    DynamoDb {
        /// `None`: from the environment, as the AWS SDK finds it.
        region: Option<String>,
        /// `None`: Amazon's endpoint for the region.
        endpoint: Option<String>,
    },
}

/// A text that is not a store's url. Messages omit the url, because it may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another kind of store.
    #[error("{}: begin it with sqlite:, mysql://, postgres:// or dynamodb://", unknown_store(.0))]
    Scheme(String),
    /// Not a url at all.
    #[error("not a url ({0}): write it like mysql://user@host:3306/database")]
    Malformed(String),
    /// A required part is missing.
    #[error("it names no {0}: write it like {1}")]
    Missing(&'static str, &'static str),
    /// A parameter after the `?` that the store does not have.
    #[error("unknown parameter {0:?}: {1}")]
    Parameter(String, String),
    /// A parameter's value that can't be, and what to do.
    #[error("{0}: {1}")]
    Value(&'static str, String),
    /// Passwords belong elsewhere.
    #[error("a password after the ? would be seen in process lists and logs: use password_env")]
    Password,
    /// Not `http://` or `https://`.
    #[error("endpoint is no http url: write it like http://127.0.0.1:8000")]
    Endpoint,
}

fn unknown_store(scheme: &str) -> String {
    match scheme {
        "" => "not the url of a store".to_owned(),
        scheme => format!("unknown store \"{scheme}:\""),
    }
}

const SQLITE: &[&str] = &["table"];
const DYNAMODB: &[&str] = &["region", "endpoint"];

impl StoreUrl {
    /// Parses the location, and the table if the url names it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong; at least one.
    pub fn parse(text: &str) -> Result<(Self, Option<String>), Vec<UrlError>> {
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        match scheme.as_ref().map(|(scheme, rest)| (scheme.as_str(), rest)) {
            Some(("sqlite", rest)) => sqlite(rest),
            Some(("mysql" | "mariadb", _)) => server::server(text, Dialect::MySql),
            Some(("postgres" | "postgresql", _)) => server::server(text, Dialect::Postgres),
            Some(("dynamodb", _)) => dynamodb(text),
            // What follows the colon may have a password.
            _ => Err(vec![UrlError::Scheme(scheme.map(|(scheme, _)| scheme).unwrap_or_default())]),
        }
    }

    /// Its SQL dialect; `None` for DynamoDB.
    pub const fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Sqlite { .. } => Some(Dialect::Sqlite),
            Self::Server { dialect, .. } => Some(*dialect),
            Self::DynamoDb { .. } => None,
        }
    }

    /// Whether it contains a password.
    pub const fn has_password(&self) -> bool {
        matches!(self, Self::Server { password: Some(_), .. })
    }

    /// The url for a driver, with its own password or this one.
    pub fn connect_url(&self, password: Option<&Secret>) -> Secret {
        let Self::Server { url, password: own, .. } = self else { return Secret::new(self.to_string()) };
        let mut url = url.clone();
        // Setting a password does not encode percent signs.
        let encoded = password.map(|password| password.expose().replace('%', "%25"));
        if let Some(password) = encoded.as_deref().or(own.as_ref().map(Secret::expose)) {
            url.set_password(Some(password)).unwrap_or_default();
        }
        Secret::new(url.into())
    }

    /// What distinguishes this location from others, whoever connects to it and how.
    pub(super) fn identity(&self) -> Vec<String> {
        match self {
            Self::Sqlite { path } => vec!["sqlite".to_owned(), path.to_string_lossy().into_owned()],
            Self::Server { dialect, url, .. } => {
                let (name, default) = match dialect {
                    Dialect::Postgres => ("postgres", 5432),
                    _ => ("mysql", 3306),
                };
                let named = |key: &str| matches!(key, "host" | "socket");
                let socket = url.query_pairs().find(|(key, _)| named(key)).map(|(_, socket)| socket);
                let host = socket.as_deref().or(url.host_str()).unwrap_or_default().to_owned();
                let port = url.port().unwrap_or(default).to_string();
                vec![name.to_owned(), host, port, url.path().to_owned()]
            }
            Self::DynamoDb { region, endpoint } => {
                let text = |part: &Option<String>| part.clone().unwrap_or_default();
                vec!["dynamodb".to_owned(), text(region), text(endpoint)]
            }
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:{}", path.display()),
            Self::Server { url, .. } => url.fmt(f),
            Self::DynamoDb { region, endpoint } => {
                f.write_str("dynamodb:")?;
                let parts = [("region", region), ("endpoint", endpoint)];
                let parts = parts.iter().filter_map(|(name, part)| Some((name, part.as_deref()?)));
                parts.enumerate().try_for_each(|(index, (name, part))| {
                    write!(f, "{}{name}={part}", if index == 0 { '?' } else { '&' })
                })
            }
        }
    }
}

fn sqlite(rest: &str) -> Result<(StoreUrl, Option<String>), Vec<UrlError>> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    let (given, mut wrong) = parameters(form_urlencoded::parse(query.as_bytes()), SQLITE);
    if path.is_empty() {
        wrong.push(UrlError::Missing("file", "sqlite:orders.db"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((StoreUrl::Sqlite { path: path.into() }, last(&given, "table")))
}

fn dynamodb(text: &str) -> Result<(StoreUrl, Option<String>), Vec<UrlError>> {
    const LIKE: &str = "dynamodb://TABLE?region=eu-west-1";
    let url = parsed(text).map_err(|error| vec![error])?;
    let (given, mut wrong) = parameters(url.query_pairs(), DYNAMODB);
    let table = url.host_str().unwrap_or_default().to_owned();
    if table.is_empty() {
        wrong.push(UrlError::Missing("table", LIKE));
    }
    if !url.path().trim_matches('/').is_empty() || url.port().is_some() || !url.username().is_empty() {
        wrong.push(UrlError::Malformed("it names a table and nothing else".to_owned()));
    }
    let [region, endpoint] = ["region", "endpoint"].map(|name| last(&given, name));
    let is_http = |url: Url| matches!(url.scheme(), "http" | "https") && url.password().is_none();
    if endpoint.as_ref().is_some_and(|endpoint| !Url::parse(endpoint).is_ok_and(is_http)) {
        wrong.push(UrlError::Endpoint);
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((StoreUrl::DynamoDb { region, endpoint }, Some(table)))
}

fn parsed(text: &str) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|error| UrlError::Malformed(error.to_string()))?;
    if url.fragment().is_some() {
        return Err(UrlError::Malformed("write # as %23".to_owned()));
    }
    Ok(url)
}

/// All parameters, and what is wrong with their names.
fn parameters(given: form_urlencoded::Parse<'_>, all: &[&str]) -> (Vec<(String, String)>, Vec<UrlError>) {
    let given: Vec<(String, String)> = given.into_owned().collect();
    let wrong = known(given.iter().map(|(name, _)| name.as_str()), all);
    (given, wrong)
}

fn last(given: &[(String, String)], name: &str) -> Option<String> {
    given.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.clone())
}

/// What is wrong with parameters of these names.
fn known<'a>(given: impl Iterator<Item = &'a str>, all: &[&str]) -> Vec<UrlError> {
    let wrong = |name: &str| {
        if name.to_ascii_lowercase().contains("pass") {
            return Some(UrlError::Password);
        }
        let advice = match nearest(name, all.iter().copied()) {
            _ if all.contains(&name) => return None,
            Some(nearest) => format!("did you mean {nearest:?}?"),
            None => format!("use one of {}", all.join(", ")),
        };
        Some(UrlError::Parameter(name.to_owned(), advice))
    };
    given.filter_map(wrong).collect()
}
