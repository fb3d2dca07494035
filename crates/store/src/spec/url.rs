//! Where a store is: `sqlite:PATH`, `mysql://..`, `postgres://..`, `dynamodb://TABLE`.

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
        /// Without password and table.
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
    #[error("no known store: begin it with sqlite:, mysql://, postgres:// or dynamodb://")]
    Scheme,
    /// Not a url at all.
    #[error("not a url ({0}): write it like mysql://user@host:3306/database")]
    Malformed(String),
    /// A required part is missing.
    #[error("it names no {0}: write it like {1}")]
    Missing(&'static str, &'static str),
    /// A parameter after the `?` that the store does not have.
    #[error("unknown parameter {0:?}: {1}")]
    Parameter(String, String),
    /// Passwords belong elsewhere.
    #[error("a password after the ? would be seen in process lists and logs: use password_env")]
    Password,
    /// Not `http://` or `https://`.
    #[error("endpoint is no http url: write it like http://127.0.0.1:8000")]
    Endpoint,
}

/// Parameters that sqlx reads and that do not change how values are stored.
const MYSQL: &[&str] = &["table", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];
const POSTGRES: &[&str] =
    &["table", "sslmode", "sslrootcert", "sslcert", "sslkey", "host", "application_name"];
const SQLITE: &[&str] = &["table"];
const DYNAMODB: &[&str] = &["region", "endpoint"];

impl StoreUrl {
    /// Parses the location, and the table if the url names it.
    pub fn parse(text: &str) -> Result<(Self, Option<String>), UrlError> {
        match text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)) {
            Some((scheme, rest)) if scheme == "sqlite" => sqlite(rest),
            Some((scheme, _)) => match scheme.as_str() {
                "mysql" | "mariadb" => server(text, Dialect::MySql, MYSQL),
                "postgres" | "postgresql" => server(text, Dialect::Postgres, POSTGRES),
                "dynamodb" => dynamodb(text),
                _ => Err(UrlError::Scheme),
            },
            None => Err(UrlError::Scheme),
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
    pub(super) fn connect_url(&self, password: Option<&Secret>) -> Secret {
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

fn sqlite(rest: &str) -> Result<(StoreUrl, Option<String>), UrlError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(UrlError::Missing("file", "sqlite:orders.db"));
    }
    let [table] = parameters(form_urlencoded::parse(query.as_bytes()), SQLITE, ["table"])?;
    Ok((StoreUrl::Sqlite { path: path.into() }, table))
}

fn server(text: &str, dialect: Dialect, known: &[&str]) -> Result<(StoreUrl, Option<String>), UrlError> {
    let mut url = parsed(text)?;
    let [table, host, socket] = parameters(url.query_pairs(), known, ["table", "host", "socket"])?;
    const LIKE: &str = "mysql://user@host:3306/database";
    if url.host_str().is_none_or(str::is_empty) && host.is_none() && socket.is_none() {
        return Err(UrlError::Missing("host", LIKE));
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(UrlError::Missing("database", LIKE));
    }
    if table.is_some() {
        let rest: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != "table").collect();
        match rest.is_empty() {
            true => url.set_query(None),
            false => _ = url.query_pairs_mut().clear().extend_pairs(rest),
        }
    }
    let password = url.password().map(|password| Secret::new(password.to_owned()));
    if password.is_some() {
        // It has a password, so it can be set to none.
        url.set_password(None).unwrap_or_default();
    }
    Ok((StoreUrl::Server { dialect, url, password }, table))
}

fn dynamodb(text: &str) -> Result<(StoreUrl, Option<String>), UrlError> {
    const LIKE: &str = "dynamodb://TABLE?region=eu-west-1";
    let url = parsed(text)?;
    let table = url.host_str().filter(|table| !table.is_empty());
    let table = table.ok_or(UrlError::Missing("table", LIKE))?.to_owned();
    if !url.path().trim_matches('/').is_empty() || url.port().is_some() || !url.username().is_empty() {
        return Err(UrlError::Malformed("it names a table and nothing else".to_owned()));
    }
    let [region, endpoint] = parameters(url.query_pairs(), DYNAMODB, ["region", "endpoint"])?;
    let is_http = |url: Url| matches!(url.scheme(), "http" | "https") && url.password().is_none();
    if let Some(endpoint) = &endpoint
        && !Url::parse(endpoint).is_ok_and(is_http)
    {
        return Err(UrlError::Endpoint);
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

/// The values of the requested parameters, after checking that all are known.
fn parameters<const N: usize>(
    given: form_urlencoded::Parse<'_>,
    known: &[&str],
    wanted: [&str; N],
) -> Result<[Option<String>; N], UrlError> {
    let mut values = [const { None }; N];
    for (name, value) in given {
        if name.to_ascii_lowercase().contains("pass") {
            return Err(UrlError::Password);
        }
        if !known.contains(&name.as_ref()) {
            let advice = match nearest(&name, known.iter().copied()) {
                Some(nearest) => format!("did you mean {nearest:?}?"),
                None => format!("use one of {}", known.join(", ")),
            };
            return Err(UrlError::Parameter(name.into_owned(), advice));
        }
        if let Some(index) = wanted.iter().position(|wanted| *wanted == name) {
            values[index] = Some(value.into_owned());
        }
    }
    Ok(values)
}
