//! OpenFeature's Remote Evaluation Protocol: a migration is a flag, its value the stage of the context's
//! `targetingKey`, which is the tenant (docs/openfeature.md). It has its own path, without the detour by
//! descriptors, because services ask it for every operation.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{JSON, NO_STORE};
use crate::{
    etag,
    service::{Attribute, Decider, Flag, FlagError, FlagErrorCode},
};

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

async fn evaluate(State(decider): State<Arc<Decider>>, Path(key): Path<String>, body: Bytes) -> Response {
    let evaluated = match tenant(&body) {
        Ok(tenant) => decider.flag(&key, &tenant).await,
        Err(error) => Err(error),
    };
    let (status, answer) = match evaluated {
        Ok(flag) => (StatusCode::OK, found(&key, &flag)),
        Err(error) => (status(error.code), failed(&key, &error)),
    };
    (status, [NO_STORE, JSON], answer.to_string()).into_response()
}

async fn evaluate_all(State(decider): State<Arc<Decider>>, headers: HeaderMap, body: Bytes) -> Response {
    let tenant = match tenant(&body) {
        Ok(tenant) => tenant,
        Err(FlagError { code, details }) => {
            let answer = json!({ "errorCode": code.name(), "errorDetails": details });
            return (status(code), [NO_STORE, JSON], answer.to_string()).into_response();
        }
    };
    let flags = decider.flags(&tenant).await.into_iter().map(|(key, flag)| match flag {
        Ok(flag) => found(&key, &flag),
        Err(error) => failed(&key, &error),
    });
    let answer = json!({ "flags": flags.collect::<Vec<_>>() }).to_string();
    let hash: String = Sha256::digest(&answer)[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    etag::tagged(&headers, format!("\"{hash}\""), ([NO_STORE], ([JSON], answer)))
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

fn tenant(body: &[u8]) -> Result<String, FlagError> {
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        let details = format!("{error}: send {{\"context\": {{\"targetingKey\": TENANT}}}}");
        FlagError::new(FlagErrorCode::ParseError, details)
    })?;
    match request.context.unwrap_or_default().remove("targetingKey") {
        Some(Value::String(tenant)) if !tenant.is_empty() => Ok(tenant),
        None | Some(Value::Null | Value::String(_)) => Err(FlagError::tenant_missing()),
        Some(_) => Err(FlagError::tenant_not_text()),
    }
}

fn found(key: &str, flag: &Flag) -> Value {
    let value = |attribute| match attribute {
        Attribute::Text(text) => Value::from(text),
        Attribute::Number(number) => Value::from(number),
        Attribute::Truth(truth) => Value::from(truth),
    };
    let metadata = flag.metadata().into_iter().map(|(name, attribute)| (name.to_owned(), value(attribute)));
    json!({
        "key": key,
        "value": flag.value(),
        "variant": flag.variant(),
        "reason": flag.reason(),
        "metadata": metadata.collect::<Map<_, _>>(),
    })
}

fn failed(key: &str, error: &FlagError) -> Value {
    let key: String = key.chars().take(SHOWN_MAX).collect();
    json!({ "key": key, "errorCode": error.code.name(), "errorDetails": error.details })
}

const fn status(code: FlagErrorCode) -> StatusCode {
    match code {
        FlagErrorCode::ParseError
        | FlagErrorCode::TargetingKeyMissing
        | FlagErrorCode::InvalidContext
        | FlagErrorCode::TypeMismatch => StatusCode::BAD_REQUEST,
        FlagErrorCode::FlagNotFound => StatusCode::NOT_FOUND,
        FlagErrorCode::ProviderNotReady => StatusCode::SERVICE_UNAVAILABLE,
        FlagErrorCode::General => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
