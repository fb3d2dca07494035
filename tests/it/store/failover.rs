//! PostgreSQL after a failover, a restore or an upgrade: who may lead, and what is noticed.

use std::{sync::Arc, time::Duration};

use cutover::store::{Error, Leader, OpenError, Store, open_store};
use tokio::time::timeout;

use super::{Place as _, postgres::Schema};
use crate::support::{commit, create, describe, key, make, server::given};

async fn leads_next(schema: &Schema) -> Arc<dyn Store> {
    let next = schema.follower().await;
    timeout(Duration::from_secs(9), next.lease().unwrap().lead("next", |_| {})).await.expect("it leads");
    next
}

/// As after a failover: the tables are those that the leader knows, the timeline is another one.
#[tokio::test(flavor = "multi_thread")]
async fn another_timeline_ends_the_term_and_holds_everybody() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let before = store.snapshot().await.unwrap();
    assert_eq!(before.restored, None);
    let lease = store.lease().unwrap();
    schema.sql("UPDATE leader SET database = '7/00000001'").await;
    let why = timeout(Duration::from_secs(2), lease.keep()).await.expect("its beats end");
    assert!(why.contains("another controller"), "{why}");

    let next = leads_next(&schema).await;
    let after = next.snapshot().await.unwrap();
    let why = after.restored.expect("it has to be confirmed");
    assert!(why.contains("7/00000001") && after.put_back, "{why}");
    assert_ne!(after.history_id, before.history_id);
    next.lease().unwrap().vacate().await;
    let last = leads_next(&schema).await.snapshot().await.unwrap();
    assert_eq!(last.history_id, after.history_id, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_reads_of_a_term_are_refused_where_it_is_not_known() {
    for other in ["database = '7/00000001'", "epoch = epoch + 1, holder = ''"] {
        let Some(schema) = Schema::fresh() else { return };
        let first = schema.open().await;
        make(&*first, &key("orders"), &create()).await;
        let read = first.snapshot().await.unwrap();
        let late = commit(Some(&read.migrations[0]), &key("orders"), &describe("late"), read.revision + 1);
        // Each of them ends the term, as far as its store knows.
        let mut stores = Vec::new();
        for _ in 0..5 {
            stores.push(schema.open().await);
        }
        schema.sql(&format!("UPDATE leader SET {other}")).await;
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
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_remembers_more_ends_its_term_and_holds_everybody() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    for change in [create(), describe("lost")] {
        make(&*store, &key("orders"), &change).await;
    }
    let history = store.snapshot().await.unwrap().history_id;
    let lose = "DELETE FROM events WHERE revision = 2; UPDATE counter SET revision = 1;
                UPDATE migrations SET revision = 1";
    schema.sql(lose).await;
    let refused = store.changes(2, 10).await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(why) if why.contains("has seen revision 2")), "{refused}");
    assert!(!store.lease().unwrap().is_held());
    let after = leads_next(&schema).await.snapshot().await.unwrap();
    assert!(after.restored.is_some_and(|why| why.contains("revision 2")) && after.put_back);
    assert_ne!(after.history_id, history);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_never_leads_again_and_migrates_nothing_that_is_led() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    schema.sql("UPDATE leader SET format = 1000").await;
    let lease = store.lease().unwrap();
    lease.vacate().await;
    let refused = lease.lead_or_refuse("the older one").await;
    assert!(
        matches!(&refused, Err(Leader::Unknown(why)) if why.contains("newer cutover") && why.contains("1000")),
        "{refused:?}"
    );

    let schema = Schema::fresh().unwrap();
    let store = schema.open().await;
    let lease = store.lease().unwrap();
    let keeping = tokio::spawn(async move { lease.keep().await });
    schema.sql("UPDATE _sqlx_migrations SET version = 0").await;
    let refused = open_store(&schema.url).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Unavailable(why) if why.contains("the suite leads there")),
        "{refused:?}"
    );
    assert!(!keeping.is_finished(), "it still leads");
    keeping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_session_is_refused() {
    let Some(schema) = Schema::fresh() else { return };
    let url = format!("{}&options=-c%20default_transaction_read_only%3Don", schema.url);
    let refused = open_store(&url).await.unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_refused() {
    for pooler in ["CUTOVER_TEST_PGBOUNCER_TRANSACTION", "CUTOVER_TEST_PGBOUNCER_SESSION"] {
        let Some(url) = given(pooler) else { return };
        let refused = open_store(&url).await.unwrap_err().to_string();
        assert!(refused.contains("not through a pooler"), "{refused}");
    }
}
