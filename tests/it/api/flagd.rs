//! flagd's evaluation over gRPC, both versions.

use cutover_proto::flagd::{
    v1, v2,
    v2::{
        EventStreamRequest, ResolveAllRequest, ResolveBooleanRequest, ResolveObjectRequest,
        ResolveStringRequest, service_client::ServiceClient,
    },
};
use prost_types::{Struct, Value, value::Kind};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;

use super::{client::post, ofrep::with_orders};

/// A context of this tenant.
pub fn context(tenant: &str) -> Option<Struct> {
    Some(Struct {
        fields: [("targetingKey".to_owned(), tenant.into()), ("region".to_owned(), "eu".into())].into(),
    })
}

fn string(key: &str, context: Option<Struct>) -> ResolveStringRequest {
    ResolveStringRequest { flag_key: key.to_owned(), context }
}

#[tokio::test]
async fn a_migration_is_a_flag_of_both_versions() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let mut two = ServiceClient::connect(controller.url.clone()).await.unwrap();
    let flag = two.resolve_string(string("orders", context("acme"))).await.unwrap().into_inner();
    assert_eq!((flag.value.as_deref(), flag.variant.as_deref()), (Some("source-only"), Some("source-only")));
    assert_eq!(flag.reason, "SPLIT", "never STATIC: providers keep that");
    let metadata = flag.metadata.unwrap();
    assert_eq!(metadata.fields["valid_for_ms"], Value::from(5000));
    let object = ResolveObjectRequest { flag_key: "orders".to_owned(), context: context("acme") };
    let object = two.resolve_object(object).await.unwrap().into_inner();
    assert_eq!(object.value.unwrap(), metadata);

    let mut one = v1::service_client::ServiceClient::connect(controller.url.clone()).await.unwrap();
    let older = one.resolve_string(string("orders", context("acme"))).await.unwrap().into_inner();
    assert_eq!((older.value.as_deref(), older.reason.as_str()), (Some("source-only"), "SPLIT"));
    let all = one.resolve_all(ResolveAllRequest { context: context("acme") }).await.unwrap().into_inner();
    assert_eq!(all.flags["orders"].value, Some(v2::any_flag::Value::StringValue("source-only".to_owned())));
    controller.stop().await;
}

#[tokio::test]
async fn mistakes_have_the_codes_that_providers_read() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let mut client = ServiceClient::connect(controller.url.clone()).await.unwrap();
    let number = Some(Struct { fields: [("targetingKey".to_owned(), 7.into())].into() });
    let null = Value { kind: Some(Kind::NullValue(0)) };
    let null = Some(Struct { fields: [("targetingKey".to_owned(), null)].into() });
    for (key, context, code, says) in [
        ("payments", context("acme"), Code::NotFound, "payments"),
        ("orders", None, Code::FailedPrecondition, "no targetingKey"),
        ("orders", context(""), Code::FailedPrecondition, "no targetingKey"),
        ("orders", null, Code::FailedPrecondition, "no targetingKey"),
        ("orders", number, Code::FailedPrecondition, "not a string"),
        ("orders", context(&"t".repeat(300)), Code::FailedPrecondition, "tenant"),
    ] {
        let status = client.resolve_string(string(key, context.clone())).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(says), "{key} {context:?}: {status}");
    }
    for (key, code) in [("orders", Code::InvalidArgument), ("payments", Code::NotFound)] {
        let asked = ResolveBooleanRequest { flag_key: key.to_owned(), context: context("acme") };
        assert_eq!(client.resolve_boolean(asked).await.unwrap_err().code(), code, "{key}");
    }
    let status = client.resolve_all(ResolveAllRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    controller.stop().await;
}

#[tokio::test]
async fn the_event_stream_names_what_changed_and_ends_with_the_controller() {
    let dir = TempDir::new().unwrap();
    let controller = with_orders(&dir).await;
    let at = controller.http;
    let mut client = ServiceClient::connect(controller.url.clone()).await.unwrap();
    let mut events = client.event_stream(EventStreamRequest {}).await.unwrap().into_inner();
    let ready = events.message().await.unwrap().unwrap();
    assert_eq!((ready.r#type.as_str(), ready.data), ("provider_ready", None));
    post(at, "/api/v1/CreateMigration", &json!({ "key": "payments", "source": "a", "target": "b" })).await;
    let mut next = async || {
        let event = events.message().await.unwrap().unwrap();
        assert_eq!(event.r#type, "configuration_change");
        let Some(Kind::StructValue(flags)) = event.data.unwrap().fields.remove("flags").unwrap().kind else {
            panic!()
        };
        flags.fields.into_iter().collect::<Vec<_>>()
    };
    let changed = next().await;
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].0, "payments");
    post(at, "/api/v1/DeleteMigration", &json!({ "key": "payments" })).await;
    let changed = format!("{:?}", next().await);
    assert!(changed.contains("payments") && changed.contains("delete"), "{changed}");
    controller.stop().await;
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unavailable, "so that it connects again");
}
