//! Brings the identity provider's keys: at the start, regularly, and when somebody shows a token that another key signed.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, Uri, body::Bytes, header};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Error;
use crate::{
    https::{HttpsClient, HttpsError, USER_AGENT, client, why},
    oidc::{KeySource, Keys, Settings},
    service::{Provider, Tokens},
    telemetry::now_ms,
};

/// Interval between looks at a file.
const LOOK: Duration = Duration::from_secs(1);
/// Interval between fetches from an address.
const FETCH: Duration = Duration::from_secs(300);
/// How soon an address is asked again after it failed, or after a token that none of its keys had signed: whoever can
/// reach the controller can show one.
const AGAIN: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Largest set of keys.
const KEYS_MAX_BYTES: usize = 1024 * 1024;

/// Reads keys.
pub(super) struct KeyReader {
    tokens: Arc<Tokens>,
    provider: Arc<Provider>,
    client: HttpsClient,
    /// What was read last, and what was wrong with it.
    read: Vec<u8>,
    wrong: Option<String>,
}

/// Refuses a file that can't be used, as long as somebody is there to read the error. An address may be away.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    let KeySource::File(path) = &settings.keys else { return Ok(()) };
    let parsed = read_file(path).and_then(|read| Keys::parse(&read).map_err(|error| error.to_string()));
    let path = path.display().to_string();
    parsed.map(drop).map_err(|why| Error::OidcKeys { path, why })
}

impl KeyReader {
    /// `None`: no provider is believed.
    pub(super) fn new(tokens: &Arc<Tokens>) -> Result<Option<Self>, HttpsError> {
        let Some(provider) = tokens.provider() else { return Ok(None) };
        let needs_tls = match &provider.settings().keys {
            KeySource::File(_) => false,
            KeySource::Url(url) => url.scheme_str() == Some("https"),
        };
        let (tokens, provider, client) = (tokens.clone(), provider.clone(), client(needs_tls)?);
        Ok(Some(Self { tokens, provider, client, read: Vec::new(), wrong: None }))
    }

    /// Follows the keys, for as long as it is polled.
    pub(super) async fn keep(mut self) {
        loop {
            let is_in_order = self.look().await;
            let now = Instant::now();
            match &self.provider.settings().keys {
                KeySource::File(_) => sleep_until(now + LOOK).await,
                KeySource::Url(_) => {
                    sleep_until(now + AGAIN).await;
                    if is_in_order {
                        _ = timeout_at(now + FETCH, self.provider.wanted()).await;
                    }
                }
            }
        }
    }

    /// Reads the keys, and uses them if they are new and in order. Otherwise those from before stay in use.
    async fn look(&mut self) -> bool {
        let Settings { issuer, keys: source, .. } = self.provider.settings();
        let read = match source {
            KeySource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                read.unwrap_or_else(|error| Err(error.to_string()))
            }
            KeySource::Url(url) => self.fetch(url).await,
        };
        let parsed = match read {
            Ok(read) if read == self.read => None,
            Ok(read) => {
                let parsed = Keys::parse(&read).map_err(|error| error.to_string());
                self.read = read;
                Some(parsed)
            }
            Err(error) => {
                self.read.clear();
                Some(Err(error))
            }
        };
        match parsed {
            None => {}
            Some(Ok(keys)) => {
                if self.tokens.use_keys(keys) {
                    tracing::info!(issuer, keys = %source, "uses the identity provider's keys");
                }
                self.wrong = None;
            }
            Some(Err(error)) => {
                if self.wrong.as_ref() != Some(&error) {
                    tracing::warn!(issuer, keys = %source, "the identity provider's keys can't be read, so those from before are used, if any: {error}");
                }
                self.wrong = Some(error);
            }
        }
        if self.wrong.is_none() {
            self.provider.keys_read(now_ms());
        }
        self.wrong.is_none()
    }

    async fn fetch(&self, url: &Uri) -> Result<Vec<u8>, String> {
        let request = Request::get(url.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(Bytes::new()))
            .map_err(|error| format!("the request can't be made: {error}"))?;
        let fetched = async {
            let response = self.client.request(request).await.map_err(|error| why(&error))?;
            if response.status() != StatusCode::OK {
                return Err(format!("the answer is {}", response.status()));
            }
            let body = Limited::new(response.into_body(), KEYS_MAX_BYTES).collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
        };
        let late = |_| format!("no answer in {} s", ANSWER.as_secs());
        timeout(ANSWER, fetched).await.map_err(late)?
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| error.to_string())
}
