//! Get, put, delete and decide, as JSON over HTTP and by gRPC.

use cutover_proto::v1;
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::client::{Place, request};

fn at(key: &str) -> Value {
    json!({ "tenant": "acme", "key": key })
}

#[tokio::test]
async fn a_record_goes_through_both_stores_by_either_protocol() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    place.ask(1_000_000, 1_000_000).await;
    place.until_mirrored().await;

    let order = r#"{"items":3,"total":12.5}"#;
    let put = json!({ "tenant": "acme", "key": "order-1", "json": order });
    let put = sidecar.ok("Put", &put).await;
    assert!(put["version"].as_str().unwrap().parse::<u64>().unwrap() > 0, "{put}");
    let got = sidecar.ok("Get", &at("order-1")).await;
    assert_eq!((&got["found"], &got["json"]), (&json!(true), &json!(order)));

    let mut grpc = sidecar.grpc().await;
    let get = |key: &str, raw| v1::GetRequest {
        migration: "orders".to_owned(),
        tenant: "acme".to_owned(),
        key: key.to_owned(),
        raw,
    };
    let raw = grpc.get(get("order-1", true)).await.unwrap().into_inner();
    assert_eq!(raw.raw.as_deref(), Some(&br#"{"items":{"N":"3"},"total":{"N":"12.5"}}"#[..]));
    let deleted =
        v1::DeleteRequest { tenant: "acme".to_owned(), key: "order-1".to_owned(), ..Default::default() };
    grpc.delete(deleted).await.unwrap();
    assert!(!grpc.get(get("order-1", false)).await.unwrap().into_inner().found);
    assert_eq!(sidecar.ok("Get", &at("order-1")).await["found"], false);

    // A record that plain JSON can't hold comes back raw only.
    let put = v1::PutRequest {
        tenant: "acme".to_owned(),
        key: "order-2".to_owned(),
        raw: Some(br#"{"seal":{"B":"AAE="}}"#.to_vec()),
        ..Default::default()
    };
    grpc.put(put).await.unwrap();
    let refused = grpc.get(get("order-2", false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(grpc.get(get("order-2", true)).await.unwrap().into_inner().raw.is_some());

    let decision = sidecar.ok("Decide", &json!({ "tenant": "acme" })).await;
    assert_eq!((&decision["rung"], &decision["stage"]), (&json!("RUNG_MIRRORED"), &json!("STAGE_DUAL")));
    let (status, by_get) =
        request(&sidecar.socket, "GET", "/api/v1/Decide?tenant=acme", String::new()).await.unwrap();
    assert_eq!((status, serde_json::from_str::<Value>(&by_get).unwrap()), (200, decision));

    // Its operations are counted as any instance's.
    let counted = v1::GetStatusRequest { key: "orders".to_owned() };
    let mut admin = place.controller.admin().await;
    super::client::until("the writes are counted", || {
        let (mut admin, counted) = (admin.clone(), counted.clone());
        async move {
            let progress = v1::GetProgressRequest { key: counted.key, ..Default::default() };
            let points = admin.get_progress(progress).await.unwrap().into_inner().points;
            points.iter().map(|point| point.totals.as_ref().unwrap().both_ok).sum::<u64>() == 3
        }
    })
    .await;
    let instances = admin.list_instances(v1::ListInstancesRequest::default()).await.unwrap().into_inner();
    let [instance] = &instances.instances[..] else { panic!("{instances:?}") };
    assert_eq!(instance.service, "orders-api");
    sidecar.stop().await;
    assert!(!place.dir.path().join("orders.sock").exists(), "the socket is removed");
    place.controller.stop().await;
}

#[tokio::test]
async fn a_record_is_written_if_it_is_as_expected() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    place.ask(1_000_000, 1_000_000).await;
    place.until_mirrored().await;
    let seat = |expected: Option<&str>, json: &str| {
        let mut request = json!({ "tenant": "acme", "key": "seat-1", "json": json });
        if let Some(expected) = expected {
            request["expected_json"] = json!(expected);
        }
        request
    };
    let (ada, bob) = (r#"{"guest":"Ada"}"#, r#"{"guest":"Bob"}"#);
    let taken = sidecar.ok("PutIf", &seat(None, ada)).await;
    assert_eq!(taken["applied"], true, "{taken}");
    let refused = sidecar.ok("PutIf", &seat(None, bob)).await;
    let parts = [&refused["applied"], &refused["found"], &refused["json"]];
    assert_eq!(parts, [&json!(false), &json!(true), &json!(ada)]);
    assert_eq!(sidecar.ok("PutIf", &seat(Some(bob), ada)).await["json"], json!(ada));
    assert_eq!(sidecar.ok("PutIf", &seat(Some(ada), bob)).await["applied"], true);

    let mut grpc = sidecar.grpc().await;
    let raw = |expected: Option<&[u8]>| v1::PutIfRequest {
        tenant: "acme".to_owned(),
        key: "seat-1".to_owned(),
        expected_raw: expected.map(<[u8]>::to_vec),
        raw: Some(br#"{"guest":{"S":"Cyd"}}"#.to_vec()),
        ..Default::default()
    };
    let found = grpc.put_if(raw(None)).await.unwrap().into_inner().raw;
    assert_eq!(found.as_deref(), Some(&br#"{"guest":{"S":"Bob"}}"#[..]));
    assert!(grpc.put_if(raw(found.as_deref())).await.unwrap().into_inner().applied);
    assert_eq!(sidecar.ok("Get", &at("seat-1")).await["json"], r#"{"guest":"Cyd"}"#);
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn several_records_are_written_at_once() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    place.ask(1_000_000, 1_000_000).await;
    place.until_mirrored().await;
    sidecar.ok("Put", &json!({ "tenant": "acme", "key": "cart-1", "json": "{}" })).await;
    let writes = json!([
        { "key": "order-1", "json": r#"{"items":3}"# },
        { "key": "order-2", "raw": "eyJpdGVtcyI6eyJOIjoiNCJ9fQ==" },
        { "key": "cart-1", "delete": true },
    ]);
    let written = sidecar.ok("Transact", &json!({ "tenant": "acme", "writes": writes })).await;
    assert_ne!(written["version"], json!("0"), "{written}");
    assert_eq!(sidecar.ok("Get", &at("order-1")).await["json"], r#"{"items":3}"#);
    assert_eq!(sidecar.ok("Get", &at("order-2")).await["json"], r#"{"items":4}"#);
    assert_eq!(sidecar.ok("Get", &at("cart-1")).await["found"], false);
    sidecar.stop().await;
    place.controller.stop().await;
}

#[tokio::test]
async fn mistakes_are_named_and_change_nothing() {
    let place = Place::new(1_000).await;
    let sidecar = place.sidecar(&[]).await;
    for (method, request, status, part) in [
        ("Put", at("a"), 400, "give the record as json or as raw"),
        ("Put", json!({ "tenant": "acme", "key": "a", "json": "[]" }), 400, "give a JSON object"),
        (
            "Put",
            json!({ "tenant": "acme", "key": "a", "json": r#"{"n":0.12345678901234567891}"# }),
            400,
            "more digits",
        ),
        (
            "PutIf",
            json!({ "tenant": "acme", "key": "a", "json": "{}", "expected_raw": "AA==" }),
            400,
            "both as json",
        ),
        ("PutIf", at("a"), 400, "both as json"),
        ("Transact", json!({ "tenant": "acme" }), 400, "at least one write"),
        (
            "Transact",
            json!({ "tenant": "acme", "writes": [{ "key": "a", "json": "{}" }, { "key": "b" }] }),
            400,
            "key \"b\": give the record",
        ),
        (
            "Transact",
            json!({ "tenant": "acme", "writes": [{ "key": "a", "json": "{}" }, { "key": "a", "delete": true }] }),
            400,
            "got key \"a\" twice",
        ),
        ("Put", json!({ "tenant": "", "key": "a", "json": "{}" }), 400, "tenant"),
        ("Put", json!({ "migration": "carts", "tenant": "acme", "key": "a", "json": "{}" }), 404, "no spec"),
        ("Decide", json!({ "migration": "carts", "tenant": "acme" }), 404, "no migration"),
        ("Begin", json!({ "tenant": "acme" }), 400, "operation is missing"),
        ("End", json!({ "id": "x" }), 400, "outcome is missing"),
        ("Get", json!({ "tenant": "acme", "kee": "a" }), 400, "tenant, key"),
        ("Gett", json!({}), 404, "GET /api/v1"),
    ] {
        let (found, answer) = sidecar.json(method, &request).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(found == status && message.contains(part), "{method} {request}: {found} {answer}");
    }
    let mut grpc = sidecar.grpc().await;
    let put = v1::PutRequest { tenant: "acme".to_owned(), key: "a".to_owned(), ..Default::default() };
    let refused = grpc.put(put).await.unwrap_err();
    let reason = refused.get_details_error_info().unwrap().reason;
    assert_eq!((refused.code(), reason.as_str()), (Code::InvalidArgument, "NOT_APPLIED"));
    assert_eq!(sidecar.ok("Get", &at("a")).await["found"], false);

    let (status, list) = request(&sidecar.socket, "GET", "/api/v1", String::new()).await.unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let methods = list["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap());
    let methods: Vec<_> = methods.collect();
    assert_eq!(status, 200);
    let all = ["Begin", "Decide", "Delete", "End", "Get", "GetSidecar", "Put", "PutIf", "Stamp", "Transact"];
    assert_eq!(methods, all);
    sidecar.stop().await;
    place.controller.stop().await;
}
