//! A service's token is for its migrations.

use cutover_client::{Access, Client, Options};
use cutover_proto::v1::{self, Role, watch_response::Kind};
use serde_json::json;
use tonic::Code;

use super::{Guarded, create};
use crate::api::client;

async fn started() -> (Guarded, String) {
    let guarded = Guarded::start().await;
    guarded.migrations(&["orders", "users"]).await;
    let shop = create(guarded.url(), &guarded.root, "shop", &[Role::Sdk], &["orders"]).await;
    (guarded, shop)
}

#[tokio::test]
async fn it_decides_for_its_own_migrations_only() {
    let (guarded, shop) = started().await;
    let mut routing = guarded.routing(&shop).await;
    let ask = |migration: &str| v1::DecideRequest {
        migration: migration.to_owned(),
        tenant: "acme".to_owned(),
        ..Default::default()
    };
    routing.decide(ask("orders")).await.unwrap();
    let refused = routing.decide(ask("users")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().starts_with("token shop is not for migration \"users\""), "{refused:?}");
    let batch = v1::DecideBatchRequest { migration: "users".to_owned(), tenants: vec!["acme".to_owned()] };
    assert_eq!(routing.decide_batch(batch).await.unwrap_err().code(), Code::PermissionDenied);

    let (at, bearer) = (guarded.controller.http, format!("Bearer {shop}"));
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let context = json!({ "context": { "targetingKey": "acme" } }).to_string();
    let ofrep = async |path: &str| {
        let path = format!("/ofrep/v1/evaluate/flags{path}");
        client::json(client::send(at, "POST", &path, &headers, context.clone()).await).await
    };
    assert_eq!(ofrep("/orders").await.0, 200);
    assert_eq!(ofrep("/users").await.0, 403);
    let (_, all) = ofrep("").await;
    let keys: Vec<_> = all["flags"].as_array().unwrap().iter().map(|flag| flag["key"].clone()).collect();
    assert_eq!(keys, ["orders"]);
    let connect = async |key: &str| {
        let body = json!({ "flagKey": key, "context": { "targetingKey": "acme" } }).to_string();
        let path = "/flagd.evaluation.v2.Service/ResolveString";
        client::json(client::send(at, "POST", path, &headers, body).await).await
    };
    assert_eq!(connect("orders").await.0, 200);
    assert_eq!(connect("users").await.0, 403);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn its_snapshots_and_changes_have_nothing_of_others() {
    let (guarded, shop) = started().await;
    let request = v1::WatchRequest {
        instance_id: "shop-1".to_owned(),
        service: "shop".to_owned(),
        incarnation: 1,
        ..Default::default()
    };
    let mut stream = guarded.routing(&shop).await.watch(request).await.unwrap().into_inner();
    let mut next = async || stream.message().await.unwrap().unwrap().kind.unwrap();
    assert!(matches!(next().await, Kind::Registered(_)));
    let Kind::Snapshot(snapshot) = next().await else { panic!("a snapshot comes second") };
    let keys: Vec<_> = snapshot.tables.iter().map(|table| table.migration.as_str()).collect();
    assert_eq!(keys, ["orders"]);
    let mut admin = guarded.admin(&guarded.root).await;
    for (key, tenant) in [("users", "secret-customer"), ("orders", "acme")] {
        let pin = v1::SetPinRequest {
            key: key.to_owned(),
            tenant: tenant.to_owned(),
            rung: v1::Rung::Dual.into(),
            wait: true,
            ..Default::default()
        };
        admin.set_pin(pin).await.unwrap();
    }
    loop {
        let message = next().await;
        let text = format!("{message:?}");
        assert!(!text.contains("users") && !text.contains("secret-customer"), "{text}");
        if text.contains("acme") {
            break;
        }
    }
    let delete = v1::DeleteMigrationRequest { key: "users".to_owned(), ..Default::default() };
    let _ = admin.delete_migration(delete).await;
    guarded.controller.stop().await;
}

#[tokio::test]
async fn its_counts_of_others_are_left_out() {
    let (guarded, shop) = started().await;
    let cell = |migration: &str| v1::Cell {
        migration: migration.to_owned(),
        revision: 2,
        hit: 5,
        ..Default::default()
    };
    let request = v1::RecordOutcomesRequest {
        reporter: "shop-1".to_owned(),
        sequence: 1,
        cells: vec![cell("orders"), cell("users")],
    };
    let recorded = guarded.telemetry(&shop).await.record_outcomes(request).await.unwrap().into_inner();
    assert_eq!(recorded.left_out, [1]);
    guarded.controller.stop().await;
}

#[tokio::test]
async fn an_sdk_routes_by_what_its_token_is_for() {
    let (guarded, shop) = started().await;
    let file = guarded.path().join("shop.token");
    std::fs::write(&file, &shop).unwrap();
    let options = || Options { access: Access::default().with_token_file(&file), ..Options::default() };
    let client = Client::connect(guarded.url(), "shop", options()).await.unwrap();
    client.decide("orders", "acme").unwrap();
    assert!(client.decide("users", "acme").is_err());
    assert!(client.close().await);
    let without = Client::connect(guarded.url(), "shop", Options::default()).await.unwrap_err().to_string();
    assert!(without.contains("requires a token"), "{without}");
    let viewer = guarded.token("vic", Role::Viewer).await;
    std::fs::write(&file, viewer).unwrap();
    let denied = Client::connect(guarded.url(), "shop", options()).await.unwrap_err().to_string();
    assert!(denied.contains("needs the role sdk"), "{denied}");
    guarded.controller.stop().await;
}

#[tokio::test]
async fn changes_are_sent_only_on_top_of_a_state_of_the_same_migrations() {
    let (guarded, shop) = started().await;
    let scopes: [(&str, &[&str]); 4] =
        [("orders", &["orders"]), ("users", &["users"]), ("both", &["users", "orders"]), ("all", &[])];
    let mut tokens = vec![("shop", vec!["orders"], shop)];
    for (name, migrations) in scopes {
        let text = create(guarded.url(), &guarded.root, name, &[Role::Sdk], migrations).await;
        let mut migrations = migrations.to_vec();
        migrations.sort_unstable();
        tokens.push((name, migrations, text));
    }
    // What each gets, with an older state that it holds.
    let watch = async |token: &str, id: String, held: Option<(&v1::Registered, &v1::Update)>| {
        let held = held.map(|(registered, update)| v1::WatchRequest {
            last_revision: update.revision,
            held_revision: update.revision,
            history_id: registered.history_id.clone(),
            held_seal: update.seal.clone(),
            ..Default::default()
        });
        let request = v1::WatchRequest {
            instance_id: id,
            service: "shop".to_owned(),
            incarnation: 1,
            holds_snapshot: held.is_some(),
            ..held.unwrap_or_default()
        };
        let mut stream = guarded.routing(token).await.watch(request).await.unwrap().into_inner();
        let mut next = async || stream.message().await.unwrap().unwrap().kind.unwrap();
        let Kind::Registered(registered) = next().await else { panic!("registered comes first") };
        (registered, next().await)
    };
    let mut states = Vec::new();
    for (name, migrations, text) in &tokens {
        let (registered, Kind::Snapshot(state)) = watch(text, format!("{name}-first"), None).await else {
            panic!("a snapshot comes first")
        };
        assert!(state.last && !state.seal.is_empty());
        states.push((*name, migrations, registered, state));
    }
    let pause = v1::PauseRequest { key: "orders".to_owned(), ..Default::default() };
    guarded.admin(&guarded.root).await.pause(pause).await.unwrap();
    for (held_by, held, registered, state) in &states {
        for (name, migrations, text) in &tokens {
            let id = format!("{name}-after-{held_by}");
            let (_, next) = watch(text, id.clone(), Some((registered, state))).await;
            assert_eq!(matches!(next, Kind::Delta(_)), *held == migrations, "{id}: {next:?}");
            if let Kind::Snapshot(snapshot) = next {
                let keys: Vec<_> = snapshot.tables.iter().map(|table| table.migration.as_str()).collect();
                let of = if migrations.is_empty() { vec!["orders", "users"] } else { migrations.clone() };
                assert_eq!(
                    keys.iter()
                        .copied()
                        .collect::<std::collections::BTreeSet<_>>()
                        .into_iter()
                        .collect::<Vec<_>>(),
                    of,
                    "{id}"
                );
            }
        }
    }
    // Without its seal nobody knows whose state it is.
    let (_, _, registered, state) = &states[0];
    let unsealed = v1::Update { seal: String::new(), ..state.clone() };
    let (_, next) = watch(&tokens[0].2, "unsealed".to_owned(), Some((registered, &unsealed))).await;
    assert!(matches!(next, Kind::Snapshot(_)), "{next:?}");
    guarded.controller.stop().await;
}
