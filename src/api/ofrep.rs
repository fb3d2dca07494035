//! OpenFeature's Remote Evaluation Protocol: a migration is a flag, its value the stage of the context's
//! `targetingKey`, which is the tenant (docs/openfeature.md). It has its own path, without the detour by
//! descriptors, because services ask it for every operation.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{JSON, NO_STORE};
use crate::{
    domain::Principal,
    etag,
    service::{Decider, Flag, FlagError, FlagErrorCode},
};

/// Maximum bytes of a request: a context is small.
const REQUEST_MAX_BYTES: usize = 64 << 10;
/// Longest part of a key that an error repeats.
const SHOWN_MAX: usize = 80;

/// OFREP's routes but [`one`].
pub(super) fn router(decider: Arc<Decider>) -> Router {
    Router::new()
        .route("/ofrep/v1/evaluate/flags", post(evaluate_all))
        .route("/ofrep/v1/configuration", get(configuration))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(decider)
}

/// The evaluation of one flag, which services ask for all the time. It is too small to compress.
pub fn one(decider: Arc<Decider>) -> Router {
    Router::new()
        .route("/ofrep/v1/evaluate/flags/{key}", post(evaluate))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(decider)
}

#[derive(Deserialize)]
struct Request {
    context: Option<Context>,
}

/// Attributes other than the tenant are not looked at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    targeting_key: Option<Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Found {
        key: &'a str,
        value: &'static str,
        variant: &'static str,
        reason: &'static str,
        #[serde(serialize_with = "attributes")]
        metadata: &'a Flag,
    },
    #[serde(rename_all = "camelCase")]
    Failed { key: String, error_code: &'static str, error_details: &'a str },
}

async fn evaluate(
    State(decider): State<Arc<Decider>>,
    Extension(who): Extension<Principal>,
    Path(key): Path<String>,
    body: Bytes,
) -> Result<Response, StatusCode> {
    let evaluated = match tenant(&body) {
        Ok(tenant) => decider.flag(&who, &key, &tenant).await,
        Err(error) => Err(error),
    };
    let code = evaluated.as_ref().map_or_else(|error| status(error.code), |_| StatusCode::OK);
    let answer = serde_json::to_string(&Answer::of(&key, &evaluated));
    let answer = answer.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((code, [NO_STORE, JSON], answer).into_response())
}

async fn evaluate_all(
    State(decider): State<Arc<Decider>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let tenant = match tenant(&body) {
        Ok(tenant) => tenant,
        Err(FlagError { code, details }) => {
            let answer = json!({ "errorCode": code.name(), "errorDetails": details });
            return (status(code), [NO_STORE, JSON], answer.to_string()).into_response();
        }
    };
    let flags = decider.flags(&who, &tenant).await;
    let flags: Vec<_> = flags.iter().map(|(key, flag)| Answer::of(key, flag)).collect();
    let answer = json!({ "flags": flags }).to_string();
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
    match request.context.unwrap_or_default().targeting_key {
        Some(Value::String(tenant)) if !tenant.is_empty() => Ok(tenant),
        None | Some(Value::Null | Value::String(_)) => Err(FlagError::tenant_missing()),
        Some(_) => Err(FlagError::tenant_not_text()),
    }
}

impl<'a> Answer<'a> {
    fn of(key: &'a str, flag: &'a Result<Flag, FlagError>) -> Self {
        match flag {
            Ok(flag) => Self::Found {
                key,
                value: flag.value(),
                variant: flag.variant(),
                reason: flag.reason(),
                metadata: flag,
            },
            Err(error) => Self::Failed {
                key: key.chars().take(SHOWN_MAX).collect(),
                error_code: error.code.name(),
                error_details: &error.details,
            },
        }
    }
}

fn attributes<S: Serializer>(flag: &Flag, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(flag.metadata())
}

const fn status(code: FlagErrorCode) -> StatusCode {
    match code {
        FlagErrorCode::ParseError
        | FlagErrorCode::TargetingKeyMissing
        | FlagErrorCode::InvalidContext
        | FlagErrorCode::TypeMismatch => StatusCode::BAD_REQUEST,
        FlagErrorCode::FlagNotFound => StatusCode::NOT_FOUND,
        FlagErrorCode::Forbidden => StatusCode::FORBIDDEN,
        FlagErrorCode::ProviderNotReady => StatusCode::SERVICE_UNAVAILABLE,
        FlagErrorCode::General => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
