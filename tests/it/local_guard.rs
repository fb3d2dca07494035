//! The local guard: what an SDK does while the controller is away, and what that requires of steps.

use std::{sync::Arc, time::Duration};

use cutover_core::{outcome::ErrorClass, routing::Rung};
use cutover_proto::v1;
use cutover_store::{Fault, Faulty, MemoryStore, StoreError, Verb};
use tempfile::TempDir;
use tonic::Code;

use crate::support::server::Controller;

fn mutation() -> Option<v1::Mutation> {
    Some(v1::Mutation { reason: "a story".to_owned(), ..Default::default() })
}

async fn migration(controller: &Controller) -> v1::Migration {
    let request = v1::GetMigrationRequest { key: "orders".to_owned() };
    controller.admin().await.get_migration(request).await.unwrap().into_inner()
}

async fn until(controller: &Controller, holds: impl Fn(&v1::Migration) -> bool) -> v1::Migration {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let migration = migration(controller).await;
            if holds(&migration) {
                return migration;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.expect("it comes to that")
}

fn ramp() -> v1::SetRolloutRequest {
    v1::SetRolloutRequest { mutation: mutation(), key: "orders".to_owned(), ..Default::default() }
}

async fn set_local_guard(controller: &Controller, local_guard: bool) -> u64 {
    let policy = v1::Policy { local_guard, ..migration(controller).await.policy.unwrap() };
    let request = v1::UpdateMigrationRequest {
        mutation: mutation(),
        key: "orders".to_owned(),
        policy: Some(policy),
        ..Default::default()
    };
    controller.admin().await.update_migration(request).await.unwrap();
    migration(controller).await.revision
}

/// Everybody at target-first, with the local guard on.
async fn guarded(controller: &Controller) {
    let create = v1::CreateMigrationRequest {
        key: "orders".to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        policy: Some(v1::Policy { local_guard: true, ..Default::default() }),
        ..Default::default()
    };
    controller.admin().await.create_migration(create).await.unwrap();
    let ramp = v1::SetRolloutRequest {
        target_first_ppm: Some(1_000_000),
        wait: true,
        override_gates: vec!["full-pass".to_owned()],
        ..ramp()
    };
    controller.admin().await.set_rollout(ramp).await.unwrap();
    until(controller, |migration| migration.state() == v1::State::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_that_is_alone_reads_from_the_source_until_the_controller_is_back() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    guarded(&controller).await;
    let client = controller.sdk("alone").await;
    let source: Arc<MemoryStore> = Arc::default();
    let target = Arc::new(Faulty::new(Arc::<MemoryStore>::default()));
    let orders = client.migrator("orders", source, target.clone());
    assert_eq!(client.decide("orders", "acme").unwrap().rung, Rung::TargetFirst);
    orders.put_bytes("acme", "order-1", b"paid".to_vec()).await.unwrap();

    let port = controller.port();
    controller.stop().await;
    for verb in [Verb::Get, Verb::Put] {
        let what = "refused".to_owned();
        target.always(verb, Fault::Refuse(StoreError::NotApplied { class: ErrorClass::Connection, what }));
    }
    assert!(
        orders.get_bytes("acme", "order-1").await.is_err(),
        "target-first never reads past a failing target"
    );
    let back = async {
        loop {
            match orders.get_bytes("acme", "order-1").await {
                Ok(value) => return value,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let value = tokio::time::timeout(Duration::from_secs(15), back).await.expect("reads come back");
    assert_eq!(value.as_deref(), Some(&b"paid"[..]));
    assert_eq!(client.decide("orders", "acme").unwrap().rung, Rung::Mirrored);
    assert_eq!(client.status().gone_back[0].migration, "orders");
    let write = orders.put_bytes("acme", "order-1", b"sent".to_vec()).await;
    assert!(write.is_err(), "dual would take it, but others may be at target-first");

    // The controller is back and takes everybody to where writes succeed, too.
    let controller = Controller::start(dir.path(), port).await;
    let request =
        v1::RollbackRequest { mutation: mutation(), key: "orders".to_owned(), ..Default::default() };
    controller.admin().await.rollback(request).await.unwrap();
    let mut received = client.current().subscribe();
    let dual = async {
        while client.decide("orders", "acme").unwrap().rung != Rung::Dual {
            received.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(15), dual).await.expect("it hears");
    assert_eq!(client.status().gone_back, []);
    orders.put_bytes("acme", "order-1", b"sent".to_vec()).await.unwrap();
    assert!(client.close().await);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_to_target_only_before_everybody_has_heard_that_the_local_guard_is_off() {
    let dir = TempDir::new().unwrap();
    let controller = Controller::start(dir.path(), 0).await;
    guarded(&controller).await;
    let (one, two) = (controller.sdk("one").await, controller.sdk("two").await);
    let up = |override_gates: &[&str]| v1::SetRolloutRequest {
        target_only_ppm: Some(1_000_000),
        override_gates: override_gates.iter().map(|gate| (*gate).to_owned()).collect(),
        ..ramp()
    };
    let refused = async |request| {
        let refused = controller.admin().await.set_rollout(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        refused.message().to_owned()
    };
    let message = refused(up(&["full-pass"])).await;
    assert!(message.contains("local-guard") && message.contains("--local off"), "{message}");
    let overridden = controller.admin().await.set_rollout(up(&["local-guard"])).await.unwrap_err();
    assert_eq!(overridden.code(), Code::InvalidArgument, "no operator can know better");

    let linearizable = Some(v1::Policy {
        local_guard: true,
        level: v1::Level::Linearizable.into(),
        fence_after_ms: 5_000,
        ..Default::default()
    });
    let create = v1::CreateMigrationRequest {
        key: "other".to_owned(),
        source: "one".to_owned(),
        target: "other".to_owned(),
        policy: linearizable,
        ..Default::default()
    };
    let refusal = controller.admin().await.create_migration(create).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");

    // An operation that it has begun may have gone back on its own.
    let operation = two.begin("orders", "acme").unwrap();
    let off = set_local_guard(&controller, false).await;
    for client in [&one, &two] {
        client.current().subscribe().wait_for(|revision| *revision >= off).await.unwrap();
    }
    let message = refused(up(&["full-pass"])).await;
    assert!(message.contains(&format!("revision {off}")) && message.contains("two"), "{message}");
    let message = refused(up(&[])).await;
    assert!(message.contains(&format!("revision {off}")) && message.contains("full pass"), "{message}");
    drop(operation);
    let request = v1::SetRolloutRequest { wait: true, ..up(&["full-pass"]) };
    controller.admin().await.set_rollout(request).await.unwrap();
    let there = |migration: &v1::Migration| migration.rollout.as_ref().unwrap().target_only_ppm == 1_000_000;
    until(&controller, there).await;
    assert!(one.close().await && two.close().await);
    controller.stop().await;
}
