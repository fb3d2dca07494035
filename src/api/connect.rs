//! The Connect protocol over HTTP/1.1, for flagd's evaluation: <https://connectrpc.com/docs/protocol>.
//!
//! A call goes through the gRPC services of this process, as one of the JSON API does (docs/adr/0045).

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures::{Stream, stream};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, Streaming, service::Routes};

use super::{
    JSON, NO_STORE, call, failure,
    methods::{Kind, Method},
};
use crate::domain::Principal;

const SERVICES: [&str; 2] = ["flagd.evaluation.v1.Service", "flagd.evaluation.v2.Service"];
/// Maximum bytes of a request: a context is small.
const REQUEST_MAX_BYTES: usize = 64 << 10;
/// Fields of an envelope.
const HEAD_BYTES: usize = 5;
const COMPRESSED: u8 = 1;
const END_OF_STREAM: u8 = 2;

/// As flagd writes it: absent fields too.
const WRITE: SerializeOptions = SerializeOptions::new().skip_default_fields(false);

struct Connect {
    services: Routes,
    methods: HashMap<String, Method>,
}

#[derive(Clone, Copy)]
enum Encoding {
    Proto,
    Json,
}

/// The routes of flagd's services.
pub(super) fn router(services: Routes, pool: &DescriptorPool) -> Router {
    let all = SERVICES.iter().filter_map(|name| pool.get_service_by_name(name));
    let methods = all.flat_map(|service| service.methods().filter_map(Method::of).collect::<Vec<_>>());
    let methods = methods.map(|method| (method.path.as_str().to_owned(), method)).collect();
    let connect = Arc::new(Connect { services, methods });
    SERVICES
        .iter()
        .fold(Router::new(), |router, name| router.route(&format!("/{name}/{{method}}"), post(answer)))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(connect)
}

async fn answer(
    State(connect): State<Arc<Connect>>,
    Extension(who): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(method) = connect.methods.get(uri.path()) else {
        return unary_failure(&Status::unimplemented(format!("there is no method {}", shown(uri.path()))));
    };
    let is_stream = method.kind == Kind::Stream;
    let kind = text(&headers, &header::CONTENT_TYPE);
    let encoding = match (is_stream, kind.split(';').next().unwrap_or_default().trim()) {
        (false, "application/proto") | (true, "application/connect+proto") => Encoding::Proto,
        (false, "application/json") | (true, "application/connect+json") => Encoding::Json,
        _ => {
            let kinds = if is_stream {
                "application/connect+proto, application/connect+json"
            } else {
                "application/proto, application/json"
            };
            let accepted = [(HeaderName::from_static("accept-post"), kinds)];
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, accepted).into_response();
        }
    };
    match (is_stream, connect.call(who, method, encoding, &headers, body).await) {
        (false, Ok(Answer::One(message))) => {
            ([(header::CONTENT_TYPE, encoding.name())], [NO_STORE], encoding.write(&message)).into_response()
        }
        (true, Ok(Answer::Many(messages, deadline))) => {
            streamed(encoding, Body::from_stream(envelopes(encoding, messages, deadline)))
        }
        (false, Err(status)) => unary_failure(&status),
        (true, Err(status)) => streamed(encoding, Body::from(end(Err(&status)))),
        (false, Ok(Answer::Many(..))) | (true, Ok(Answer::One(_))) => {
            unary_failure(&Status::internal("the answer is of the wrong kind"))
        }
    }
}

enum Answer {
    One(DynamicMessage),
    Many(Box<Streaming<DynamicMessage>>, Option<Instant>),
}

