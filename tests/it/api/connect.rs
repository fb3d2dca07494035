//! flagd's evaluation over Connect, by requests as Connect's specification has them.

use cutover_proto::flagd::v2::{EventStreamResponse, ResolveStringRequest, ResolveStringResponse};
use http_body_util::BodyExt as _;
use hyper::{Response, body::Incoming};
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::{Headers, json as read, post, send},
    flagd::context,
    ofrep::with_orders,
};

const STRING: &str = "/flagd.evaluation.v2.Service/ResolveString";
const EVENTS: &str = "/flagd.evaluation.v2.Service/EventStream";
const JSON: (&str, &str) = ("content-type", "application/json");
const VERSION: (&str, &str) = ("connect-protocol-version", "1");

fn acme() -> Value {
    json!({ "flagKey": "orders", "context": { "targetingKey": "acme", "region": "eu" }, "added": "later" })
}

fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn header<'a>(answer: &'a Response<Incoming>, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// The next message of a stream, with its flags.
async fn next(stream: &mut Response<Incoming>, buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    loop {
        if let Some((head, rest)) = buffer.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if rest.len() >= length {
                let (flags, message) = (head[0], rest[..length].to_vec());
                buffer.drain(..5 + length);
                return Some((flags, message));
            }
        }
        buffer.extend(stream.body_mut().frame().await?.unwrap().into_data().unwrap());
    }
}

#[tokio::test]
async fn a_unary_call_has_both_codecs_and_both_versions() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    for version in ["v1", "v2"] {
        let path = STRING.replace("v2", version);
        let answer = send(at, "POST", &path, &[JSON, VERSION], acme().to_string()).await;
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
        assert_eq!(header(&answer, "content-type"), "application/json", "{path}");
        let (status, flag) = read(answer).await;
        assert_eq!(
            (status.as_u16(), &flag["value"], &flag["reason"]),
            (200, &json!("source-only"), &json!("SPLIT"))
        );
        assert_eq!(
            (&flag["variant"], &flag["metadata"]["valid_for_ms"]),
            (&json!("source-only"), &json!(5000.0))
        );
    }
    let request = ResolveStringRequest { flag_key: "orders".to_owned(), context: context("acme") };
    let headers = [("content-type", "application/proto"), ("connect-timeout-ms", "5000")];
    let answer = send(at, "POST", STRING, &headers, request.encode_to_vec()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, "application/proto"));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let flag = ResolveStringResponse::decode(body).unwrap();
    assert_eq!((flag.value.as_deref(), flag.reason.as_str()), (Some("source-only"), "SPLIT"));
    controller.stop().await;
}

