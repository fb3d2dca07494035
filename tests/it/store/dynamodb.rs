//! The suite on DynamoDB, and what only that has.

mod torn;

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use cutover::{
    domain::{Change, Counts, Deletion, Scale, WindowId},
    store::{
        Counted, Error, Expired, HeardRecord, InstanceRecord, OpenError, PassRecord, SegmentRecord,
        TokenChange, Upkeep, WindowQuery, open_store,
    },
};
use cutover_core::routing::Rung;
use tokio::time::sleep;

use super::{
    Place as _,
    chain::followed,
    schema::{Kind, Schema},
    servers::{revoked, token},
    suite,
    table::{Table, n, s},
};
use crate::support::{commit, create, describe, key, make, pin, plain};

suite!(Schema::fresh(Kind::DynamoDb).await);

/// The event of a change whose answer was lost is there or never will be, once anybody has asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_transaction_without_an_answer_is_found_out() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    let next = async |what: &str| {
        let read = store.snapshot().await.unwrap();
        commit(Some(&read.migrations[0]), &key("orders"), &describe(what), read.revision + 1)
    };
    for arrives in [true, false] {
        let change = next("its connection is cut").await;
        proxy.lose_commit(arrives);
        match store.commit(&change).await {
            Ok(()) => assert!(arrives),
            Err(Error::Unavailable(_)) => assert!(!arrives),
            other => panic!("{other:?}"),
        }
        let found = first.changes(change.event.revision - 1, 10).await.unwrap();
        assert_eq!(found, if arrives { vec![change.event] } else { Vec::new() }, "{arrives}");
    }

    // Nobody can ask for a while.
    for arrives in [true, false] {
        let change = next("the network is gone as well").await;
        proxy.lose_commit_and_network(arrives);
        let lost = store.commit(&change).await;
        assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
        proxy.heal();
        let found = store.changes(change.event.revision - 1, 10).await.unwrap();
        assert_eq!(found, if arrives { vec![change.event] } else { Vec::new() }, "{arrives}");
        make(&*store, &key("orders"), &describe("goes on")).await;
    }

    // It comes after everybody has given it up.
    let change = next("late").await;
    proxy.delay_commit(Duration::from_secs(6));
    let late = store.commit(&change).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "it can't come any more: {late:?}");
    let put = Upkeep { put_instances: vec![InstanceRecord::callers(&key("orders"))], ..Upkeep::default() };
    store.keep(&put).await.expect("other writes do not wait");
    sleep(Duration::from_secs(4)).await;
    assert_eq!(store.changes(change.event.revision - 1, 10).await.unwrap(), [], "it was refused");
    make(&*store, &key("orders"), &describe("goes on")).await;
    let (chain, _, state) = followed(&*first, 10).await;
    assert_eq!(chain.revision, state.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_write_of_unknown_outcome_comes_after_it() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (_first, proxy, store) = schema.behind_proxy().await;
    let made = TokenChange { expected: None, record: Some(token()), event: revoked() };
    store.change_token(&made).await.unwrap();
    proxy.lose_commit_and_network(true);
    let revoke = TokenChange { expected: Some("1".to_owned()), record: None, event: revoked() };
    let lost = store.change_token(&revoke).await;
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    proxy.heal();
    assert_eq!(store.tokens().await.unwrap(), [], "it is not read as valid");
    // The next leader finds it as well.
    let record = InstanceRecord::callers(&key("orders"));
    let put = Upkeep { put_instances: vec![record.clone()], ..Upkeep::default() };
    proxy.lose_commit_and_network(true);
    let lost = store.keep(&put).await;
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    let next = schema.leads_next().await;
    assert_eq!(next.snapshot().await.unwrap().instances, [record]);
}

