//! The suite on PostgreSQL, and what a leader may not do any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use cutover::store::{
    Counted, Error, Expired, OpenError, Store, Term, TokenChange, TokenEvent, Upkeep, open_store,
};
use cutover_core::routing::Rung;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::{sync::Mutex, time::timeout};

use super::{Place, chain::followed, proxy::Proxy, suite};
use crate::support::{commit, create, describe, key, make, pin, server::given};

/// A schema of its own. All who open it act in one term, as the tasks of a leader do.
pub struct Schema {
    pub url: String,
    pub name: String,
    pub server: String,
    term: Mutex<Option<Term>>,
}

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

impl Schema {
    pub fn fresh() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = given("CUTOVER_TEST_POSTGRES")?;
        let name = format!("it_{}_{}", std::process::id(), NUMBER.fetch_add(1, SeqCst));
        Some(Self { url: format!("{server}?schema={name}"), name, server, term: Mutex::default() })
    }

    /// Statements in the schema.
    pub async fn sql(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.server).await.unwrap();
        let sql = format!("SET search_path = {}; {sql}", self.name);
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Without a term.
    pub async fn follower(&self) -> Arc<dyn Store> {
        open_store(&self.url).await.unwrap()
    }

    async fn open_error(&self) -> OpenError {
        let error = open_store(&self.url).await.unwrap_err();
        assert!(!error.to_string().contains('\n') && !error.to_string().contains(":cutover@"), "{error}");
        error
    }
}

#[async_trait]
impl Place for Schema {
    async fn open(&self) -> Arc<dyn Store> {
        let store = self.follower().await;
        let lease = store.lease().unwrap();
        let mut term = self.term.lock().await;
        match &*term {
            Some(term) => lease.join(term.clone()),
            None => {
                lease.lead("the suite", |_| {}).await;
                *term = lease.term();
            }
        }
        store
    }
}

suite!(Schema::fresh());

/// Takes over, although the leader lives.
async fn usurped(schema: &Schema) -> Arc<dyn Store> {
    schema.sql("UPDATE leader SET epoch = epoch + 1, holder = ''").await;
    let store = schema.follower().await;
    store.lease().unwrap().lead("the next one", |_| {}).await;
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_lead_writes_nothing() {
    let Some(schema) = Schema::fresh() else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_leader_waits_for_a_commit_under_way_but_a_frozen_one_is_ended() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let term = store.lease().unwrap().term().unwrap();
    // As a leader that was frozen in mid-transaction, with its settings.
    let mut frozen = PgConnection::connect(&schema.server).await.unwrap();
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

/// The next one to ask finds out, if anybody can: that a request is made once is a promise of its id.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_of_unknown_outcome() {
    let Some(schema) = Schema::fresh() else { return };
    let first = schema.open().await;
    make(&*first, &key("orders"), &create()).await;
    let (proxy, url) = Proxy::before(&schema.url).await;
    let store = open_store(&url).await.unwrap();
    store.lease().unwrap().join(first.lease().unwrap().term().unwrap());
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

#[tokio::test(flavor = "multi_thread")]
async fn many_open_a_new_schema_at_once() {
    let Some(schema) = Schema::fresh() else { return };
    let opened = futures::future::join_all((0..8).map(|_| open_store(&schema.url))).await;
    let ids = futures::future::join_all(
        opened.iter().map(async |store| store.as_ref().unwrap().snapshot().await.unwrap().history_id),
    );
    let ids = ids.await;
    assert!(ids.iter().all(|id| *id == ids[0] && id.len() == 32), "{ids:?}");
    let other = Schema::fresh().unwrap().open().await;
    assert_ne!(other.snapshot().await.unwrap().history_id, ids[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_not_ours_or_not_whole_is_left_alone() {
    let Some(schema) = Schema::fresh() else { return };
    schema.sql(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.recipes (name TEXT)", schema.name)).await;
    assert!(matches!(schema.open_error().await, OpenError::Foreign(_)));

    let schema = Schema::fresh().unwrap();
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    schema.sql("UPDATE counter SET revision = 7").await;
    assert!(matches!(schema.open_error().await, OpenError::Corrupt(_)));
    schema.sql("UPDATE counter SET revision = 1").await;
    schema.sql("UPDATE _sqlx_migrations SET checksum = '\\x00'").await;
    assert!(matches!(schema.open_error().await, OpenError::Corrupt(_)));

    let schema = Schema::fresh().unwrap();
    schema.follower().await;
    schema
        .sql("INSERT INTO _sqlx_migrations SELECT 1000, 'later', installed_on, true, '\\x00', 0 FROM _sqlx_migrations")
        .await;
    let error = schema.open_error().await;
    assert!(matches!(&error, OpenError::Newer(how) if how.contains("1000")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_reported_with_its_place() {
    let Some(schema) = Schema::fresh() else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    make(&*store, &key("orders"), &pin(["t7".to_owned()], Rung::Dual)).await;
    schema.sql("UPDATE tenants SET row = '{}' WHERE tenant = 't7'").await;
    let error = store.snapshot().await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("tenant t7")), "{error:?}");
    schema.sql("UPDATE events SET rows = '[[' WHERE revision = 2").await;
    let error = store.changes(0, 10).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt(how) if how.contains("revision 2")), "{error:?}");
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
