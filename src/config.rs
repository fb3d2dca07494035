//! Configuration of `cutover serve`: flags, then environment, then file, then defaults.

pub mod duration;
mod endpoints;
mod tls;

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use serde::Deserialize;

use crate::{
    notify::{Endpoint, EndpointError},
    oidc,
};
pub use tls::{TlsFiles, TlsFlags};

/// Flags of `cutover serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Serve {
    /// TOML file with any of: store, grpc, http, http-host, http-connections-per-address,
    /// grpc-connections-per-address, calls-per-address, insecure, require-tokens, tls-cert, tls-key, tls-client-ca, statsd,
    /// keep-history-days, keep-history-events, and the tables webhook, webhook-secret-file, slack, oidc
    #[arg(long, value_name = "FILE", env = "CUTOVER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where to store the state: sqlite:PATH, or postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or dynamodb://TABLE
    /// for several controllers
    /// [default: sqlite:cutover.db]
    #[arg(long, value_name = "URL", env = "CUTOVER_STORE", hide_env_values = true)]
    pub store: Option<String>,
    /// Address for gRPC [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", env = "CUTOVER_GRPC")]
    pub grpc: Option<String>,
    /// Address for the JSON API, health and metrics [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDR", env = "CUTOVER_HTTP")]
    pub http: Option<String>,
    /// A name that browsers and scripts reach the HTTP address by, besides localhost and its own address; may be
    /// repeated
    #[arg(long, value_name = "NAME", env = "CUTOVER_HTTP_HOST", value_delimiter = ',')]
    pub http_host: Vec<String>,
    /// Maximum HTTP connections from one address: more for a proxy, less for strangers [default: nine tenths of all]
    #[arg(long, value_name = "N", env = "CUTOVER_HTTP_CONNECTIONS_PER_ADDRESS")]
    pub http_connections_per_address: Option<u32>,
    /// The same for connections to the gRPC port [default: nine tenths of all]
    #[arg(long, value_name = "N", env = "CUTOVER_GRPC_CONNECTIONS_PER_ADDRESS")]
    pub grpc_connections_per_address: Option<u32>,
    /// Maximum calls a second from one address, apart from probes, watches, reports and rollbacks [default: no limit]
    #[arg(long, value_name = "N", env = "CUTOVER_CALLS_PER_ADDRESS")]
    pub calls_per_address: Option<u32>,
    /// Listen on addresses other than loopback although there are no tokens, or no TLS: whoever reaches them can move
    /// tenants, or read tokens on the way. The flag is one of all commands.
    #[arg(skip)]
    pub insecure: bool,
    /// Do not start on a store without tokens: an old backup, or a wrong path, would let everybody in
    #[arg(long, env = "CUTOVER_REQUIRE_TOKENS")]
    pub require_tokens: bool,
    /// Let the system keep core dumps of this process, which have its tokens, keys and passwords
    #[arg(long, env = "CUTOVER_CORE_DUMPS")]
    pub core_dumps: bool,
    /// Files for TLS.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// Send metrics to this statsd server [default: off]
    #[arg(long, value_name = "HOST:PORT", env = "CUTOVER_STATSD")]
    pub statsd: Option<String>,
    /// Drop history older than this many days [default: 400]
    #[arg(long, value_name = "DAYS", env = "CUTOVER_KEEP_HISTORY_DAYS")]
    pub keep_history_days: Option<u32>,
    /// Keep at most this many changes in the history [default: 1000000]
    #[arg(long, value_name = "COUNT", env = "CUTOVER_KEEP_HISTORY_EVENTS")]
    pub keep_history_events: Option<u64>,
    /// Post events to this URL as JSON; may be repeated
    #[arg(long, value_name = "NAME=URL")]
    pub webhook: Vec<String>,
    /// Sign that webhook's messages with the secret in this file; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    pub webhook_secret_file: Vec<String>,
    /// Post events to this Slack webhook as text; may be repeated. Whoever knows the URL can post there: better put it into the
    /// table slack of --config
    #[arg(long, value_name = "NAME=URL")]
    pub slack: Vec<String>,
    /// Send traces to this OpenTelemetry collector's gRPC port, like http://127.0.0.1:4317 [default: off]
    #[arg(long, value_name = "URL", env = "CUTOVER_OTLP_ENDPOINT", value_parser = crate::traces::address)]
    pub otlp_endpoint: Option<String>,
    /// What a log line is [default: text]
    #[arg(long, value_name = "FORMAT", env = "CUTOVER_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The least important lines to log; RUST_LOG can say more [default: info]
    #[arg(long, value_name = "LEVEL", env = "CUTOVER_LOG_LEVEL", value_parser = LEVELS)]
    pub log_level: Option<String>,
}

