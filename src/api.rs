//! The JSON API over HTTP: every call of the gRPC API that people and scripts use (docs/api.md).
//!
//! It has no code for single calls. The proto's descriptors say which there are and what they take, and each call
//! goes through the gRPC services of this process. So both APIs name actors, check, refuse and retry alike.

mod call;
mod connect;
mod events;
mod failure;
mod json;
mod methods;
mod ofrep;
mod overview;
mod safety;

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use cutover_proto::DESCRIPTORS;
use prost_reflect::{DescriptorError, DescriptorPool};
use tokio::sync::Semaphore;
use tonic::{Status, service::Routes};

use failure::Failure;
use methods::{Kind, Method, Methods};
pub use ofrep::one as evaluate_one;
pub use safety::{Hosts, protect};

use crate::{domain::Principal, service::Decider};

/// Maximum bytes of a request.
pub const REQUEST_MAX_BYTES: usize = 4 << 20;
/// Maximum event streams at the same time.
const STREAMS_MAX: usize = 64;

/// Nothing here may be cached: the next answer is another one.
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

const JSON: (HeaderName, HeaderValue) = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));

#[derive(Debug)]
struct Api {
    methods: Methods,
    services: Routes,
    streams: Arc<Semaphore>,
}

/// A call that failed before it was looked at.
pub fn failed(status: Status) -> Response {
    Failure::from(status).into_response()
}

/// `/api/v1` and flagd's evaluation, over the gRPC services, and OpenFeature's `/ofrep/v1` but [`evaluate_one`].
pub fn router(services: Routes, decider: Arc<Decider>) -> Result<Router, DescriptorError> {
    let pool = DescriptorPool::decode(DESCRIPTORS)?;
    let connect = connect::router(services.clone(), &pool);
    let calls = calls(services, Methods::of(&pool, methods::is_exposed));
    Ok(calls.merge(ofrep::router(decider)).merge(connect))
}

/// `/api/v1` with the calls of a sidecar, over its gRPC service.
pub fn sidecar(services: Routes) -> Result<Router, DescriptorError> {
    let pool = DescriptorPool::decode(DESCRIPTORS)?;
    // Whoever reaches its socket may make every call.
    let calls = calls(services, Methods::of(&pool, methods::is_of_sidecar));
    Ok(calls.layer(Extension(Principal::anybody())))
}

fn calls(services: Routes, methods: Methods) -> Router {
    let api = Arc::new(Api { methods, services, streams: Arc::new(Semaphore::new(STREAMS_MAX)) });
    Router::new()
        .route("/api/v1", get(list))
        .route("/api/v1/{method}", get(read).post(write).fallback(other_verb))
        .route("/api/{*rest}", any(nothing))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(api)
}

async fn list(State(api): State<Arc<Api>>) -> Response {
    json_answer(&overview::of(&api.methods))
}

/// A call without effect, or an event stream; the fields of the request are in the query.
async fn read(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let method = api.method(&name)?;
    if method.kind == Kind::Change {
        return Err(Failure::verb(&format!("{name} changes something"), "POST"));
    }
    if method.kind == Kind::Stream {
        events::check_asked_for(&headers)?;
    }
    let request = json::from_query(&method.input(), query.as_deref().unwrap_or_default())?;
    if method.kind == Kind::Stream {
        return events::stream(&api, who, method, request).await;
    }
    api.call(who, method, request).await
}

/// Any call that answers once; the request is the body.
async fn write(
    State(api): State<Arc<Api>>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let method = api.method(&name)?;
    if method.kind == Kind::Stream {
        return Err(Failure::verb(&format!("{name} is an event stream"), "GET"));
    }
    let body = body.map_err(|rejection| body_failure(&rejection))?;
    api.call(who, method, json::from_body(&method.input(), &body)?).await
}

async fn other_verb(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Failure {
    match api.method(&name) {
        Ok(method) => Failure::verb(&name, if method.kind == Kind::Change { "POST" } else { "GET" }),
        Err(failure) => failure,
    }
}

async fn nothing() -> Failure {
    Failure::unknown("there is nothing here")
}

impl Api {
    fn method(&self, name: &str) -> Result<&Method, Failure> {
        // What a plain client of HTTP looks for.
        let called = if name == "outcomes" { "RecordOutcomes" } else { name };
        self.methods.get(called).ok_or_else(|| {
            let name = name.chars().take(80).collect::<String>();
            Failure::unknown(&format!("there is no method {name:?}"))
        })
    }

    async fn call(
        &self,
        who: Principal,
        method: &Method,
        request: prost_reflect::DynamicMessage,
    ) -> Result<Response, Failure> {
        let answer = call::unary(self.services.clone(), who, method, request).await?;
        Ok(json_answer(&json::of(&answer)))
    }
}

fn body_failure(rejection: &BytesRejection) -> Failure {
    let status = rejection.status();
    let message = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("the request has more than {REQUEST_MAX_BYTES} bytes"),
        _ => rejection.body_text(),
    };
    Failure::of(status, "INVALID_ARGUMENT", message)
}

fn json_answer(value: &serde_json::Value) -> Response {
    ([JSON, NO_STORE], value.to_string() + "\n").into_response()
}
