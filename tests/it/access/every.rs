//! No call of any surface is left open: the proto says which calls there are.

use cutover_proto::v1::Role;
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{Guarded, channel};
use crate::api::client::{self, EVENTS};

/// An empty message, whatever kind is expected. Answers are not read.
#[derive(Clone, Copy, Default)]
pub(super) struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        use hyper::body::Buf as _;
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

pub(super) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(cutover_proto::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|service| service.name() != "SidecarService");
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// The code of a call with an empty request. A stream is closed at once.
async fn code(url: &str, token: &str, method: &MethodDescriptor) -> Code {
    let mut grpc = Grpc::new(channel(url, token).await);
    grpc.ready().await.unwrap();
    let path = path(method).parse().unwrap();
    match grpc.server_streaming(Request::new(()), path, Empty).await {
        Ok(answer) => match answer.into_inner().message().await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        },
        Err(status) => status.code(),
    }
}

fn changes(method: &MethodDescriptor) -> bool {
    ["mutation", "actor", "head"].iter().any(|field| method.input().get_field_by_name(field).is_some())
}

#[tokio::test]
async fn no_grpc_call_is_made_without_a_token_or_with_a_wrong_one() {
    let guarded = Guarded::start().await;
    let wrong = format!("cutover_{}", "0".repeat(64));
    for method in methods() {
        for token in ["", "x", &wrong] {
            assert_eq!(code(guarded.url(), token, &method).await, Code::Unauthenticated, "{}", path(&method));
        }
    }
    guarded.controller.stop().await;
}

#[tokio::test]
async fn a_viewer_and_a_service_change_nothing_and_an_admin_may_call_everything() {
    let guarded = Guarded::start().await;
    let viewer = guarded.token("viewer", Role::Viewer).await;
    let sdk = guarded.token("sdk", Role::Sdk).await;
    for method in methods() {
        let path = path(&method);
        let of = async |token: &str| code(guarded.url(), token, &method).await;
        if changes(&method) {
            assert_eq!(
                (of(&viewer).await, of(&sdk).await),
                (Code::PermissionDenied, Code::PermissionDenied),
                "{path}"
            );
        }
        let admin = of(&guarded.root).await;
        assert!(
            !matches!(admin, Code::PermissionDenied | Code::Unauthenticated | Code::Internal),
            "{path}: {admin:?}"
        );
    }
    guarded.controller.stop().await;
}

#[tokio::test]
async fn no_http_call_is_made_without_a_token_but_probes_and_the_console_are_open() {
    let guarded = Guarded::start().await;
    let at = guarded.controller.http;
    let exposed =
        methods().into_iter().filter(|it| it.parent_service().full_name().starts_with("cutover.v1."));
    let mut paths: Vec<String> = exposed.map(|method| format!("/api/v1/{}", method.name())).collect();
    for path in [
        "/api/v1",
        "/api/v1/Invented",
        "/api/v1/outcomes",
        "/metrics",
        "/ofrep/v1/configuration",
        "/ofrep/v1/evaluate/flags",
        "/ofrep/v1/evaluate/flags/orders",
        "/flagd.evaluation.v1.Service/ResolveString",
        "/flagd.evaluation.v2.Service/EventStream",
        "/nothing",
    ] {
        paths.push(path.to_owned());
    }
    let json = ("content-type", "application/json");
    for path in &paths {
        for verb in ["GET", "POST", "HEAD", "PUT"] {
            let answer = client::send(at, verb, path, &[json, EVENTS], "{}").await;
            assert_eq!(answer.status(), 401, "{verb} {path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{verb} {path}");
        }
    }
    let (_, refused) = client::get(at, "/api/v1/GetOverview").await;
    assert_eq!(refused["code"], "UNAUTHENTICATED");
    let told = refused["message"].as_str().unwrap();
    assert!(told.contains("--token-file") && told.contains("cutover token create"), "{told}");
    for open in ["/healthz", "/readyz", "/", "/console/", "/console/js/main.js"] {
        let status = client::send(at, "GET", open, &[], "").await.status();
        assert!(status.is_success() || status.is_redirection(), "{open}: {status}");
    }
    let bearer = format!("Bearer {}", guarded.root);
    for path in ["/api/v1", "/api/v1/GetOverview", "/metrics", "/ofrep/v1/configuration"] {
        let answer = client::send(at, "GET", path, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status(), 200, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains(&guarded.root), "{path}");
    }
    // A token in the address, which logs and proxies would keep, is not one.
    let in_address = format!("/api/v1/GetOverview?access_token={0}&token={0}", guarded.root);
    assert_eq!(client::send(at, "GET", &in_address, &[], "").await.status(), 401);
    guarded.controller.stop().await;
}
