//! A real MySQL or MariaDB server, and what can be wrong with it.

use std::{sync::Arc, time::Duration};

use cutover_store::{Copied, MySqlStore, Put, Record, ServerOptions, Store, StoreError, Version};
use sqlx::{AssertSqlSafe, MySqlPool};

use super::{
    proxy::{Proxy, a_lost_answer_is_not_called_unwritten, a_lost_answer_of_several_is_not_called_unwritten},
    servers::{batch, id, is_written_when_given_again, options, record, sql, table},
    suite,
    unreadable::is_gone_past,
};

fn url() -> Option<String> {
    super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")
}

async fn create(url: &str, table: &str) -> MySqlStore {
    MySqlStore::create(url, table, options()).await.expect("created")
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let Some(url) = url() else { return };
    let (mut stores, mut tables) = (Vec::new(), Vec::new());
    for n in 0..=suite::STORES {
        tables.push(table(&format!("suite_{n}")));
        stores.push(create(&url, &tables[n]).await);
    }
    let same = create(&url, &tables[0]).await;
    suite::tables_have_identities(&stores[0], &same, &stores[1]).await;
    super::has_transactions(&same);
    suite::scans_in_order(&stores.pop().expect("one more")).await;
    suite::run(|| stores.pop().expect("one for each story")).await;
    let admin = MySqlPool::connect(&url).await.expect("connected");
    sql(&admin, format!("DROP TABLE {}", tables.join(","))).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_called_unwritten() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("answers"));
    let (proxy, far) = Proxy::before(&url).await;
    let near = create(&url, &table).await;
    let far = MySqlStore::open(&far, &*table, options()).await.expect("opened");
    a_lost_answer_is_not_called_unwritten(&far, &near, &proxy).await;
    proxy.mend();
    // As a query of its own: setting up a connection has READ COMMITTED.
    a_lost_answer_of_several_is_not_called_unwritten(&far, &near, &proxy, "\u{3}COMMIT").await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_says_what_to_do() {
    let Some(url) = url() else { return };
    let (scheme, rest) = url.split_once("://").expect("a url");
    let (login, place) = rest.split_once('@').expect("with a user");
    let (user, password) = login.split_once(':').expect("and a password");
    let (address, database) = place.split_once('/').expect("and a database");
    let cases = [
        (format!("{scheme}://{user}:not{password}@{place}"), "records", "user: ", "check user and password"),
        (
            format!("{scheme}://{login}@127.0.0.1:1/{database}"),
            "records",
            "nothing was written",
            "is the server up",
        ),
        (
            format!("{scheme}://{login}@no.such.host.invalid/{database}"),
            "records",
            "nothing was written",
            "address right",
        ),
        (format!("{scheme}://{login}@{address}/no_such_database"), "records", "database: ", "create it"),
        (format!("{scheme}://{login}@{address}"), "records", "url: ", "names no database"),
        ("no url".to_owned(), "records", "url: ", "give mysql://"),
        (url.clone(), "no_such_table", "table: ", "create it"),
        (url.clone(), "x; DROP", "table: ", "no name"),
    ];
    for (url, table, field, advice) in cases {
        let error = MySqlStore::open(&url, table, options()).await.expect_err(advice).to_string();
        assert!(error.starts_with(field) && error.contains(advice), "{error}");
        assert!(!error.contains(password) || user == password, "no password in {error}");
    }
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_told_before_anything_is_written() {
    let Some(url) = url() else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let table = table("fit");
    let good = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, cutover_version BIGINT NOT NULL, \
                value LONGBLOB, PRIMARY KEY (tenant, `key`)";
    let text = "VARCHAR(256) CHARACTER SET latin1";
    let cases = [
        (good.replace("`key` VARBINARY(1024)", "`key` VARBINARY(20)"), "column key is varbinary(20)"),
        (good.replacen("VARBINARY(256)", text, 1), "column tenant is varchar(256)"),
        (good.replace("BIGINT", "INT"), "column cutover_version is int"),
        (good.replace("BIGINT", "BIGINT UNSIGNED"), "unsigned and has to be bigint"),
        (good.replace("LONGBLOB", "BLOB"), "column value is blob and has to be longblob"),
        (good.replace("LONGBLOB", "LONGBLOB NOT NULL"), "has to allow NULL"),
        (good.replace("value LONGBLOB", "content LONGBLOB"), "it has no column value"),
        (good.replace("(tenant, `key`)", "(`key`, tenant)"), "primary key is not"),
        (format!("{good}, UNIQUE (cutover_version)"), "second unique index"),
        (format!("{good}, owner INT NOT NULL"), "column owner is NOT NULL and has no default"),
    ];
    for (columns, told) in cases {
        sql(&admin, format!("CREATE TABLE {table} ({columns})")).await;
        let error = MySqlStore::create(&url, &table, options()).await.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
    sql(&admin, format!("CREATE TABLE {table} ({good}, note INT, made TIMESTAMP DEFAULT now())")).await;
    assert!(
        MySqlStore::open(&url, &table, options()).await.is_ok(),
        "columns that fill themselves do no harm"
    );
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn an_engine_without_transactions_is_refused_with_the_way_out() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("engine"));
    let refused = async |told: &str| {
        let error = MySqlStore::open(&url, &*table, options()).await.expect_err(told).to_string();
        assert!(error.starts_with("table: ") && error.contains(told), "{error}");
    };
    let good = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(512) NOT NULL, cutover_version BIGINT NOT NULL, \
                value LONGBLOB";
    let way_out = format!("ALTER TABLE `{table}` ENGINE = InnoDB");
    for engine in ["MyISAM", "Aria", "MyISAM PARTITION BY KEY (tenant) PARTITIONS 2"] {
        let columns = format!("{good}, PRIMARY KEY (tenant, `key`)");
        sql(&admin, format!("CREATE TABLE {table} ({columns}) ENGINE = {engine}")).await;
        refused(&way_out).await;
        sql(&admin, &*way_out).await;
        sql(&admin, format!("ALTER TABLE {table} MODIFY `key` VARBINARY(1024) NOT NULL")).await;
        assert!(MySqlStore::open(&url, &*table, options()).await.is_ok(), "{engine} before");
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
    for (columns, engine) in
        [(good.replace("LONGBLOB", "BLOB NOT NULL"), "CSV"), ("a INT".to_owned(), "MEMORY")]
    {
        sql(&admin, format!("CREATE TABLE {table} ({columns}) ENGINE = {engine}")).await;
        refused(&way_out).await;
        sql(&admin, format!("DROP TABLE {table}")).await;
    }
    sql(&admin, format!("CREATE VIEW {table} AS SELECT 1 AS tenant")).await;
    refused("is a view: name the table behind it").await;
    sql(&admin, format!("DROP VIEW {table}")).await;
}

#[tokio::test]
async fn columns_that_are_left_out_are_named() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("unmapped"));
    let store = create(&url, &table).await;
    assert_eq!(store.unmapped().await, Ok(Vec::new()));
    sql(&admin, format!("ALTER TABLE {table} ADD COLUMN note varchar(9)")).await;
    assert_eq!(store.unmapped().await, Ok(vec!["note (varchar(9))".to_owned()]));
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_scan_goes_past_what_others_wrote_and_nobody_can_read() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("unreadable"));
    let store = create(&url, &table).await;
    let good = batch(1);
    store.put_many_if_newer(&good).await.expect("written");
    // More of them than a page has rows, so that a page ends where there is no id.
    sql(&admin, format!(
        "INSERT INTO {table} (tenant, `key`, cutover_version, value) VALUES ('t', x'6b6579ff', 1, ''), ('', '', 1, ''), \
         ('', 'k', 1, ''), \
         (x'61000a', 'k', 1, ''), ('t', '', 1, ''), (x'c328', 'k', 1, '')"
    )).await;
    let many: Vec<String> = (1..=50).map(|n| format!("k{n}")).collect();
    let rows: Vec<String> = many.iter().map(|key| format!("(x'74ff', '{key}', 1, '')")).collect();
    sql(
        &admin,
        format!("INSERT INTO {table} (tenant, `key`, cutover_version, value) VALUES {}", rows.join(",")),
    )
    .await;
    let mut wrong = vec![
        ("t", "key\\xff", "key: it is not UTF-8"),
        ("", "", "tenant: "),
        ("", "k", "tenant: "),
        ("a\\0\\n", "k", "tenant: "),
        ("t", "", "key: "),
        ("\\xc3(", "k", "tenant: it is not UTF-8"),
    ];
    wrong.extend(many.iter().map(|key| ("t\\xff", key.as_str(), "tenant: it is not UTF-8")));
    is_gone_past(&store, &good, &wrong).await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_and_never_cut() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("cut"));
    let store = create(&url, &table).await;
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));
    let huge = Record { version: Version(2), value: Some(vec![7; 65 << 20]) };
    let error = store.put_if_newer(&id("k"), &huge).await.expect_err("larger than a statement may be");
    assert!(!error.may_apply() && error.to_string().contains("max_allowed_packet"), "{error}");

    sql(&admin, format!("ALTER TABLE {table} MODIFY value TINYBLOB")).await;
    let large = Record { version: Version(2), value: Some(vec![7; 300]) };
    for error in [
        store.put_if_newer(&id("k"), &large).await.expect_err("too long"),
        store.put_if_unchanged(&id("k"), &large, Some(Version(1))).await.expect_err("too long"),
        store.put_many_if_newer(&[(id("k"), large)]).await.expect_err("too long"),
    ] {
        assert!(matches!(error, StoreError::Permanent { .. }), "{error}");
        assert!(error.to_string().contains("make the column larger"), "{error}");
    }
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(1))));
    sql(&admin, format!("DROP TABLE {table}")).await;
    let error = store.put_if_newer(&id("k"), &record(3)).await.expect_err("gone");
    assert!(error.to_string().starts_with("table: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_in_mid_batch_loses_nothing() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("killed"));
    let store = Arc::new(create(&url, &table).await);
    store.put_many_if_newer(&batch(1)).await.expect("written");
    for kills in [1, 3] {
        let version = kills + 1;
        let mut lock = admin.begin().await.expect("begun");
        let held = format!("SELECT cutover_version FROM {table} WHERE `key` = 'key-50' FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(held)).execute(&mut *lock).await.expect("locked");
        let writing = store.clone();
        let writing = tokio::spawn(async move { writing.put_many_if_newer(&batch(version)).await });
        for _ in 0..kills {
            kill_writer(&admin, &table).await;
        }
        lock.rollback().await.expect("released");
        match writing.await.expect("no panic") {
            Ok(answers) => assert_eq!(answers, vec![Copied::Written; 100]),
            Err(error) => assert!(!matches!(error, StoreError::Permanent { .. }), "{error}"),
        }
        is_written_when_given_again(&*store, &batch(version)).await;
    }
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// Waits until a write to the table waits for its lock, and ends its connection; gives up when nobody writes
/// any more.
async fn kill_writer(admin: &MySqlPool, table: &str) {
    for _ in 0..2000 {
        let waiting = format!(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO `{table}`%'"
        );
        let found: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(waiting)).fetch_optional(admin).await.expect("told");
        if let Some(found) = found {
            // It may have ended meanwhile.
            let _ = sqlx::raw_sql(AssertSqlSafe(format!("KILL {found}"))).execute(admin).await;
            return;
        }
    }
}

#[tokio::test]
async fn what_a_put_has_written_is_told_beside_an_auto_increment() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("counted"));
    let store = create(&url, &table).await;
    sql(&admin, format!("ALTER TABLE {table} ADD n BIGINT NOT NULL AUTO_INCREMENT UNIQUE")).await;
    for key in ["one", "two"] {
        assert_eq!(store.put_if_newer(&id(key), &record(1)).await, Ok(Put::Applied));
        assert_eq!(store.put_if_newer(&id(key), &record(1)).await, Ok(Put::Present));
        assert_eq!(store.put_if_newer(&id(key), &record(2)).await, Ok(Put::Applied));
        assert_eq!(store.put_if_unchanged(&id(key), &record(3), Some(Version(2))).await, Ok(Put::Applied));
        assert_eq!(store.put_if_unchanged(&id(key), &record(3), Some(Version(2))).await, Ok(Put::Present));
    }
    assert_eq!(store.put_if_unchanged(&id("three"), &record(3), None).await, Ok(Put::Applied));
    assert_eq!(store.put_if_unchanged(&id("three"), &record(3), None).await, Ok(Put::Present));
    store.close().await;
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn a_lock_that_is_not_released_is_told_as_throttling() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("lock"));
    let options = ServerOptions { lock_timeout: Duration::from_secs(1), ..options() };
    let store = MySqlStore::create(&url, &table, options).await.expect("created");
    store.put_if_newer(&id("k"), &record(1)).await.expect("written");
    let mut lock = admin.begin().await.expect("begun");
    let held = format!("SELECT cutover_version FROM {table} FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(held)).execute(&mut *lock).await.expect("locked");
    let error = store.put_if_newer(&id("k"), &record(2)).await.expect_err("locked");
    assert!(matches!(error, StoreError::Throttled { .. }), "{error}");
    assert_eq!(store.get(&id("k")).await, Ok(Some(record(1))), "reads do not wait, and nothing was written");
    lock.rollback().await.expect("released");
    assert_eq!(store.put_if_newer(&id("k"), &record(2)).await, Ok(Put::Applied));
    store.close().await;
    assert!(matches!(store.get(&id("k")).await, Err(StoreError::NotApplied { .. })));
    sql(&admin, format!("DROP TABLE {table}")).await;
}