/// More than fits into a transaction, or into an item.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_a_transaction_is_written_whole() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let store = schema.open().await;
    let instance = |slot: u16| InstanceRecord {
        instance_id: format!("instance-{slot:04}"),
        writer_slot: slot,
        ..InstanceRecord::default()
    };
    let put_instances: Vec<_> = (0..256).map(instance).collect();
    let segments = (0..40).map(|at| SegmentRecord { cursor: vec![at; 6_000], ..SegmentRecord::default() });
    let pass =
        PassRecord { id: "orders/a".to_owned(), segments: segments.collect(), ..PassRecord::default() };
    let upkeep =
        Upkeep { put_instances: put_instances.clone(), put_passes: vec![pass.clone()], ..Upkeep::default() };
    store.keep(&upkeep).await.unwrap();
    let next = schema.leads_next().await;
    let state = next.snapshot().await.unwrap();
    assert_eq!((state.instances, state.passes), (put_instances, vec![pass.clone()]));

    // Old parts go with what they were of.
    let table = Table::of(&schema.url).await;
    let parts = table.keys("part#").await.len();
    assert!(parts > 1, "{parts}");
    next.keep(&Upkeep { put_passes: vec![pass.clone()], ..Upkeep::default() }).await.unwrap();
    table.count("part#", parts).await;
    next.keep(&Upkeep { remove_passes: vec![pass.id], ..Upkeep::default() }).await.unwrap();
    table.gone("part#").await;
    table.gone("unused").await;
}

/// The leader ends after it has written down what it does, and before it has done it.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_write_is_finished_by_the_next_leader() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    let heard =
        (0..150).map(|at| HeardRecord { instance_id: format!("i-{at:03}"), ..HeardRecord::default() });
    let heard: Vec<_> = heard.collect();
    let id = WindowId { key: key("orders"), scale: Scale::Minute, at: 60 };
    let windows = vec![(id, Counts { revision: 1, ..Counts::default() })];
    let counted = Counted { windows, heard: heard.clone(), ..Counted::default() };
    // Its first transaction is the one that raises the lane's number for a store that has written nothing yet.
    store.count(&Counted::default()).await.unwrap();
    proxy.lose_commit_and_network(true);
    let lost = store.count(&counted).await;
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    drop(first);
    let next = schema.leads_next().await;
    assert_eq!(next.snapshot().await.unwrap().heard, heard);
    let query = WindowQuery { key: key("orders"), scale: Scale::Minute, from: 0, before: u64::MAX };
    assert_eq!(next.windows(&query).await.unwrap().len(), 1);
    let table = Table::of(&schema.url).await;
    table.gone("part#").await;
    table.gone("unused").await;
}

/// Events are dropped only if they are in a checkpoint, and nothing of them remains.
#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_stand_for_dropped_events() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let store = schema.open().await;
    for name in ["orders", "carts", "gone"] {
        make(&*store, &key(name), &create()).await;
    }
    let id = WindowId { key: key("gone"), scale: Scale::Minute, at: 60 };
    let windows = vec![(id, Counts { revision: 1, ..Counts::default() })];
    store.count(&Counted { windows, ..Counted::default() }).await.unwrap();
    let tenants = || (0..2_000).map(|at| format!("tenant-{at}"));
    make(&*store, &key("orders"), &pin(tenants(), Rung::Mirrored)).await;
    make(&*store, &key("gone"), &Change::Delete(Deletion::default())).await;
    let mut asked = store.snapshot().await.unwrap();
    let orders = asked.migrations.pop().unwrap();
    let mut change = commit(Some(&orders), &key("orders"), &pin(["one".to_owned()], Rung::Dual), 6);
    change.event.request_id = "r-1".to_owned();
    store.commit(&change).await.unwrap();
    make(&*store, &key("orders"), &pin(tenants().take(10), Rung::SourceOnly)).await;
    make(&*store, &key("carts"), &describe("the newest")).await;

    let before = store.snapshot().await.unwrap();
    let expired = Expired { through: 6, below: u64::MAX, limit: 100, now_ms: 1, before_ms: 0 };
    assert_eq!(store.compact(&expired).await.unwrap().events, 6);
    // The next call deletes what was dropped by a process that ended then.
    assert_eq!(store.compact(&expired).await.unwrap().events, 0);
    let next = schema.leads_next().await;
    let after = next.snapshot().await.unwrap();
    assert_eq!((after.revision, plain(&after.migrations)), (8, plain(&before.migrations)));
    let table = Table::of(&schema.url).await;
    assert_eq!(table.keys("events#").await.len(), 2);
    assert_eq!((table.keys("windows#").await, table.keys("request#").await), (vec![], vec![]));
    table.gone("unused").await;

    make(&*next, &key("orders"), &pin(["one".to_owned()], Rung::SourceOnly)).await;
    let before = next.snapshot().await.unwrap();
    let all = Expired { through: u64::MAX, ..expired };
    assert_eq!(next.compact(&all).await.unwrap().events, 2);
    let after = next.snapshot().await.unwrap();
    assert_eq!((after.revision, plain(&after.migrations)), (9, plain(&before.migrations)));
    let (chain, _, _) = followed(&*next, 10).await;
    assert_eq!(chain.revision, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_reported_with_its_place() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let store = schema.open().await;
    for change in [create(), pin(["t7".to_owned()], Rung::Dual)] {
        make(&*store, &key("orders"), &change).await;
    }
    let table = Table::of(&schema.url).await;
    let (events, second) = ("events#00000000000000000000", "00000000000000000002");
    table.set(events, second, &[("rows", s("[["))]).await;
    for error in [store.changes(0, 10).await.unwrap_err(), store.snapshot().await.unwrap_err()] {
        assert!(matches!(&error, Error::Corrupt(how) if how.contains("revision 2")), "{error:?}");
    }
    table.delete(events, "00000000000000000001").await;
    let error = store.changes(0, 10).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("after revision 0")), "{error:?}");
    let error = store.snapshot().await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("after revision 0")), "{error:?}");
    table.set("state", "counter", &[("revision", n(7))]).await;
    assert!(matches!(schema.open_error().await, OpenError::Corrupt(_)));
}

