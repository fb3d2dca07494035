//! What waits for what in PostgreSQL, and for how long: other writes, dead connections, frozen leaders, slow networks.

use std::{sync::Arc, time::Duration};

use cutover::{
    domain::{Change, Counts, Deletion, Role, Scale, WindowId},
    store::{
        CALL, Counted, Error, HeardRecord, InstanceRecord, OpenError, Store, TokenChange, TokenRecord,
        Upkeep, WindowQuery, open_store,
    },
};
use cutover_core::routing::Rung;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Place as _,
    postgres::{Schema, revoked},
    proxy::Proxy,
};
use crate::support::{commit, create, describe, key, make, pin, server::given};

/// A store behind a proxy, in the term of another one.
async fn behind_proxy(schema: &Schema) -> (Arc<dyn Store>, Proxy, Arc<dyn Store>) {
    let first = schema.open().await;
    make(&*first, &key("orders"), &create()).await;
    let (proxy, url) = Proxy::before(&schema.url).await;
    let store = open_store(&url).await.unwrap();
    store.lease().unwrap().join(first.lease().unwrap().term().unwrap());
    (first, proxy, store)
}

/// A session in the schema, in a transaction that has done this.
async fn holding(schema: &Schema, sql: &str) -> PgConnection {
    let mut holds = PgConnection::connect(&schema.server).await.unwrap();
    let sql = format!("SET search_path = {}; BEGIN; {sql}", schema.name);
    holds.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    holds
}

/// Makes the schema, and has it used by a role that owns it, and has no other rights.
async fn by_a_role(schema: &mut Schema) {
    let name = &schema.name;
    let make =
        format!("CREATE ROLE {name} LOGIN PASSWORD 'cutover'; CREATE SCHEMA {name} AUTHORIZATION {name}");
    schema.sql(&make).await;
    let user = format!("//{name}:");
    schema.url = schema.url.replace("//cutover:", &user);
    schema.server = schema.server.replace("//cutover:", &user);
}

fn counted() -> Counted {
    let id = WindowId { key: key("orders"), scale: Scale::Minute, at: 60 };
    let heard = HeardRecord { instance_id: "a".to_owned(), ..HeardRecord::default() };
    let windows = vec![(id, Counts { revision: 1, ..Counts::default() })];
    Counted { windows, heard: vec![heard], ..Counted::default() }
}

