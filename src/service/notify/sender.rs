//! One request and its result.

use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::{Request, body::Bytes, header};

use crate::{
    https::{HttpsClient, HttpsError, USER_AGENT, client, why},
    notify::{Endpoint, HEADER, retry_after},
};

/// An endpoint that takes longer to answer, connecting included, counts as silent.
const ANSWER: Duration = Duration::from_secs(10);

/// Sends requests.
#[derive(Debug)]
pub(super) struct Sender {
    client: HttpsClient,
}

impl Sender {
    /// Reads the system's certificates if they are needed.
    pub(super) fn new(needs_tls: bool) -> Result<Self, HttpsError> {
        Ok(Self { client: client(needs_tls)? })
    }

    /// One attempt at `unix_s`: the status of the answer and how long the endpoint asks to be left alone, or
    /// why there is no answer. Redirects are not followed: a message goes only where an operator said.
    pub(super) async fn post(
        &self,
        to: &Endpoint,
        key: &str,
        body: &[u8],
        unix_s: u64,
    ) -> Result<(u16, Duration), String> {
        let mut request = Request::post(to.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .header("Idempotency-Key", key);
        if let Some(secret) = &to.secret {
            request = request.header(HEADER, secret.sign(unix_s, body));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)));
        let request = request.map_err(|error| format!("the request can't be made: {error}"))?;
        match tokio::time::timeout(ANSWER, self.client.request(request)).await {
            Ok(Ok(response)) => {
                let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.map(|value| retry_after(value, SystemTime::now()));
                Ok((response.status().as_u16(), asked.unwrap_or_default()))
            }
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(format!("nothing in {} s", ANSWER.as_secs())),
        }
    }
}