/// A new table with this key.
async fn make_table(schema: &Schema, partition: &str, sort: &str) {
    let Table { client, name } = Table::of(&schema.url).await;
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (name, role) in [(partition, KeyType::Hash), (sort, KeyType::Range)] {
        let key = KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap();
        let defined = AttributeDefinition::builder().attribute_name(name);
        let defined = defined.attribute_type(ScalarAttributeType::S).build().unwrap();
        request = request.key_schema(key).attribute_definitions(defined);
    }
    request.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_ours_is_left_alone() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let uncreated = schema.url.replace("create=true&", "");
    let refused = open_store(&uncreated).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Place(why) if why.contains("&create=true")), "{refused:?}");
    make_table(&schema, "pk", "sk").await;
    let table = Table::of(&schema.url).await;
    table.set("recipes", "soup", &[("salt", n(1))]).await;
    assert!(matches!(schema.open_error().await, OpenError::Foreign(_)));
    assert_eq!(table.keys("").await, ["soup"], "nothing was written");

    let elsewhere = open_store(&format!("{}&account=123456789012", schema.url)).await.unwrap_err();
    assert!(matches!(&elsewhere, OpenError::Place(why) if why.contains("is in account 0")), "{elsewhere:?}");

    let schema = Schema::fresh(Kind::DynamoDb).await.unwrap();
    make_table(&schema, "tenant", "key").await;
    let refused = schema.open_error().await;
    assert!(matches!(&refused, OpenError::Place(why) if why.contains("has another key")), "{refused:?}");

    for (url, says) in [
        ("dynamodb://?region=r", "names no table"),
        ("dynamodb://t?region=r&table=x", "table=x is not understood"),
        ("dynamodb://t", "names no region"),
        ("dynamodb://t/x?region=r", "write dynamodb://TABLE"),
        ("dynamodb://t?region=r&endpoint=http://127.0.0.1:1", "can't be reached"),
    ] {
        let refused = open_store(url).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{url}: {refused}");
    }
}

/// Many writers of different kinds, each in its lane, and beats beside them.
#[tokio::test(flavor = "multi_thread")]
async fn writes_of_different_kinds_do_not_wait_for_each_other() {
    let Some(schema) = Schema::fresh(Kind::DynamoDb).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    store.snapshot().await.unwrap();
    // A write of records hangs.
    proxy.delay_commit(Duration::from_secs(2));
    let keeping = tokio::spawn({
        let store = store.clone();
        async move {
            let put_instances = vec![InstanceRecord::callers(&key("orders"))];
            store.keep(&Upkeep { put_instances, ..Upkeep::default() }).await
        }
    });
    sleep(Duration::from_millis(500)).await;
    store.commit(&commit(None, &key("carts"), &create(), 2)).await.unwrap();
    store.count(&Counted::default()).await.unwrap();
    assert!(!keeping.is_finished(), "they did not wait for it");
    let kept = keeping.await.unwrap();
    assert_eq!(first.snapshot().await.unwrap().instances.len(), usize::from(kept.is_ok()), "{kept:?}");
    let revisions: BTreeSet<_> = first.changes(0, 10).await.unwrap().iter().map(|it| it.revision).collect();
    assert_eq!(revisions, BTreeSet::from([1, 2]));
}