#[tokio::test]
async fn an_error_is_json_with_the_status_of_its_code() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let mut unknown = acme();
    unknown["flagKey"] = json!("payments");
    let boolean = STRING.replace("String", "Boolean");
    let gzip = [JSON, ("content-encoding", "gzip")];
    let late = [JSON, ("connect-timeout-ms", "12345678901")];
    let cases: &[(&str, Headers<'_>, Value, u16, &str)] = &[
        (STRING, &[JSON], unknown, 404, "not_found"),
        (&boolean, &[JSON], acme(), 400, "invalid_argument"),
        (STRING, &[JSON], json!({ "flagKey": "orders" }), 400, "failed_precondition"),
        (STRING, &[JSON], json!([]), 400, "invalid_argument"),
        (STRING, &[JSON, ("connect-protocol-version", "2")], acme(), 400, "invalid_argument"),
        (STRING, &late, acme(), 400, "invalid_argument"),
        (STRING, &gzip, acme(), 501, "unimplemented"),
        ("/flagd.evaluation.v2.Service/Nothing", &[JSON], acme(), 501, "unimplemented"),
    ];
    for (path, headers, request, status, code) in cases {
        let (told, error) = read(send(at, "POST", path, headers, request.to_string()).await).await;
        assert!(told == *status && error["code"] == *code, "{path} {headers:?} {request}: {told} {error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    }
    // What a form can send, what is meant for a stream, and no POST.
    for (verb, kind, status) in [
        ("POST", "text/plain", 415),
        ("POST", "application/x-www-form-urlencoded", 415),
        ("POST", "application/connect+json", 415),
        ("GET", "application/json", 405),
    ] {
        let answer = send(at, verb, STRING, &[("content-type", kind)], acme().to_string()).await;
        assert_eq!(answer.status(), status, "{verb} {kind}");
    }
    let foreign = [JSON, ("origin", "https://evil.example")];
    assert_eq!(send(at, "POST", STRING, &foreign, acme().to_string()).await.status(), 403);
    controller.stop().await;
}

#[tokio::test]
async fn the_event_stream_is_enveloped_and_ends_with_a_last_message() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let create = async |key: &str| {
        post(at, "/api/v1/CreateMigration", &json!({ "key": key, "source": "a", "target": "b" })).await;
    };
    let open = async |kind: &str, body: Vec<u8>| {
        // A client that would take a compressed answer must get each message at once, too.
        let headers = [("content-type", kind), VERSION, ("accept-encoding", "gzip")];
        send(at, "POST", EVENTS, &headers, body).await
    };

    let mut proto = open("application/connect+proto", envelope(0, &[])).await;
    assert_eq!((proto.status().as_u16(), header(&proto, "content-type")), (200, "application/connect+proto"));
    let mut buffer = Vec::new();
    let (flags, ready) = next(&mut proto, &mut buffer).await.unwrap();
    assert_eq!((flags, EventStreamResponse::decode(&*ready).unwrap().r#type.as_str()), (0, "provider_ready"));
    let mut json = open("application/connect+json", envelope(0, b"{}")).await;
    let mut read = Vec::new();
    next(&mut json, &mut read).await.unwrap();
    create("payments").await;
    let (_, changed) = next(&mut json, &mut read).await.unwrap();
    let changed: Value = serde_json::from_slice(&changed).unwrap();
    assert_eq!(changed["type"], "configuration_change", "{changed}");
    assert_eq!(changed["data"]["flags"]["payments"]["flagKey"], "payments", "{changed}");
    let (_, changed) = next(&mut proto, &mut buffer).await.unwrap();
    assert_eq!(EventStreamResponse::decode(&*changed).unwrap().r#type, "configuration_change");

    for (body, code) in [
        (vec![], "invalid_argument"),
        (envelope(1, b"{}"), "invalid_argument"),
        ([envelope(0, b"{}"), envelope(0, b"{}")].concat(), "invalid_argument"),
    ] {
        let mut wrong = open("application/connect+json", body).await;
        assert_eq!(wrong.status(), 200, "an error comes last in the stream");
        let (flags, end) = next(&mut wrong, &mut Vec::new()).await.unwrap();
        let end: Value = serde_json::from_slice(&end).unwrap();
        assert_eq!((flags, &end["error"]["code"]), (2, &json!(code)), "{end}");
    }
    assert_eq!(open("application/json", b"{}".to_vec()).await.status(), 415);
    let headers = [("content-type", "application/connect+json"), ("connect-timeout-ms", "50")];
    let mut late = send(at, "POST", EVENTS, &headers, envelope(0, b"{}")).await;
    let mut rest = Vec::new();
    assert_eq!(next(&mut late, &mut rest).await.unwrap().0, 0);
    let (flags, end) = next(&mut late, &mut rest).await.unwrap();
    let end: Value = serde_json::from_slice(&end).unwrap();
    assert_eq!((flags, &end["error"]["code"]), (2, &json!("deadline_exceeded")), "{end}");
    assert!(next(&mut late, &mut rest).await.is_none(), "nothing comes after the end");

    controller.stop().await;
    let (flags, end) = next(&mut json, &mut read).await.unwrap();
    let end: Value = serde_json::from_slice(&end).unwrap();
    assert_eq!((flags, &end["error"]["code"]), (2, &json!("unavailable")), "{end}");
}
