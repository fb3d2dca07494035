//! A database after a failover, a restore or an upgrade: who may lead, and what is noticed.

use std::time::Duration;

use cutover::store::{Error, Leader, OpenError, open_store};
use tokio::time::timeout;

use super::{
    Place as _,
    schema::{Deposed, Kind, Schema, on_dynamodb, on_each_server},
    table::{Table, n},
};
use crate::support::{commit, create, describe, key, make};

on_each_server!(
    another_database_ends_the_term_and_holds_everybody,
    writes_and_reads_of_a_term_are_refused_where_it_is_not_known,
    a_leader_that_remembers_more_ends_its_term_and_holds_everybody,
    an_older_program_never_leads_again_and_migrates_nothing_that_is_led,
);

on_dynamodb!(
    another_database_ends_the_term_and_holds_everybody,
    writes_and_reads_of_a_term_are_refused_where_it_is_not_known,
    a_leader_that_remembers_more_ends_its_term_and_holds_everybody,
    an_older_program_never_leads_again_and_migrates_nothing_that_is_led,
);

/// As after a failover: the tables are those that the leader knows, the timeline or server is another one.
async fn another_database_ends_the_term_and_holds_everybody(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let before = store.snapshot().await.unwrap();
    assert_eq!(before.restored, None);
    let lease = store.lease().unwrap();
    schema.depose(Deposed::Elsewhere).await;
    let why = timeout(Duration::from_secs(2), lease.keep()).await.expect("its beats end");
    assert!(why.contains("another controller"), "{why}");

    let next = schema.leads_next().await;
    let after = next.snapshot().await.unwrap();
    let why = after.restored.expect("it has to be confirmed");
    assert!(why.contains("7/00000001") && after.put_back, "{why}");
    assert_ne!(after.history_id, before.history_id);
    next.lease().unwrap().vacate().await;
    let last = schema.leads_next().await.snapshot().await.unwrap();
    assert_eq!(last.history_id, after.history_id, "once");
}

async fn writes_and_reads_of_a_term_are_refused_where_it_is_not_known(kind: Kind) {
    for how in [Deposed::Elsewhere, Deposed::InPlace] {
        let Some(schema) = Schema::fresh(kind).await else { return };
        let first = schema.open().await;
        make(&*first, &key("orders"), &create()).await;
        let read = first.snapshot().await.unwrap();
        let late = commit(Some(&read.migrations[0]), &key("orders"), &describe("late"), read.revision + 1);
        // Each of them ends the term, as far as its store knows.
        let mut stores = Vec::new();
        for _ in 0..5 {
            stores.push(schema.open().await);
        }
        schema.depose(how).await;
        let refused = [
            ("snapshot", stores[0].snapshot().await.err()),
            ("tokens", stores[1].tokens().await.err()),
            ("changes", stores[2].changes(0, 10).await.err()),
            ("chain", stores[3].chain(0, 10).await.err()),
            ("commit", stores[4].commit(&late).await.err()),
        ];
        for ((call, refused), store) in refused.iter().zip(&stores) {
            assert!(matches!(refused, Some(Error::Unavailable(_))), "{call}: {refused:?}");
            assert!(!store.lease().unwrap().is_held(), "{call}: it knows now");
        }
    }
}

/// As after storage was reset under a running server: the same timeline, with fewer commits.
async fn a_leader_that_remembers_more_ends_its_term_and_holds_everybody(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    for change in [create(), describe("lost")] {
        make(&*store, &key("orders"), &change).await;
    }
    let history = store.snapshot().await.unwrap().history_id;
    let lose = "DELETE FROM events WHERE revision = 2; UPDATE counter SET revision = 1;
                UPDATE migrations SET revision = 1";
    match kind {
        Kind::DynamoDb => Table::of(&schema.url).await.lose_revision_2().await,
        _ => schema.sql(lose).await,
    }
    let refused = store.changes(2, 10).await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(why) if why.contains("has seen revision 2")), "{refused}");
    assert!(!store.lease().unwrap().is_held());
    let after = schema.leads_next().await.snapshot().await.unwrap();
    assert!(after.restored.is_some_and(|why| why.contains("revision 2")) && after.put_back);
    assert_ne!(after.history_id, history);
}

async fn an_older_program_never_leads_again_and_migrates_nothing_that_is_led(kind: Kind) {
    let Some(schema) = Schema::fresh(kind).await else { return };
    let store = schema.open().await;
    match kind {
        Kind::DynamoDb => {
            Table::of(&schema.url).await.set("seat", "leader", &[("format", n(1000))]).await;
        }
        _ => schema.sql("UPDATE leader SET format = 1000").await,
    }
    let lease = store.lease().unwrap();
    lease.vacate().await;
    let refused = lease.lead_or_refuse("the older one").await;
    assert!(
        matches!(&refused, Err(Leader::Unknown(why)) if why.contains("newer cutover") && why.contains("1000")),
        "{refused:?}"
    );

    if kind == Kind::DynamoDb {
        // It has no schema besides the format.
        let refused = open_store(&schema.url).await.unwrap_err();
        assert!(matches!(&refused, OpenError::Newer(how) if how.contains("1000")), "{refused:?}");
        return;
    }
    let schema = Schema::fresh(kind).await.unwrap();
    let store = schema.open().await;
    let lease = store.lease().unwrap();
    let keeping = tokio::spawn(async move { lease.keep().await });
    let versions = if kind == Kind::Postgres { "_sqlx_migrations" } else { "cutover_schema" };
    schema.sql(&format!("UPDATE {versions} SET version = 0")).await;
    let refused = open_store(&schema.url).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Unavailable(why) if why.contains("the suite leads there")),
        "{refused:?}"
    );
    assert!(!keeping.is_finished(), "it still leads");
    keeping.abort();
}