impl Connect {
    async fn call(
        &self,
        who: Principal,
        method: &Method,
        encoding: Encoding,
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Answer, Status> {
        let is_stream = method.kind == Kind::Stream;
        let deadline = deadline(headers)?;
        match text(headers, &HeaderName::from_static("connect-protocol-version")) {
            "" | "1" => {}
            other => {
                let message = format!("connect-protocol-version is {other:?}: this server has 1");
                return Err(Status::invalid_argument(message));
            }
        }
        let compression = match is_stream {
            true => HeaderName::from_static("connect-content-encoding"),
            false => header::CONTENT_ENCODING,
        };
        if !matches!(text(headers, &compression), "" | "identity") {
            return Err(Status::unimplemented(format!("{compression}: this server has identity only")));
        }
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Status::resource_exhausted(format!("the request has more than {REQUEST_MAX_BYTES} bytes"))
            }
            _ => Status::invalid_argument(rejection.body_text()),
        })?;
        let message = if is_stream { enveloped(&body)? } else { &body };
        let request = encoding.read(method.input(), message)?;
        let services = self.services.clone();
        let answer = async {
            match is_stream {
                true => {
                    Ok(Answer::Many(Box::new(call::stream(services, who, method, request).await?), deadline))
                }
                false => Ok(Answer::One(call::unary(services, who, method, request).await?)),
            }
        };
        match deadline {
            None => answer.await,
            Some(at) => timeout_at(at, answer).await.unwrap_or_else(|_| Err(too_late())),
        }
    }
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Proto => "application/proto",
            Self::Json => "application/json",
        }
    }

    fn read(self, descriptor: MessageDescriptor, bytes: &[u8]) -> Result<DynamicMessage, Status> {
        let name = descriptor.name().to_owned();
        let message = match self {
            Self::Proto => DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string()),
            // Other versions may have fields that are unknown here.
            Self::Json => {
                let options = prost_reflect::DeserializeOptions::new().deny_unknown_fields(false);
                let mut json = serde_json::Deserializer::from_slice(bytes);
                let message = DynamicMessage::deserialize_with_options(descriptor, &mut json, &options);
                message.and_then(|it| json.end().map(|()| it)).map_err(|error| error.to_string())
            }
        };
        message.map_err(|error| Status::invalid_argument(format!("not a {name}: {error}")))
    }

    fn write(self, message: &DynamicMessage) -> Vec<u8> {
        match self {
            Self::Proto => message.encode_to_vec(),
            Self::Json => {
                let mut json = serde_json::Serializer::new(Vec::new());
                // Only a message with a broken `Any` can't be written, and these have none.
                let _ = message.serialize_with_options(&mut json, &WRITE);
                json.into_inner()
            }
        }
    }
}

/// When the caller gives up.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
    let given = text(headers, &TIMEOUT);
    if given.is_empty() {
        return Ok(None);
    }
    let millis = Some(given).filter(|it| it.len() <= 10).and_then(|it| it.parse::<u64>().ok());
    let millis = millis.ok_or_else(|| {
        Status::invalid_argument(format!("{TIMEOUT} is {:?}: give at most 10 digits", shown(given)))
    })?;
    Ok(Some(Instant::now() + Duration::from_millis(millis)))
}

/// The only message of a stream of requests.
fn enveloped(body: &[u8]) -> Result<&[u8], Status> {
    let Some(([flags, length @ ..], message)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Status::invalid_argument("the request has no message: send one in an envelope"));
    };
    if flags & COMPRESSED != 0 {
        return Err(Status::invalid_argument(
            "the message is compressed, and connect-content-encoding is not given",
        ));
    }
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(Status::invalid_argument(
            "the envelope's length is not that of the message: send one message",
        ));
    }
    Ok(message)
}

fn envelope(flags: u8, message: &[u8]) -> Bytes {
    let mut envelope = Vec::with_capacity(HEAD_BYTES + message.len());
    envelope.push(flags);
    envelope.extend((message.len() as u32).to_be_bytes());
    envelope.extend(message);
    envelope.into()
}

/// The last message of each stream.
fn end(result: Result<(), &Status>) -> Bytes {
    let end = match result {
        Ok(()) => json!({}),
        Err(status) => json!({ "error": error(status) }),
    };
    envelope(END_OF_STREAM, end.to_string().as_bytes())
}

fn envelopes(
    encoding: Encoding,
    messages: Box<Streaming<DynamicMessage>>,
    deadline: Option<Instant>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some(messages), move |messages| async move {
        let mut messages = messages?;
        let next = match deadline {
            None => messages.message().await,
            Some(at) => timeout_at(at, messages.message()).await.unwrap_or_else(|_| Err(too_late())),
        };
        let (envelope, rest) = match next {
            Ok(Some(message)) => (envelope(0, &encoding.write(&message)), Some(messages)),
            Ok(None) => (end(Ok(())), None),
            Err(status) => (end(Err(&status)), None),
        };
        Some((Ok(envelope), rest))
    })
}

fn streamed(encoding: Encoding, body: Body) -> Response {
    let kind = match encoding {
        Encoding::Proto => "application/connect+proto",
        Encoding::Json => "application/connect+json",
    };
    ([(header::CONTENT_TYPE, kind)], [NO_STORE], body).into_response()
}

fn unary_failure(status: &Status) -> Response {
    let (_, http) = failure::meaning(status.code());
    (http, [JSON, NO_STORE], error(status).to_string()).into_response()
}

fn error(status: &Status) -> Value {
    let code = match status.code() {
        Code::Cancelled => "canceled".to_owned(),
        code => failure::meaning(code).0.to_ascii_lowercase(),
    };
    json!({ "code": code, "message": status.message() })
}

fn too_late() -> Status {
    Status::deadline_exceeded("there was no answer within connect-timeout-ms")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"))
}

/// The part of a caller's text that an error repeats.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}