fn put(record: &InstanceRecord) -> Upkeep {
    Upkeep { put_instances: vec![record.clone()], ..Upkeep::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_do_not_wait_for_telemetry_and_a_deletion_leaves_none_of_it() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let mut holds = holding(&schema, "INSERT INTO heard (id, record) VALUES ('a', '{}')").await;
    let counting = tokio::spawn({
        let store = store.clone();
        async move { store.count(&counted()).await }
    });
    sleep(Duration::from_millis(500)).await;
    let deletion = Change::Delete(Deletion::default());
    let state = store.snapshot().await.unwrap();
    let delete = commit(Some(&state.migrations[0]), &key("orders"), &deletion, 3);
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&delete).await }
    });
    let began = Instant::now();
    make(&*store, &key("carts"), &create()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(!counting.is_finished() && !deleting.is_finished());
    holds.execute("ROLLBACK").await.unwrap();
    counting.await.unwrap().unwrap();
    deleting.await.unwrap().unwrap();
    let query = WindowQuery { key: key("orders"), scale: Scale::Minute, from: 0, before: u64::MAX };
    assert_eq!(store.windows(&query).await.unwrap(), [], "they went with the migration");
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
    let Some(schema) = Schema::fresh() else { return };
    let (first, proxy, store) = behind_proxy(&schema).await;
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
    let Some(schema) = Schema::fresh() else { return };
    let (first, proxy, store) = behind_proxy(&schema).await;
    let record = TokenRecord {
        name: "ada".to_owned(),
        roles: vec![Role::Admin],
        migrations: Vec::new(),
        hash: "1".to_owned(),
        created_ms: 1,
        created_by: String::new(),
        expires_ms: None,
        previous: None,
        used_ms: 0,
    };
    let event = revoked();
    let made = TokenChange { expected: None, record: Some(record), event: event.clone() };
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
async fn what_is_published_does_not_wait_for_what_people_read() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let mut holds = holding(&schema, "LOCK TABLE token_events").await;
    let reads = futures::future::join_all((0..8).map(|_| store.token_events(u64::MAX, 1)));
    let published = async {
        sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        assert_eq!(store.changes(0, 10).await.unwrap().len(), 1);
        store.ping().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        holds.execute("ROLLBACK").await.unwrap();
    };
    let (read, ()) = tokio::join!(reads, published);
    assert!(read.iter().all(Result::is_ok), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_commit_is_believed_only_if_it_is_about_the_transaction() {
    for (code, is_sure) in [("P0001", true), ("57000", false), ("XX000", false)] {
        let Some(schema) = Schema::fresh() else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_hang_are_replaced() {
    let Some(schema) = Schema::fresh() else { return };
    let (first, proxy, store) = behind_proxy(&schema).await;
    let state = store.snapshot().await.unwrap();
    // Every connection is open.
    let read = futures::future::join_all((0..8).map(|_| store.snapshot())).await;
    assert!(read.iter().all(Result::is_ok));
    store.count(&counted()).await.unwrap();
    let record = InstanceRecord::callers(&key("orders"));
    store.keep(&put(&record)).await.unwrap();
    let change = commit(Some(&state.migrations[0]), &key("orders"), &describe("before"), 2);
    store.commit(&change).await.unwrap();
    // As after a network device forgot them: nobody is told.
    proxy.freeze();
    let began = Instant::now();
    let (telemetry, records) = (counted(), put(&record));
    let (read, counted, kept) = (
        futures::future::join_all((0..8).map(|_| store.snapshot())),
        store.count(&telemetry),
        store.keep(&records),
    );
    let (read, counted, kept, made) = tokio::join!(read, counted, kept, async {
        let state = first.snapshot().await.unwrap();
        store.commit(&commit(Some(&state.migrations[0]), &key("orders"), &describe("after"), 3)).await
    });
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    counted.unwrap();
    kept.unwrap();
    made.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_with_the_term() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let read = store.snapshot().await.unwrap();
    let mut holds = holding(&schema, "SELECT FROM counter FOR UPDATE; LOCK TABLE events").await;
    let change = commit(Some(&read.migrations[0]), &key("orders"), &describe("waits"), 2);
    let calls = async { tokio::join!(store.commit(&change), store.changes(0, 10)) };
    let ends = async {
        sleep(Duration::from_secs(1)).await;
        let lease = store.lease().unwrap();
        lease.depose(&lease.term().unwrap());
        Instant::now()
    };
    let ((committed, changes), ended) = tokio::join!(calls, ends);
    assert!(matches!(committed, Err(Error::Unavailable(_))), "{committed:?}");
    assert!(matches!(changes, Err(Error::Unavailable(_))), "{changes:?}");
    assert!(ended.elapsed() < Duration::from_millis(500), "{:?}", ended.elapsed());
    // What is asked in no term ends soon as well.
    let began = Instant::now();
    let refused = store.changes(0, 10).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < CALL + Duration::from_millis(500), "{:?}", began.elapsed());
    holds.execute("ROLLBACK").await.unwrap();
}

/// The server has read the statement, and waits for its end. That ends by no timeout before PostgreSQL 17.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_within_a_statement_is_ended_by_the_next_one_and_nobody_else_is() {
    let Some(mut schema) = Schema::fresh() else { return };
    // As a user that may not end everybody's sessions.
    by_a_role(&mut schema).await;
    let mut bystander = PgConnection::connect(&schema.server).await.unwrap();
    let first = schema.open().await;
    make(&*first, &key("orders"), &create()).await;
    let (proxy, url) = Proxy::before(&schema.server).await;
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
async fn a_large_change_may_take_long_to_arrive() {
    let Some(schema) = Schema::fresh() else { return };
    let (_first, proxy, store) = behind_proxy(&schema).await;
    let read = store.snapshot().await.unwrap();
    let tenants = (0..20_000).map(|at| format!("{at:0>200}"));
    let change = commit(Some(&read.migrations[0]), &key("orders"), &pin(tenants, Rung::Dual), 2);
    proxy.slow(2_500);
    let began = Instant::now();
    store.commit(&change).await.unwrap();
    // Longer than an idle transaction may last.
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_may_be_made_by_somebody_else_and_a_database_has_to_be_in_utf_8() {
    let Some(mut schema) = Schema::fresh() else { return };
    let (user, server) = (schema.name.clone(), schema.server.clone());
    by_a_role(&mut schema).await;
    let url = schema.url;
    open_store(&url).await.expect("the schema is there");
    let refused = open_store(&url.replace("?schema=", "?schema=other_")).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Place(why) if why.contains("a schema that is there")),
        "{refused:?}"
    );

    let mut admin = PgConnection::connect(&given("CUTOVER_TEST_POSTGRES").unwrap()).await.unwrap();
    let make = format!("CREATE DATABASE {user} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    admin.execute(sqlx::raw_sql(AssertSqlSafe(make))).await.unwrap();
    let refused = open_store(&server.replace("/postgres", &format!("/{user}"))).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Place(why) if why.contains("LATIN1")), "{refused:?}");
    admin.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {user}")))).await.unwrap();
}
