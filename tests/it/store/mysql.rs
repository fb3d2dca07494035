//! The suite on MariaDB, and what only that has.

use std::time::Duration;

use cutover::store::{Error, InstanceRecord, Leader, OpenError, TokenChange, Upkeep, open_store};
use cutover_core::routing::Rung;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Place as _,
    chain::followed,
    schema::{Kind, Schema, Session},
    servers::{revoked, token},
    suite,
    waits::put,
};
use crate::support::{commit, create, database::Database, describe, key, make, pin, server::given};

suite!(Schema::fresh(Kind::MySql).await);

/// Its writes get so far: all of a statement, or all of it but the last byte. As a user who may end nobody's sessions.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_a_leader_that_is_frozen_in_or_between_statements() {
    futures::future::join_all([0, 1].map(frozen_in_a_commit)).await;
}

async fn frozen_in_a_commit(withheld: usize) {
    let Some(mut schema) = Schema::fresh(Kind::MySql).await else { return };
    schema.by_a_role().await;
    let (first, proxy, store) = schema.behind_proxy().await;
    let read = first.snapshot().await.unwrap();
    let change = commit(Some(&read.migrations[0]), &key("orders"), &describe("frozen"), 2);
    proxy.stall_at("UPDATE counter SET revision", withheld);
    let frozen = tokio::spawn(async move { store.commit(&change).await });
    sleep(Duration::from_millis(500)).await;
    // It holds the fence, and beats do not wait for that.
    let lease = first.lease().unwrap();
    assert!(timeout(Duration::from_secs(1), lease.keep()).await.is_err());
    let began = Instant::now();
    let next = schema.leads_next().await;
    eprintln!("takes over from a leader frozen in a commit ({withheld}) after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(next.snapshot().await.unwrap().revision, 1, "it is not there");
    make(&*next, &key("orders"), &describe("goes on")).await;
    assert_eq!(followed(&*next, 10).await.0.revision, 2);
    assert!(!frozen.is_finished());
    frozen.abort();
}

/// A session that keeps every commit of a server from ending.
async fn without_commits(database: &Database) -> Session {
    let mut blocks = Session::of(&database.url).await;
    for stage in ["START", "BLOCK_COMMIT"] {
        blocks.execute(&format!("BACKUP STAGE {stage}")).await.unwrap();
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_write_of_unknown_outcome_waits_for_it() {
    let Some(database) = Database::start(Kind::MySql).await else { return };
    let schema = Schema::over(&database);
    let (first, proxy, store) = schema.behind_proxy().await;
    let record = InstanceRecord::callers(&key("orders"));
    let put = put(&record);
    let remove = Upkeep { remove_instances: vec![record.label()], ..Upkeep::default() };
    let made = TokenChange { expected: None, record: Some(token()), event: revoked() };
    first.change_token(&made).await.unwrap();
    let revoke = TokenChange { expected: Some("1".to_owned()), record: None, event: revoked() };
    for is_token in [false, true] {
        let mut blocks = without_commits(&database).await;
        let write =
            async { if is_token { store.change_token(&revoke).await } else { store.keep(&put).await } };
        // Otherwise the server notices that nobody waits for the answer any more, and rolls back.
        let hangs = async {
            sleep(Duration::from_secs(2)).await;
            proxy.hang();
        };
        let (lost, ()) = tokio::join!(write, hangs);
        assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
        let unblock = async {
            sleep(Duration::from_millis(500)).await;
            blocks.execute("BACKUP STAGE END").await.unwrap();
        };
        if is_token {
            let (tokens, ()) = tokio::join!(first.tokens(), unblock);
            assert_eq!(tokens.unwrap(), [], "a plain read would see it as before");
        } else {
            let (removed, ()) = tokio::join!(first.keep(&remove), unblock);
            removed.expect("it waits for the commit under way");
            assert!(first.snapshot().await.unwrap().instances.is_empty(), "nor does it appear later");
        }
        proxy.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_killed_half_way_is_finished() {
    let Some(schema) = Schema::fresh(Kind::MySql).await else { return };
    let tables = |sql: &str| {
        sql.split("\nCREATE TABLE IF NOT EXISTS ")
            .skip(1)
            .map(|table| table.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = tables(include_str!("../../../migrations/mysql/0001_initial.sql"));
    assert_eq!(all.len(), 14, "{all:?}");
    let mut history_id = schema.follower().await.snapshot().await.unwrap().history_id;
    // As if it had been killed after each of them: what is there already stays as it is.
    for made in 0..=all.len() {
        let later = all[made..].iter().map(|table| format!("DROP TABLE {table};")).collect::<String>();
        schema.sql(&format!("{later} DELETE FROM cutover_schema")).await;
        let store = schema.follower().await;
        let again = store.snapshot().await.unwrap().history_id;
        assert_eq!(again == history_id, made > 0, "{made}: the counter is the first");
        history_id = again;
    }
    // Any user of the server can take this lock, so who has nothing to make does not wait for it.
    let _locks = schema.holding("DO get_lock(concat('cutover ', md5(database())), 0)").await;
    let store = timeout(Duration::from_secs(5), schema.open()).await.expect("it opens");
    make(&*store, &key("orders"), &create()).await;
}

/// As after somebody restored one table alone.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_the_seat_takes_the_fence_whatever_it_says() {
    let Some(schema) = Schema::fresh(Kind::MySql).await else { return };
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    schema.sql("UPDATE fence SET epoch = 77, holder = 'somebody'").await;
    let read = store.snapshot().await.unwrap_err();
    assert!(matches!(&read, Error::Unavailable(why) if why.contains("leads")), "{read:?}");
    make(&*schema.leads_next().await, &key("orders"), &describe("goes on")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_of_a_lock_is_damage() {
    let Some(schema) = Schema::fresh(Kind::MySql).await else { return };
    let store = schema.open().await;
    schema.sql("DELETE FROM orders").await;
    let put = put(&InstanceRecord::callers(&key("orders")));
    let refused = store.keep(&put).await;
    assert!(matches!(&refused, Err(Error::Corrupt(why)) if why.contains("row of orders")), "{refused:?}");
    schema
        .sql("INSERT INTO orders (id) VALUES (1), (2); UPDATE leader SET holder = ''; DELETE FROM fence")
        .await;
    let next = schema.follower().await;
    let mut saw = Vec::new();
    let lease = next.lease().unwrap();
    let lead = lease.lead("nobody", |leader| saw.push(leader.clone()));
    assert!(timeout(Duration::from_secs(3), lead).await.is_err());
    assert!(matches!(saw.last(), Some(Leader::Unknown(why)) if why.contains("row of fence")), "{saw:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_compared_by_their_bytes() {
    let Some(schema) = Schema::fresh(Kind::MySql).await else { return };
    let store = schema.open().await;
    let records: Vec<_> = ["a", "A", "a ", "\u{e4}", "a\u{308}", "\u{df}", "ss"]
        .into_iter()
        .map(|id| InstanceRecord { instance_id: id.to_owned(), ..InstanceRecord::default() })
        .collect();
    let all = Upkeep { put_instances: records.clone(), ..Upkeep::default() };
    store.keep(&all).await.unwrap();
    let mut sorted = records.clone();
    sorted.sort_by(|one, other| one.instance_id.cmp(&other.instance_id));
    assert_eq!(store.snapshot().await.unwrap().instances, sorted);
    let remove = Upkeep { remove_instances: vec!["a ".to_owned()], ..Upkeep::default() };
    store.keep(&remove).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap().instances.len(), records.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_is_told_without_the_password() {
    let Some(server) = given("CUTOVER_TEST_MYSQL") else { return };
    for (url, says) in [
        (server.replace(":cutover@", ":wr0ng@"), "check user and password"),
        (server.rsplit_once('/').unwrap().0.to_owned() + "/nowhere", "create it"),
        (server.replace("127.0.0.1:", "127.0.0.1:1"), "malformed URL"),
        ("mysql://ada:wr0ng@127.0.0.1:1/db".to_owned(), "refused"),
    ] {
        let error = open_store(&url).await.unwrap_err().to_string();
        assert!(error.contains(says), "{url}: {error}");
        assert!(!error.contains("wr0ng") && !error.contains(":cutover@"), "{error}");
    }
}

/// As at a switchover. Its user may write all the same.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_at_a_server_that_was_made_read_only() {
    let Some(database) = Database::start(Kind::MySql).await else { return };
    let schema = Schema::over(&database);
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let mut admin = schema.session().await;
    admin.execute("SET GLOBAL read_only = ON").await.unwrap();
    let read = store.snapshot().await.unwrap_err();
    assert!(matches!(&read, Error::Unavailable(why) if why.contains("leads")), "{read:?}");
    let lease = store.lease().unwrap();
    let mut saw = Vec::new();
    let lead = lease.lead("again", |leader| saw.push(leader.clone()));
    assert!(timeout(Duration::from_secs(6), lead).await.is_err());
    assert!(matches!(saw.last(), Some(Leader::Unknown(why)) if why.contains("read_only is")), "{saw:?}");
    admin.execute("SET GLOBAL read_only = OFF").await.unwrap();
    timeout(Duration::from_secs(9), lease.lead("again", |_| {})).await.expect("it leads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_or_may_lose_them_is_refused() {
    let Some(database) = Database::start(Kind::MySql).await else { return };
    let schema = Schema::over(&database);
    let store = schema.open().await;
    make(&*store, &key("orders"), &create()).await;
    let mut admin = schema.session().await;
    for (off, on, says) in [
        ("read_only = ON", "read_only = OFF", "primary's address"),
        ("innodb_flush_log_at_trx_commit = 2", "innodb_flush_log_at_trx_commit = 1", "set it to 1"),
        ("max_allowed_packet = 16777216", "max_allowed_packet = 67108864", "67108864 or more"),
    ] {
        admin.execute(&format!("SET GLOBAL {off}")).await.unwrap();
        let refused = schema.open_error().await;
        assert!(matches!(&refused, OpenError::Unavailable(why) if why.contains(says)), "{refused:?}");
        admin.execute(&format!("SET GLOBAL {on}")).await.unwrap();
    }
    schema.sql("ALTER TABLE heard ENGINE = MyISAM").await;
    let refused = schema.open_error().await;
    assert!(matches!(&refused, OpenError::Place(why) if why.contains("table heard")), "{refused:?}");
    schema.sql("ALTER TABLE heard ENGINE = InnoDB").await;

    // A change of more rows than a statement takes.
    let tenants = || (0..25_000).map(|at| format!("{at:0>200}"));
    let read = store.snapshot().await.unwrap();
    let pins = pin(tenants(), Rung::Dual);
    store.commit(&commit(Some(&read.migrations[0]), &key("orders"), &pins, 2)).await.unwrap();
    let read = store.snapshot().await.unwrap();
    assert_eq!(read.migrations[0].tenants.len(), tenants().count());

    // One that does not fit into a message is refused in words, and the connection goes on.
    let mut large = commit(Some(&read.migrations[0]), &key("orders"), &describe("large"), 3);
    large.event.summary = vec!["large".repeat(14 << 20)];
    let refused = store.commit(&large).await;
    let says = "max_allowed_packet is 67108864";
    assert!(matches!(&refused, Err(Error::Unavailable(why)) if why.contains(says)), "{refused:?}");
    make(&*store, &key("orders"), &describe("small")).await;

    // It can be raised while the controller runs.
    admin.execute("SET GLOBAL max_allowed_packet = 268435456").await.unwrap();
    large.expected = Some(3);
    large.event.revision = 4;
    store.commit(&large).await.unwrap();
}

/// As an administrator may set them for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_server_change_no_session() {
    let Some(database) = Database::start(Kind::MySql).await else { return };
    let schema = Schema::over(&database);
    let mut admin = schema.session().await;
    for others in ["completion_type = CHAIN", "completion_type = 'RELEASE'", "completion_type = NO_CHAIN"] {
        admin.execute(&format!("SET GLOBAL {others}")).await.unwrap();
        for others in ["sql_select_limit = 1", "max_join_size = 1", "unique_checks = 0", "autocommit = 0"] {
            admin.execute(&format!("SET GLOBAL {others}")).await.unwrap();
        }
        let store = schema.follower().await;
        let lease = store.lease().unwrap();
        timeout(Duration::from_secs(9), lease.lead("it", |_| {})).await.expect("it leads");
        let records =
            ["a", "b"].map(|id| InstanceRecord { instance_id: id.to_owned(), ..InstanceRecord::default() });
        let put = Upkeep { put_instances: records.to_vec(), ..Upkeep::default() };
        store.keep(&put).await.unwrap();
        assert_eq!(store.snapshot().await.unwrap().instances, records, "{others}");
        // Its beats are committed.
        let beat = store.lease().unwrap();
        assert!(timeout(Duration::from_secs(4), beat.keep()).await.is_err(), "{others}");
        let mut other = schema.session().await;
        other.execute("SET sql_big_selects = 1, completion_type = 0").await.unwrap();
        let free = other.execute("SELECT 1 FROM leader WHERE beat > 0 FOR UPDATE NOWAIT; ROLLBACK").await;
        free.unwrap_or_else(|error| panic!("{others}: {error}"));
        lease.vacate().await;
    }
}
