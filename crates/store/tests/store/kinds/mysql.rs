//! A MySQL or MariaDB server's own types.

use cutover_store::MySqlStore;
use sqlx::MySqlPool;

use super::{
    super::{
        columns::is_unreadable_until_it_is_mended,
        servers::{options, sql, table},
    },
    *,
};

fn url() -> Option<String> {
    super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")
}

const IDS: &str = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, cutover_version BIGINT NOT NULL \
                   DEFAULT 0, cutover_deleted BOOLEAN NOT NULL DEFAULT FALSE, PRIMARY KEY (tenant, `key`), ";
const GOOD: &str = "tiny TINYINT, utiny TINYINT UNSIGNED, small MEDIUMINT, usmall INT UNSIGNED, whole BIGINT, uwhole \
                    BIGINT, ubig BIGINT UNSIGNED, single DOUBLE, `both` DOUBLE, code VARCHAR(9), guid VARCHAR(36), \
                    raw VARBINARY(16), day DATE, clock TIME(6), made DATETIME(6), zoned TIMESTAMP NULL, sent \
                    TIMESTAMP(6) NULL, flags BIT(12), bits BIT(64), state ENUM('other', '', 'paid', 'it''s', 'PAID', '2') \
                    COLLATE utf8mb4_bin, ref VARCHAR(20) COLLATE utf8mb4_bin, items_0_sku VARCHAR(9), items_1_sku VARCHAR(9), plain LONGTEXT, rest LONGTEXT";

async fn is_there(admin: &MySqlPool, kind: &str) -> bool {
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT CAST(NULL AS {kind})"))).execute(admin).await.is_ok()
}

#[tokio::test]
async fn each_type_comes_back() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds"));
    let store = MySqlStore::create(&url, kinds(Dialect::MySql, &name), options()).await.expect("created");
    each_comes_back(&store, Dialect::MySql).await;
    a_value_that_would_change_is_refused(&store).await;
    let guid = if is_there(&admin, "UUID").await { "guid UUID" } else { "guid CHAR(36)" };
    let larger = GOOD.replace("guid VARCHAR(36)", guid);
    sql(&admin, format!("DROP TABLE {name}; CREATE TABLE {name} ({IDS}{larger}) CHARACTER SET utf8mb4"))
        .await;
    let store = MySqlStore::open(&url, kinds(Dialect::MySql, &name), options()).await.expect("it fits");
    each_comes_back(&store, Dialect::MySql).await;
    sql(&admin, format!("DROP TABLE {name}")).await;
}

#[tokio::test]
async fn a_column_of_another_type_is_told() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_fit"));
    let cases = [
        (
            "utiny TINYINT UNSIGNED",
            "utiny TINYINT",
            "column utiny is tinyint(4) and has to be tinyint unsigned",
        ),
        ("small MEDIUMINT", "small TINYINT", "has to be smallint"),
        ("whole BIGINT", "whole INT UNSIGNED", "has to be int"),
        ("single DOUBLE", "single FLOAT(7,2)", "has to be float"),
        ("`both` DOUBLE", "`both` FLOAT", "has to be double"),
        ("raw VARBINARY(16)", "raw BINARY(20)", "has to be binary(16)"),
        ("guid VARCHAR(36)", "guid VARCHAR(35)", "has to be char(36)"),
        ("made DATETIME(6)", "made DATETIME", "has to be datetime(3)"),
        ("sent TIMESTAMP(6) NULL", "sent DATETIME(6)", "has to be timestamp(6)"),
        ("clock TIME(6)", "clock TIME(2)", "has to be time(3)"),
        ("flags BIT(12)", "flags BIT(9)", "column flags is bit(9) and has to be bit(10)"),
        ("plain LONGTEXT", "plain TEXT", "column plain is text and has to be longtext"),
        (
            "'it''s', ",
            "",
            "column state is enum('other','','paid','PAID','2') and has to be enum('','paid','PAID','it''s','2')",
        ),
    ];
    for (good, bad, told) in cases {
        let columns = GOOD.replace(good, bad);
        sql(&admin, format!("CREATE TABLE {name} ({IDS}{columns}) CHARACTER SET utf8mb4")).await;
        let error = MySqlStore::open(&url, kinds(Dialect::MySql, &name), options()).await.expect_err(told);
        // MySQL shows no width of integers.
        let error = error.to_string().replace("is tinyint and", "is tinyint(4) and");
        assert!(error.contains(told), "{error}");
        sql(&admin, format!("DROP TABLE {name}")).await;
    }
}

#[tokio::test]
async fn what_is_no_time_of_a_calendar_is_unreadable() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_foreign"));
    let fields = || {
        Mapping::new(
            Dialect::MySql,
            vec![
                column("id", "bigint"),
                column("day", "date"),
                column("clock", "time"),
                column("made", "datetime"),
            ],
            None,
            OnMisfit::Quarantine,
        )
    };
    let table = SqlTable { mapping: Some(fields().expect("a mapping")), ..SqlTable::from(&name) };
    let store = MySqlStore::create(&url, table, options()).await.expect("created");
    sql(
        &admin,
        format!(
            "SET sql_mode = ''; INSERT INTO {name} (tenant, `key`, day) VALUES ('t', 'day', '0000-00-00'); INSERT \
             INTO {name} (tenant, `key`, clock) VALUES ('t', 'clock', '100:00:00'); INSERT INTO {name} (tenant, \
             `key`, made) VALUES ('t', 'made', '2026-00-10 00:00:00')"
        ),
    )
    .await;
    let unreadable = [
        ("day", "day", "can't be read as date"),
        ("clock", "clock", "can't be read as time(0)"),
        ("made", "made", "can't be read as datetime(0)"),
    ];
    is_unreadable_until_it_is_mended(&store, &unreadable).await;
    sql(&admin, format!("DROP TABLE {name}")).await;
}
