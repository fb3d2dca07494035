//! Items that are not of one moment: of half a backup, or of a transaction that is not visible everywhere yet.

use std::time::Duration;

use cutover::{
    domain::Change,
    store::{Error, Expired, TokenChange},
};
use cutover_core::routing::Rung;
use tokio::time::sleep;

use super::super::{
    Place as _,
    schema::{Kind, Schema},
    servers::{revoked, token},
    table::{Table, n, s},
};
use crate::support::{commit, create, describe, key, make, pin, plain};

const EVENTS: &str = "events#00000000000000000000";
const EXPIRED: Expired = Expired { through: 0, below: u64::MAX, limit: 100, now_ms: 1, before_ms: 0 };

fn sorted(revision: u64) -> String {
    format!("{revision:020}")
}

/// What follows the checkpoint of a migration that nobody changes is not read for its sake.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_migration_does_not_make_a_load_long() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let store = schema.open().await;
    for name in ["carts", "orders"] {
        make(&*store, &key(name), &create()).await;
    }
    for at in 0..3 {
        make(&*store, &key("orders"), &describe(format!("change {at}"))).await;
    }
    store.compact(&Expired { through: 3, ..EXPIRED }).await.unwrap();
    make(&*store, &key("orders"), &describe("the newest")).await;
    let before = store.snapshot().await.unwrap();
    // Whoever reads it notices.
    Table::of(&schema.url).await.delete(EVENTS, &sorted(4)).await;
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.revision, plain(&after.migrations)), (6, plain(&before.migrations)));
}

/// A backup that has a part of the newest transaction is not led from.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_transaction_is_noticed() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let store = schema.open().await;
    for change in [create(), pin(["t7".to_owned()], Rung::Dual)] {
        make(&*store, &key("orders"), &change).await;
    }
    let table = Table::of(&schema.url).await;
    let first = table.get(EVENTS, &sorted(1)).await.unwrap()["hash"].clone();
    let second = table.get(EVENTS, &sorted(2)).await.unwrap()["hash"].clone();
    let refused = async |says: &str| {
        let error = store.snapshot().await.unwrap_err();
        assert!(matches!(&error, Error::Corrupt(how) if how.contains(says)), "{says}: {error:?}");
    };

    table.set("migrations", "orders", &[("revision", n(1))]).await;
    refused("migration orders is at revision 1, and its events are not").await;
    table.set("state", "counter", &[("revision", n(1)), ("hash", first)]).await;
    let follower = schema.follower().await;
    let error = follower.snapshot().await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("after the newest one")), "{error:?}");
    table.set("state", "counter", &[("revision", n(2)), ("hash", second)]).await;
    table.delete("migrations", "orders").await;
    refused("migration orders of revision 2 is missing").await;
}

/// Something is not as it was read, although the lane is.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_refused_when_what_it_was_made_from_has_changed() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (_first, proxy, store) = schema.behind_proxy().await;
    let table = Table::of(&schema.url).await;
    let made = TokenChange { expected: None, record: Some(token()), event: revoked() };
    store.change_token(&made).await.unwrap();
    let name = store.tokens().await.unwrap()[0].name.clone();
    proxy.delay_commit(Duration::from_secs(1));
    let used = [(name.clone(), 5)];
    let (noted, ()) = tokio::join!(store.note_used(&used), async {
        sleep(Duration::from_millis(500)).await;
        table.delete("tokens", &name).await;
    });
    assert!(noted.is_ok(), "{noted:?}");
    assert_eq!(store.tokens().await.unwrap(), [], "the token does not come back");

    let read = store.snapshot().await.unwrap();
    for (partition, sort) in [("migrations", "orders"), ("state", "counter")] {
        let change = commit(Some(&read.migrations[0]), &key("orders"), &describe("late"), read.revision + 1);
        proxy.delay_commit(Duration::from_secs(1));
        let (made, ()) = tokio::join!(store.commit(&change), async {
            sleep(Duration::from_millis(500)).await;
            table.set(partition, sort, &[("revision", n(7))]).await;
        });
        assert!(matches!(made, Err(Error::Conflict)), "{partition}: {made:?}");
        let found = table.get(partition, sort).await.unwrap();
        assert_eq!(found["revision"], n(7), "it is not overwritten");
        table.set(partition, sort, &[("revision", n(read.revision))]).await;
    }
}

/// The compaction deletes what another handle uploads, because it does not know of that.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_used_or_deleted_but_not_both() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    let table = Table::of(&schema.url).await;
    store.commit(&commit(None, &key("carts"), &create(), 2)).await.unwrap();
    table.set("unused", "stray", &[("parts", n(1))]).await;
    table.set("part#stray#000000", "-", &[("bytes", s("left by somebody who was killed"))]).await;

    let read = store.snapshot().await.unwrap();
    let tenants = (0..8_000).map(|at| format!("tenant-{at}"));
    let large: Change = pin(tenants, Rung::Mirrored);
    let change = commit(Some(&read.migrations[1]), &key("orders"), &large, 3);
    proxy.delay_commit(Duration::from_secs(2));
    let (made, ()) = tokio::join!(store.commit(&change), async {
        let uploaded = async || table.keys("unused").await.len() >= 2;
        while !uploaded().await {
            sleep(Duration::from_millis(20)).await;
        }
        first.compact(&EXPIRED).await.unwrap();
    });
    assert!(matches!(made, Err(Error::Unavailable(_))), "{made:?}");
    table.gone("part#").await;
    table.gone("unused").await;
    assert_eq!(first.snapshot().await.unwrap().revision, 2);
    store.commit(&change).await.unwrap();
    assert_eq!(first.changes(2, 10).await.unwrap(), [change.event]);
}
