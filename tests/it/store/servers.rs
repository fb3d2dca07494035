//! What a leader may not do any more, and what is left alone, on each server.

use std::sync::Arc;

use cutover::{
    domain::Role,
    store::{
        Counted, Error, Expired, OpenError, Store, TokenChange, TokenEvent, TokenRecord, Upkeep, open_store,
    },
};
use cutover_core::routing::Rung;

use super::{
    Place as _,
    chain::followed,
    schema::{Deposed, Kind, Schema, on_dynamodb, on_each_server},
};
use crate::support::{commit, create, describe, key, make, pin};

on_each_server!(
    whoever_does_not_lead_writes_nothing,
    a_commit_whose_answer_is_lost_is_of_unknown_outcome,
    many_open_a_new_schema_at_once,
    a_schema_that_is_not_ours_or_not_whole_is_left_alone,
    damage_is_reported_with_its_place,
);

on_dynamodb!(whoever_does_not_lead_writes_nothing, many_open_a_new_schema_at_once);

/// What the history of tokens says of a revocation.
pub fn revoked() -> TokenEvent {
    TokenEvent {
        at_ms: 1,
        actor: String::new(),
        reason: String::new(),
        change: "revoke".to_owned(),
        token: "ada".to_owned(),
        summary: String::new(),
    }
}

/// A token that can be revoked.
pub fn token() -> TokenRecord {
    TokenRecord {
        name: "ada".to_owned(),
        roles: vec![Role::Admin],
        migrations: Vec::new(),
        hash: "1".to_owned(),
        created_ms: 1,
        created_by: String::new(),
        expires_ms: None,
        previous: None,
        used_ms: 0,
    }
}

/// Takes over, although the leader lives.
async fn usurped(schema: &Schema) -> Arc<dyn Store> {
    schema.depose(Deposed::InPlace).await;
    let store = schema.follower().await;
    store.lease().unwrap().lead("the next one", |_| {}).await;
    store
}

async fn whoever_does_not_lead_writes_nothing(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let deposed = schema.open().await;
    let orders = key("orders");
    make(&*deposed, &orders, &create()).await;
    for never_led in [false, true] {
        let store = if never_led { schema.follower().await } else { deposed.clone() };
        let next = usurped(&schema).await;
        let before = next.snapshot().await.unwrap();
        let change = commit(Some(&before.migrations[0]), &orders, &describe("late"), before.revision + 1);
        let token = TokenChange { expected: Some("hash".to_owned()), record: None, event: revoked() };
        let expired =
            Expired { through: before.revision - 1, below: u64::MAX, limit: 10, ..Expired::default() };
        let upkeep = Upkeep {
            steady_ms: Some(u64::MAX >> 1),
            begin_history: Some("mine".to_owned()),
            ..Upkeep::default()
        };
        let refused = [
            ("commit", store.commit(&change).await.err()),
            ("keep", store.keep(&upkeep).await.err()),
            ("count", store.count(&Counted { now_s: u64::MAX >> 1, ..Counted::default() }).await.err()),
            ("change_token", store.change_token(&token).await.err()),
            ("note_used", store.note_used(&[("ada".to_owned(), 7)]).await.err()),
        ];
        for (call, refused) in refused {
            assert!(
                matches!(&refused, Some(Error::Unavailable(why)) if why.contains("leads")),
                "{call}: {refused:?}"
            );
        }
        if before.revision > 1 {
            assert!(store.compact(&expired).await.is_err());
        }
        assert!(!store.lease().unwrap().is_held(), "it knows now");
        let after = next.snapshot().await.unwrap();
        assert_eq!((after.revision, after.history_id), (before.revision, before.history_id));
        assert_eq!(after.steady_ms, before.steady_ms);
        next.commit(&change).await.expect("the next one goes on from there");
        assert!(store.ping().await.is_ok() && store.snapshot().await.is_ok(), "everybody may read");
    }
}

