//! A client that sends what a script or a browser would.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

/// Headers, by name.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// What opens an event stream.
pub const EVENTS: (&str, &str) = ("accept", "text/event-stream");

pub async fn send(
    at: SocketAddr,
    verb: &str,
    path: &str,
    headers: Headers<'_>,
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let mut request = Request::builder().method(verb).uri(format!("http://{at}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap()
}

pub async fn json(answer: Response<Incoming>) -> (StatusCode, Value) {
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body);
    (status, json.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))))
}

/// A read.
pub async fn get(at: SocketAddr, path: &str) -> (StatusCode, Value) {
    json(send(at, "GET", path, &[], "").await).await
}

/// A call with a request.
pub async fn post(at: SocketAddr, path: &str, request: &Value) -> (StatusCode, Value) {
    let headers = [("content-type", "application/json")];
    json(send(at, "POST", path, &headers, request.to_string()).await).await
}

/// The next event of a stream: its name and data.
pub async fn event(stream: &mut Incoming, buffer: &mut String) -> (String, Value) {
    loop {
        while let Some((event, rest)) = buffer.split_once("\n\n") {
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let (name, data) = (field("event: "), field("data: "));
            *buffer = rest.to_owned();
            if let Some(data) = data {
                return (name.unwrap_or_default(), serde_json::from_str(&data).unwrap());
            }
        }
        let frame = stream.frame().await.expect("the stream goes on").unwrap();
        buffer.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
}