/// What can't be provoked here, such as a full disk, is simulated by a trigger with the same message.
#[tokio::test]
async fn what_the_server_says_is_told_apart() {
    let Some(url) = url() else { return };
    let (admin, table) = (MySqlPool::connect(&url).await.expect("connected"), table("says"));
    let store = create(&url, &table).await;
    let cases = [
        (1021, "nothing was written, retry", "free space"),
        (1114, "nothing was written, retry", "free space"),
        (1290, "nothing was written, retry", "takes writes"),
        (1317, "nothing was written, retry", "retry"),
        (1040, "the store is overloaded", "raise max_connections"),
        (1213, "the store is overloaded", "deadlock"),
        // The table is complete, so it comes from the trigger.
        (1142, "trigger: ", "a trigger or function that this record sets off fails"),
        (1146, "trigger: ", "a trigger or function that this record sets off fails"),
        (1449, "trigger: ", "create it"),
        (1305, "trigger: ", "create it"),
        (1370, "trigger: ", "create it"),
        (1644, "trigger: ", "a trigger or function of the database"),
        (1045, "user: ", "check user and password"),
        (1264, "record: ", "make the column larger"),
        (1452, "record: ", "a constraint of the table"),
        (1927, "it is not known whether", "said by the test"),
        (1180, "it is not known whether", "said by the test"),
    ];
    for (number, start, part) in cases {
        sql(
            &admin,
            format!(
                "CREATE TRIGGER {table}_says BEFORE INSERT ON {table} FOR EACH ROW \
                 SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'said by the test'"
            ),
        )
        .await;
        let error = store.put_if_newer(&id("k"), &record(1)).await.expect_err(part).to_string();
        assert!(error.starts_with(start) && error.contains(part), "{number}: {error}");
        sql(&admin, format!("DROP TRIGGER {table}_says")).await;
    }
    assert_eq!(store.get(&id("k")).await, Ok(None));
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied), "when it is over");
    sql(&admin, format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn the_lag_of_a_replica_is_that_of_its_server() {
    let Some(url) = super::servers::url("MySQL", "CUTOVER_TEST_MYSQL_PRIMARY") else { return };
    let Some(of_replica) = super::servers::url("MySQL", "CUTOVER_TEST_MYSQL_REPLICA") else { return };
    let admin = MySqlPool::connect(&url).await.expect("connected");
    let replica = MySqlPool::connect(&of_replica).await.expect("connected");
    let position: String =
        sqlx::query_scalar("SELECT @@GLOBAL.gtid_binlog_pos").fetch_one(&admin).await.expect("asked");
    let port = url::Url::parse(&url).expect("a url").port().expect("a port");
    sql(
        &replica,
        format!(
            "SET GLOBAL gtid_slave_pos = '{position}'; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, \
             MASTER_USER = 'cutover', MASTER_PASSWORD = 'cutover', MASTER_USE_GTID = slave_pos, MASTER_DELAY = 600; \
             START SLAVE"
        ),
    )
    .await;
    let listed = async || sqlx::raw_sql("SHOW SLAVE HOSTS").fetch_all(&admin).await.expect("listed").len();
    let began = std::time::Instant::now();
    while listed().await == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the replica does not connect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let table = table("lag");
    let store = MySqlStore::create(&url, &table, options()).await.expect("created");
    assert_eq!(store.put_if_newer(&id("k"), &record(1)).await, Ok(Put::Applied));
    // The replica waits before it applies that, so it falls behind by a second in each second.
    let began = std::time::Instant::now();
    let lag = loop {
        let lag = store.pressure().await.expect("asked").replica_lag.unwrap_or_default();
        if lag >= Duration::from_secs(2) || began.elapsed() > Duration::from_secs(30) {
            break lag;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!((2..30).contains(&lag.as_secs()), "{lag:?}");
    assert_eq!(store.warnings().await, Ok(Vec::new()), "it reports its address");
    sql(&replica, "STOP SLAVE; RESET SLAVE ALL").await;
}