/// The next one to ask finds out, if anybody can: that a request is made once is a promise of its id.
async fn a_commit_whose_answer_is_lost_is_of_unknown_outcome(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    for arrives in [true, false, true] {
        make(&*store, &key("orders"), &describe("it works")).await;
        let read = store.snapshot().await.unwrap();
        let change = commit(Some(&read.migrations[0]), &key("orders"), &describe("lost"), read.revision + 1);
        proxy.lose_commit(arrives);
        let lost = store.commit(&change).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
        let found = store.changes(read.revision, 10).await.unwrap();
        let expected = if arrives { vec![change.event] } else { Vec::new() };
        assert_eq!(found, expected, "{arrives}: whole, or not at all");
        proxy.lose_commit(arrives);
        let lost = store.keep(&Upkeep { steady_ms: Some(1), ..Upkeep::default() }).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
        proxy.lose_commit(arrives);
        let lost = store.count(&Counted::default()).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "counts are not added twice: {lost:?}");
    }
    assert_eq!(followed(&*first, 10).await.0.revision, first.snapshot().await.unwrap().revision);
    // Before the commit was sent, nothing can have been written.
    proxy.cut();
    let late = commit(None, &key("carts"), &create(), first.snapshot().await.unwrap().revision + 1);
    assert!(matches!(store.commit(&late).await, Err(Error::Unavailable(_))));
    proxy.heal();
    store.commit(&late).await.expect("it connects again");
}

async fn many_open_a_new_schema_at_once(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let opened = futures::future::join_all((0..8).map(|_| open_store(&schema.url))).await;
    let ids = futures::future::join_all(
        opened.iter().map(async |store| store.as_ref().unwrap().snapshot().await.unwrap().history_id),
    );
    let ids = ids.await;
    assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 32), "{ids:?}");
    let other = Schema::fresh(kind).await.unwrap().open().await;
    assert_ne!(other.snapshot().await.unwrap().history_id, ids[0]);
}

async fn damage_is_reported_with_its_place(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    make(&*store, &key("orders"), &pin(["t7".to_owned()], Rung::Dual)).await;
    schema.sql("UPDATE tenants SET \"row\" = '{}' WHERE tenant = 't7'").await;
    let error = store.snapshot().await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("tenant t7")), "{error:?}");
    schema.sql("UPDATE events SET \"rows\" = '[[' WHERE revision = 2").await;
    let error = store.changes(0, 10).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("revision 2")), "{error:?}");
}

async fn a_schema_that_is_not_ours_or_not_whole_is_left_alone(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    if kind == Kind::Postgres {
        schema.sql(&format!("CREATE SCHEMA {}", schema.name)).await;
    }
    schema.sql("CREATE TABLE recipes (name TEXT)").await;
    assert!(matches!(schema.open_error().await, OpenError::Foreign(_)));

    let schema = Schema::fresh(kind).await.unwrap();
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    schema.sql("UPDATE counter SET revision = 7").await;
    assert!(matches!(schema.open_error().await, OpenError::Corrupt(_)));
    schema.sql("UPDATE counter SET revision = 1").await;
    if kind == Kind::Postgres {
        schema.sql("UPDATE _sqlx_migrations SET checksum = '\\x00'").await;
        assert!(matches!(schema.open_error().await, OpenError::Corrupt(_)));
    }

    let schema = Schema::fresh(kind).await.unwrap();
    schema.follower().await;
    let later = match kind {
        Kind::Postgres => {
            "INSERT INTO _sqlx_migrations SELECT 1000, 'later', installed_on, true, '\\x00', 0 FROM _sqlx_migrations"
        }
        Kind::MySql => "INSERT INTO cutover_schema VALUES (1000)",
        Kind::DynamoDb => unreachable!("it has no schema"),
    };
    schema.sql(later).await;
    let error = schema.open_error().await;
    assert!(matches!(&error, OpenError::Newer(how) if how.contains("1000")), "{error:?}");
}
