//! OpenFeature's Remote Evaluation Protocol: a migration is a flag, its value the stage of the context's
//! `targetingKey`, which is the tenant (docs/openfeature.md).
//!
//! An answer is a remote decision as that of `Decide`: it goes through the same [`Decider`], so steps wait until it
//! has expired (docs/adr/0038-openfeature-by-remote-evaluation.md). It has its own path, without the detour by
//! descriptors, because services ask it for every operation.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use cutover_core::routing::{self, Decision, Reason};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{JSON, NO_STORE};
use crate::service::{DECISION_FINISHED, DECISION_VALID, DecideError, Decider};

/// Maximum bytes of a request: a context is small.
const REQUEST_MAX_BYTES: usize = 64 << 10;
/// Longest part of a key that an error repeats.
const SHOWN_MAX: usize = 80;

/// OFREP's routes.
pub(super) fn router(decider: Arc<Decider>) -> Router {
    Router::new()
        .route("/ofrep/v1/evaluate/flags/{key}", post(evaluate))
        .route("/ofrep/v1/evaluate/flags", post(evaluate_all))
        .route("/ofrep/v1/configuration", get(configuration))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(decider)
}

#[derive(Deserialize)]
struct Request {
    context: Option<Map<String, Value>>,
}

/// Why a flag has no value.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    details: String,
}

async fn evaluate(State(decider): State<Arc<Decider>>, Path(key): Path<String>, body: Bytes) -> Response {
    let evaluated = match tenant(&body) {
        Ok(tenant) => decide(&decider, &key, tenant).await,
        Err(failure) => Err(failure),
    };
    let (status, answer) = match evaluated {
        Ok(decision) => (StatusCode::OK, flag(&key, &decision)),
        Err(failure) => (failure.status, failure.of_flag(&key)),
    };
    (status, [NO_STORE, JSON], answer.to_string()).into_response()
}

/// All migrations for one tenant. Each is a remote decision; a failure is that of its flag alone.
async fn evaluate_all(State(decider): State<Arc<Decider>>, headers: HeaderMap, body: Bytes) -> Response {
    let tenant = match tenant(&body) {
        Ok(tenant) => tenant,
        Err(Failure { status, code, details }) => {
            let answer = json!({ "errorCode": code, "errorDetails": details });
            return (status, [NO_STORE, JSON], answer.to_string()).into_response();
        }
    };
    let mut keys = decider.migrations();
    keys.sort();
    let decided = join_all(keys.iter().map(|key| decide(&decider, key, tenant.clone()))).await;
    let flags = keys.iter().zip(decided).map(|(key, decided)| match decided {
        Ok(decision) => flag(key, &decision),
        Err(failure) => failure.of_flag(key),
    });
    let answer = json!({ "flags": flags.collect::<Vec<_>>() }).to_string();
    let hash: String = Sha256::digest(&answer)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let held = headers.get(header::IF_NONE_MATCH).and_then(|held| held.to_str().ok()).unwrap_or_default();
    if held.split(',').any(|held| held.trim() == etag) {
        return (StatusCode::NOT_MODIFIED, [NO_STORE], [(header::ETAG, etag)]).into_response();
    }
    ([NO_STORE, JSON], [(header::ETAG, etag)], answer).into_response()
}

/// For providers that ask what this server can do. None of them may keep an answer.
async fn configuration() -> Response {
    let configuration = json!({
        "name": "Cutover",
        "capabilities": {
            "cacheInvalidation": { "polling": { "enabled": true, "minPollingIntervalMs": 1000 } },
            "flagEvaluation": { "unsupportedTypes": ["boolean", "int", "float", "object"] },
            "caching": { "enabled": false },
        },
    });
    ([NO_STORE, JSON], configuration.to_string()).into_response()
}

fn tenant(body: &[u8]) -> Result<String, Failure> {
    let mistake = |code, details: String| Failure { status: StatusCode::BAD_REQUEST, code, details };
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        mistake("PARSE_ERROR", format!("{error}: send {{\"context\": {{\"targetingKey\": TENANT}}}}"))
    })?;
    let missing = || "the context has no targetingKey: it is the tenant".to_owned();
    let context = request.context.ok_or_else(|| mistake("TARGETING_KEY_MISSING", missing()))?;
    match context.get("targetingKey") {
        Some(Value::String(tenant)) if !tenant.is_empty() => Ok(tenant.clone()),
        None | Some(Value::Null | Value::String(_)) => Err(mistake("TARGETING_KEY_MISSING", missing())),
        Some(_) => Err(mistake("INVALID_CONTEXT", "targetingKey is the tenant: a string".to_owned())),
    }
}

async fn decide(decider: &Decider, key: &str, tenant: String) -> Result<Decision, Failure> {
    let mut decisions = decider.decide(key, &[tenant]).await.map_err(Failure::from)?;
    decisions.pop().ok_or_else(|| Failure::internal("no decision for a tenant"))
}

/// Never the reason STATIC or CACHED: providers keep such a value.
fn flag(key: &str, decision: &Decision) -> Value {
    let reason = if decision.reason == Reason::Rollout { "SPLIT" } else { "TARGETING_MATCH" };
    json!({
        "key": key,
        "value": decision.stage().name(),
        "variant": decision.rung.name(),
        "reason": reason,
        "metadata": {
            "stage": decision.stage().name(),
            "rung": decision.rung.name(),
            "revision": decision.revision,
            "reason": decision.reason.name(),
            "no_fallback": decision.no_fallback,
            "valid_for_ms": DECISION_VALID.as_millis() as u64,
            "finish_within_ms": DECISION_FINISHED.as_millis() as u64,
        },
    })
}

impl Failure {
    fn internal(details: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "GENERAL", details: details.into() }
    }

    fn of_flag(&self, key: &str) -> Value {
        let key: String = key.chars().take(SHOWN_MAX).collect();
        json!({ "key": key, "errorCode": self.code, "errorDetails": self.details })
    }
}

impl From<DecideError> for Failure {
    fn from(error: DecideError) -> Self {
        let details = error.to_string();
        let (status, code) = match error {
            DecideError::Routing(routing::Error::UnknownMigration(_)) => {
                (StatusCode::NOT_FOUND, "FLAG_NOT_FOUND")
            }
            DecideError::Routing(routing::Error::Tenant(_)) => (StatusCode::BAD_REQUEST, "INVALID_CONTEXT"),
            DecideError::Routing(routing::Error::Unreadable { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "GENERAL")
            }
            DecideError::OnHold(_)
            | DecideError::Restored(_)
            | DecideError::Stopping
            | DecideError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "PROVIDER_NOT_READY"),
        };
        Self { status, code, details }
    }
}
