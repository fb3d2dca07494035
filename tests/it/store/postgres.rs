//! The suite on PostgreSQL, and what only that has.

use std::time::Duration;

use cutover::store::{Error, InstanceRecord, OpenError, TokenChange, Upkeep, open_store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Place as _,
    chain::followed,
    proxy::Proxy,
    schema::{Kind, Schema},
    servers::{revoked, token},
    suite,
    waits::put,
};
use crate::support::{create, describe, key, make, server::given};

/// Without the schema.
fn server_of(url: &str) -> &str {
    url.split_once('?').unwrap().0
}

suite!(Schema::fresh(Kind::Postgres).await);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_leader_waits_for_a_commit_under_way_but_a_frozen_one_is_ended() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let term = store.lease().unwrap().term().unwrap();
    // As a leader that was frozen in mid-transaction, with its settings.
    let mut frozen = PgConnection::connect(server_of(&schema.url)).await.unwrap();
    let begun = format!(
        "SET search_path = {}; SET idle_in_transaction_session_timeout = 2000; BEGIN;
         SELECT epoch FROM leader WHERE epoch = {} FOR KEY SHARE; UPDATE counter SET revision = 2",
        schema.name, term.epoch
    );
    frozen.execute(sqlx::raw_sql(AssertSqlSafe(begun))).await.unwrap();
    let lease = store.lease().unwrap();
    assert!(timeout(Duration::from_secs(1), lease.keep()).await.is_err(), "beats do not wait for it");
    let next = schema.follower().await;
    let began = std::time::Instant::now();
    timeout(Duration::from_secs(9), next.lease().unwrap().lead("next", |_| {})).await.expect("in the end");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    frozen.execute("COMMIT").await.expect_err("the server has ended it");
    assert_eq!(next.snapshot().await.unwrap().revision, 1, "it is not there");
    make(&*next, &key("orders"), &describe("goes on")).await;
    assert_eq!(followed(&*next, 10).await.0.revision, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_told_without_the_password() {
    let Some(server) = given("CUTOVER_TEST_POSTGRES") else { return };
    for (url, says) in [
        (server.replace(":cutover@", ":wr0ng@"), "check user and password"),
        (server.replace("/postgres", "/nowhere"), "create it"),
        (server.replace("127.0.0.1:", "127.0.0.1:1"), "malformed URL"),
        ("postgres://ada:wr0ng@127.0.0.1:1/db".to_owned(), "refused"),
        (format!("{server}?schema=Not-A-Name"), "malformed schema"),
    ] {
        let error = open_store(&url).await.unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
        assert!(!error.contains("wr0ng") && !error.contains(":cutover@"), "{error}");
    }
    if let Some(standby) = given("CUTOVER_TEST_POSTGRES_STANDBY") {
        let error = open_store(&standby).await.unwrap_err().to_string();
        assert!(error.contains("primary"), "{error}");
    }
}

/// Makes commits of a change to a table do this.
async fn at_commit(schema: &Schema, of: &str, does: &str) {
    schema
        .sql(&format!(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER {of} DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION at_commit()"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_after_a_write_of_unknown_outcome_stays_removed() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    at_commit(&schema, "INSERT ON instances", "PERFORM pg_sleep(6)").await;
    let record = InstanceRecord::callers(&key("orders"));
    let upkeep = put(&record);
    let lost = async { store.keep(&upkeep).await };
    let hangs = async {
        sleep(Duration::from_secs(2)).await;
        proxy.hang();
    };
    let (lost, ()) = tokio::join!(lost, hangs);
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    let remove = Upkeep { remove_instances: vec![record.label()], ..Upkeep::default() };
    first.keep(&remove).await.expect("it waits for the commit under way");
    assert!(first.snapshot().await.unwrap().instances.is_empty());
    sleep(Duration::from_secs(3)).await;
    assert!(first.snapshot().await.unwrap().instances.is_empty(), "nor does it appear later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_revocation_has_an_unknown_outcome_is_not_read_as_valid() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
    let (first, proxy, store) = schema.behind_proxy().await;
    let event = revoked();
    let made = TokenChange { expected: None, record: Some(token()), event: event.clone() };
    first.change_token(&made).await.unwrap();
    at_commit(&schema, "DELETE ON tokens", "PERFORM pg_sleep(6)").await;
    let revoke = TokenChange { expected: Some("1".to_owned()), record: None, event };
    let hangs = async {
        sleep(Duration::from_secs(2)).await;
        proxy.hang();
    };
    let (lost, ()) = tokio::join!(store.change_token(&revoke), hangs);
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    assert_eq!(first.tokens().await.unwrap(), [], "it waits for the change under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_commit_is_believed_only_if_it_is_about_the_transaction() {
    for (code, is_sure) in [("P0001", true), ("57000", false), ("XX000", false)] {
        let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
        let store = schema.open().await;
        at_commit(&schema, "INSERT ON instances", &format!("RAISE EXCEPTION 'no' USING ERRCODE = '{code}'"))
            .await;
        let refused = store.keep(&put(&InstanceRecord::callers(&key("orders")))).await;
        match refused {
            Err(Error::Unavailable(_)) => assert!(is_sure, "{code}"),
            Err(Error::Unknown(_)) => assert!(!is_sure, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

/// The server has read the statement, and waits for its end. That ends by no timeout before PostgreSQL 17.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_within_a_statement_is_ended_by_the_next_one_and_nobody_else_is() {
    let Some(mut schema) = Schema::fresh(Kind::Postgres).await else { return };
    // As a user that may not end everybody's sessions.
    schema.by_a_role().await;
    let mut bystander = PgConnection::connect(server_of(&schema.url)).await.unwrap();
    let first = schema.open().await;
    make(&*first, &key("orders"), &create()).await;
    let (proxy, url) = Proxy::before(server_of(&schema.url)).await;
    let mut frozen = PgConnection::connect(&url).await.unwrap();
    let term = first.lease().unwrap().term().unwrap();
    let begun = format!(
        "SET search_path = {}; SET idle_in_transaction_session_timeout = 2000; SET statement_timeout = 1000; BEGIN;
         SELECT epoch FROM leader WHERE epoch = {} FOR KEY SHARE",
        schema.name, term.epoch
    );
    frozen.execute(sqlx::raw_sql(AssertSqlSafe(begun))).await.unwrap();
    // Prepared first, so that the end of the next message is that of its values.
    let query = || sqlx::query("SELECT $1::text").bind("x");
    query().execute(&mut frozen).await.unwrap();
    proxy.withhold_sync();
    let hangs = timeout(Duration::from_secs(4), query().execute(&mut frozen)).await;
    assert!(hangs.is_err(), "no timeout of the server ends it: {hangs:?}");
    let next = schema.follower().await;
    let began = Instant::now();
    timeout(Duration::from_secs(9), next.lease().unwrap().lead("next", |_| {})).await.expect("it takes over");
    eprintln!("takes over from a leader that is frozen within a statement after {:?}", began.elapsed());
    bystander.ping().await.expect("it blocked nobody");
    make(&*next, &key("orders"), &describe("goes on")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_may_be_made_by_somebody_else_and_a_database_has_to_be_in_utf_8() {
    let Some(mut schema) = Schema::fresh(Kind::Postgres).await else { return };
    schema.by_a_role().await;
    let (user, url) = (&schema.name, &schema.url);
    open_store(url).await.expect("the schema is there");
    let refused = open_store(&url.replace("?schema=", "?schema=other_")).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Place(why) if why.contains("a schema that is there")),
        "{refused:?}"
    );

    let mut admin = PgConnection::connect(&given("CUTOVER_TEST_POSTGRES").unwrap()).await.unwrap();
    let make = format!("CREATE DATABASE {user} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    admin.execute(sqlx::raw_sql(AssertSqlSafe(make))).await.unwrap();
    let refused = open_store(&server_of(url).replace("/postgres", &format!("/{user}"))).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Place(why) if why.contains("LATIN1")), "{refused:?}");
    admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {user}")))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_session_is_refused() {
    let Some(schema) = Schema::fresh(Kind::Postgres).await else { return };
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