/// What `--log-level` takes.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// The same settings in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    store: Option<String>,
    grpc: Option<String>,
    http: Option<String>,
    #[serde(default, rename = "http-host")]
    http_host: Vec<String>,
    #[serde(rename = "http-connections-per-address")]
    http_connections_per_address: Option<u32>,
    #[serde(rename = "grpc-connections-per-address")]
    grpc_connections_per_address: Option<u32>,
    #[serde(rename = "calls-per-address")]
    calls_per_address: Option<u32>,
    #[serde(default)]
    insecure: bool,
    #[serde(default, rename = "require-tokens")]
    require_tokens: bool,
    #[serde(rename = "tls-cert")]
    tls_cert: Option<PathBuf>,
    #[serde(rename = "tls-key")]
    tls_key: Option<PathBuf>,
    #[serde(rename = "tls-client-ca")]
    tls_client_ca: Option<PathBuf>,
    statsd: Option<String>,
    #[serde(rename = "keep-history-days")]
    keep_history_days: Option<u32>,
    #[serde(rename = "keep-history-events")]
    keep_history_events: Option<u64>,
    #[serde(default)]
    webhook: BTreeMap<String, String>,
    #[serde(default, rename = "webhook-secret-file")]
    webhook_secret_file: BTreeMap<String, String>,
    #[serde(default)]
    slack: BTreeMap<String, String>,
    oidc: Option<oidc::File>,
}

/// The configuration of a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// URL of the store.
    pub store: String,
    /// Address for gRPC.
    pub grpc: SocketAddr,
    /// Address for the JSON API, health and metrics.
    pub http: SocketAddr,
    /// Further names that this address is reached by.
    pub http_hosts: Vec<String>,
    /// How many HTTP connections one address can have. `None`: nine tenths of all.
    pub http_connections_per_address: Option<u32>,
    /// How many connections to the gRPC port one address can have. `None`: nine tenths of all.
    pub grpc_connections_per_address: Option<u32>,
    /// Maximum calls a second from one address. `None`: any number.
    pub calls_per_address: Option<NonZeroU32>,
    /// It may listen on other addresses than loopback without tokens or TLS.
    pub insecure: bool,
    /// It does not start without tokens.
    pub require_tokens: bool,
    /// Files for TLS. `None`: connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// Address of a statsd server. `None`: off.
    pub statsd: Option<String>,
    /// History older than this many days is dropped.
    pub keep_history_days: u32,
    /// The history has at most this many changes.
    pub keep_history_events: u64,
    /// Notification endpoints. Empty: none.
    pub endpoints: Vec<Endpoint>,
    /// The identity provider of people. `None`: only tokens let somebody in.
    pub oidc: Option<oidc::Settings>,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the configuration {path}: {error}; check --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The file is not a valid configuration.
    #[error("{path} is not a valid configuration: {}", one_line(.error))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// Malformed address.
    #[error("malformed address in {what}: {text:?}. Give IP:PORT, like 127.0.0.1:7070")]
    Address {
        /// Which setting.
        what: &'static str,
        /// What was given.
        text: String,
    },
    /// Malformed name of a host.
    #[error(
        "malformed name in --http-host: {0:?}. Give a name without scheme and port, like cutover.example.com"
    )]
    HttpHost(String),
    /// Malformed address of statsd.
    #[error("malformed address in --statsd: {0:?}. Give HOST:PORT, like 127.0.0.1:8125")]
    Statsd(String),
    /// Files for TLS are missing.
    #[error("{0}: TLS needs a certificate and its private key, --tls-cert FILE and --tls-key FILE")]
    HalfTls(&'static str),
    /// A limit is too low. Of a short history: a retried request would not find its first answer.
    #[error("{flag} must be at least {least}; got {given}")]
    TooLow {
        /// Which flag.
        flag: &'static str,
        /// The limit.
        least: u64,
        /// What was given.
        given: u64,
    },
    /// The table for the identity provider can't be used.
    #[error(transparent)]
    Oidc(#[from] oidc::SettingsError),
    /// gRPC and HTTP have the same port.
    #[error("gRPC and HTTP can't share {0}: give --grpc and --http different ports")]
    Shared(SocketAddr),
    /// Invalid endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Two endpoints, or two secrets, have the same name.
    #[error("{0} is named twice among --webhook, --webhook-secret-file and --slack: give each another name")]
    TwoEndpoints(String),
    /// A secret without an endpoint.
    #[error("--webhook-secret-file {0}: there is no such webhook: give --webhook {0}=URL, too")]
    NoWebhook(String),
    /// A secret can't be read.
    #[error("--webhook-secret-file {name}: can't read {path}: {error}")]
    SecretUnreadable {
        /// The endpoint's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The secret is empty.
    #[error(
        "--webhook-secret-file {name}: {path} is empty: put a secret there, as `openssl rand -hex 32` makes"
    )]
    SecretEmpty {
        /// The endpoint's name.
        name: String,
        /// The file.
        path: PathBuf,
    },
}

impl Config {
    /// Reads the file, fills in defaults and checks the result.
    pub fn load(serve: Serve) -> Result<Self, Error> {
        let file = match &serve.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::Unreadable { path: path.clone(), error })?;
                toml::from_str(&text)
                    .map_err(|error| Error::Malformed { path: path.clone(), error: Box::new(error) })?
            }
        };
        let named = endpoints::Named {
            webhook: file.webhook,
            secret_file: file.webhook_secret_file,
            slack: file.slack,
        };
        let endpoints = endpoints::load(&serve, named)?;
        let oidc = file.oidc.map(oidc::File::check).transpose()?;
        let grpc = address("--grpc", serve.grpc.or(file.grpc), "127.0.0.1:7070")?;
        let http = address("--http", serve.http.or(file.http), "127.0.0.1:7071")?;
        if grpc == http && grpc.port() != 0 {
            return Err(Error::Shared(grpc));
        }
        let http_hosts = if serve.http_host.is_empty() { file.http_host } else { serve.http_host };
        if let Some(text) = http_hosts.iter().find(|text| !is_name(text)) {
            return Err(Error::HttpHost(text.clone()));
        }
        let insecure = serve.insecure || file.insecure;
        let require_tokens = serve.require_tokens || file.require_tokens;
        let named =
            TlsFlags { tls_cert: file.tls_cert, tls_key: file.tls_key, tls_client_ca: file.tls_client_ca };
        let tls = serve.tls.or(named).files()?;
        let store = serve.store.or(file.store).unwrap_or_else(|| "sqlite:cutover.db".to_owned());
        let statsd = serve.statsd.or(file.statsd);
        if let Some(text) = statsd.as_ref().filter(|text| !is_host_and_port(text)) {
            return Err(Error::Statsd(text.clone()));
        }
        let keep_history_days = serve.keep_history_days.or(file.keep_history_days).unwrap_or(400);
        let keep_history_events = serve.keep_history_events.or(file.keep_history_events).unwrap_or(1_000_000);
        let http_connections_per_address =
            serve.http_connections_per_address.or(file.http_connections_per_address);
        let grpc_connections_per_address =
            serve.grpc_connections_per_address.or(file.grpc_connections_per_address);
        let calls_per_address = serve.calls_per_address.or(file.calls_per_address);
        for (flag, given, least) in [
            ("--grpc-connections-per-address", grpc_connections_per_address.unwrap_or(1).into(), 1),
            ("--calls-per-address", calls_per_address.unwrap_or(1).into(), 1),
            ("--http-connections-per-address", http_connections_per_address.unwrap_or(1).into(), 1),
            ("--keep-history-days", keep_history_days.into(), 1),
            ("--keep-history-events", keep_history_events, 1_000),
        ] {
            if given < least {
                return Err(Error::TooLow { flag, least, given });
            }
        }
        Ok(Self {
            store,
            grpc,
            http,
            http_hosts,
            http_connections_per_address,
            grpc_connections_per_address,
            calls_per_address: calls_per_address.and_then(NonZeroU32::new),
            insecure,
            require_tokens,
            tls,
            statsd,
            keep_history_days,
            keep_history_events,
            endpoints,
            oidc,
        })
    }
}

fn address(what: &'static str, text: Option<String>, default: &str) -> Result<SocketAddr, Error> {
    let text = text.unwrap_or_else(|| default.to_owned());
    text.parse().map_err(|_| Error::Address { what, text })
}

/// Only the form is checked. The name is resolved later, and repeatedly: it may not exist yet.
fn is_host_and_port(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    text.rsplit_once(':').is_some_and(|(host, number)| !host.is_empty() && port(number))
}

fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    text.split('.').all(is_part)
}

/// A toml error shows the place over several lines; an error message has one.
fn one_line(error: &toml::de::Error) -> String {
    let place = error.to_string().lines().next().unwrap_or_default().to_owned();
    format!("{place}: {}", error.message().replace('\n', " "))
}
