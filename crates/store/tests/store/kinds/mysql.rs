//! A MySQL or MariaDB server's own types.

use cutover_store::MySqlStore;
use sqlx::MySqlPool;

use super::{
    super::servers::{options, sql, table},
    *,
};

fn url() -> Option<String> {
    super::super::servers::url("MySQL", "CUTOVER_TEST_MYSQL")
}

const IDS: &str = "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, cutover_version BIGINT NOT NULL \
                   DEFAULT 0, cutover_deleted BOOLEAN NOT NULL DEFAULT FALSE, PRIMARY KEY (tenant, `key`), ";
/// Beside a ledger.
const IDS_ALONE: &str =
    "tenant VARBINARY(256) NOT NULL, `key` VARBINARY(1024) NOT NULL, PRIMARY KEY (tenant, `key`), ";
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
async fn what_is_no_time_of_a_calendar_keeps_its_text() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_foreign"));
    let made = Column {
        spelling: Spelling { format: Format::EpochMs, ..Spelling::default() },
        ..column("made", "datetime(3)")
    };
    let columns = vec![column("day", "date"), column("clock", "time"), made, column("sent", "timestamp")];
    let fields = Mapping::new(Dialect::MySql, columns, None, OnMisfit::Quarantine);
    let table = SqlTable { mapping: Some(fields.expect("a mapping")), ..SqlTable::from(&name) };
    let store = MySqlStore::create(&url, table, options()).await.expect("created");
    for (column, text) in [
        ("day", "0000-00-00"),
        ("day", "2026-11-00"),
        ("clock", "100:00:00"),
        ("clock", "-838:59:59"),
        ("made", "2026-00-10 00:00:00.500"),
        ("made", "0000-00-00 00:00:00.000"),
        ("sent", "0000-00-00 00:00:00"),
    ] {
        let insert = format!("REPLACE INTO {name} (tenant, `key`, {column}) VALUES ('t', 'old', '{text}')");
        sql(&admin, format!("SET sql_mode = ''; {insert}")).await;
        let json = format!(r#"{{"{column}":{{"S":"{text}"}}}}"#);
        let found = store.get(&id("old")).await.expect("read").expect("there");
        assert_eq!(found.value, record(0, &json).value, "{column}");
        let (new, written) = (id("new"), record(1, &json));
        sql(&admin, format!("DELETE FROM {name} WHERE `key` = 'new'")).await;
        assert_eq!(store.put_if_newer(&new, &written).await, Ok(Put::Applied), "{column} {text}");
        assert_eq!(store.get(&new).await, Ok(Some(written)), "{column} {text}");
        let same = format!("SELECT COUNT(DISTINCT CAST({column} AS CHAR)) FROM {name}");
        let same: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(same)).fetch_one(&admin).await.expect("asked");
        assert_eq!(same, 1, "{column} {text}");
    }
    sql(&admin, format!("DROP TABLE {name}")).await;
}

/// Columns of an application that hold less than the types of the spec.
#[tokio::test]
async fn a_narrower_column_holds_what_comes_back_as_it_is_and_refuses_the_rest() {
    for versions in [Versions::Columns, Versions::Ledger] {
        narrower_columns_refuse_what_they_would_change(versions).await;
    }
}

async fn narrower_columns_refuse_what_they_would_change(versions: Versions) {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_narrow"));
    let ids = if versions == Versions::Ledger { IDS_ALONE } else { IDS };
    let create = format!(
        "CREATE TABLE {name} ({ids}old VARCHAR(9) CHARACTER SET latin1, three TEXT CHARACTER SET utf8mb3, plain CHAR(9) \
         CHARACTER SET ascii, price DECIMAL(8,2) UNSIGNED, few FLOAT(7,2), many DOUBLE(12,3), size FLOAT UNSIGNED, hash \
         BINARY(4), made YEAR, tags SET('a','b','it''s'), rest LONGTEXT) CHARACTER SET utf8mb4"
    );
    sql(&admin, create).await;
    let open = async |on_misfit| {
        let columns = vec![
            column("old", "varchar(9)"),
            column("three", "varchar(16383)"),
            column("plain", "char(9)"),
            column("price", "decimal(8,2)"),
            column("few", "decimal(7,2)"),
            column("many", "decimal(12,3)"),
            column("size", "real"),
            column("hash", "varbinary(4)"),
            column("made", "smallint"),
            column("tags", "varchar(20)"),
        ];
        let mapping = Mapping::new(Dialect::MySql, columns, Some("rest".to_owned()), on_misfit);
        let mapping = Some(mapping.expect("a mapping"));
        let table = SqlTable { mapping, versions, ..SqlTable::from(&name) };
        MySqlStore::create(&url, table, options()).await.expect("it fits")
    };
    let store = open(OnMisfit::Quarantine).await;
    let fine = [
        r#"{"old":{"S":"€‚ƒ„…†‡ˆ‰"},"three":{"S":"ł\uffff"},"plain":{"S":"a~"},"price":{"N":"999999.99"}}"#,
        r#"{"old":{"S":"Š‹ŒŽ‘’“”•"},"few":{"N":"99999.99"},"many":{"N":"999999999.999"},"size":{"N":"0.1"}}"#,
        r#"{"old":{"S":"–—˜™š›œžŸ"},"few":{"N":"-99999.99"},"many":{"N":"-0.001"},"hash":{"B":"AAAAAA=="}}"#,
        r#"{"old":{"S":"\u0081\u008d\u008f\u0090\u009d\u00a0ÿ'"},"few":{"N":"0.01"},"made":{"N":"1901"}}"#,
        r#"{"few":{"N":"12345.67"},"hash":{"B":"/wD/AA=="},"made":{"N":"0"},"tags":{"S":"a,it's"}}"#,
        r#"{"few":{"N":"65536.01"},"made":{"N":"2155"},"tags":{"S":""},"price":{"N":"0"},"size":{"N":"0"}}"#,
    ];
    for (json, at) in fine.iter().zip(0..) {
        let (id, written) = (id(&format!("{at}")), record(1, json));
        assert_eq!(store.check(&id, &written), Ok(()), "{json}");
        assert_eq!(store.put_if_newer(&id, &written).await, Ok(Put::Applied), "{json}");
        assert_eq!(store.get(&id).await, Ok(Some(written)), "{json}");
    }
    let misfits = [
        (r#"{"old":{"S":"ł"}}"#, "old", "its character set latin1 lacks a character"),
        (r#"{"three":{"S":"😀"}}"#, "three", "its character set utf8mb3 lacks a character"),
        (r#"{"plain":{"S":"ä"}}"#, "plain", "its character set ascii lacks a character"),
        (r#"{"price":{"N":"-0.01"}}"#, "price", "takes no negative number"),
        (r#"{"few":{"N":"0.001"}}"#, "few", "would change the number"),
        (r#"{"size":{"N":"-1"}}"#, "size", "takes no negative number"),
        (r#"{"hash":{"B":"AAA="}}"#, "hash", "would add zeros to 2 bytes"),
        (r#"{"made":{"N":"70"}}"#, "made", "takes 1901 to 2155"),
        (r#"{"tags":{"S":"b,a"}}"#, "tags", "some of its own labels"),
    ];
    let overflowing = open(OnMisfit::Overflow).await;
    for (json, field, what) in misfits {
        let (new, written) = (id("new"), record(9, json));
        let (named, told) = refused(store.put_if_newer(&new, &written).await, ErrorClass::Constraint);
        assert!(named == field && told.contains(what), "{told}");
        refused(store.check(&new, &written), ErrorClass::Constraint);
        assert_eq!(store.get(&new).await, Ok(None), "{json}: nothing was written");
        let new = id(field);
        assert_eq!(overflowing.put_if_newer(&new, &written).await, Ok(Put::Applied), "{json}");
        assert_eq!(overflowing.get(&new).await, Ok(Some(written)), "{json}");
    }
    sql(&admin, format!("DROP TABLE IF EXISTS cutover_ledger_{name}, {name}")).await;
}

/// A number that is sent as a decimal, and a column that drops the century.
#[tokio::test]
async fn a_year_takes_no_type_that_it_would_change() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_year"));
    let refuses = async |kind: &str| {
        let mapping = Mapping::new(Dialect::MySql, vec![column("made", kind)], None, OnMisfit::Quarantine);
        let table = SqlTable { mapping: Some(mapping.expect("a mapping")), ..SqlTable::from(&name) };
        MySqlStore::open(&url, table, options()).await.is_err()
    };
    sql(&admin, format!("CREATE TABLE {name} ({IDS}made YEAR)")).await;
    assert!(refuses("bigint unsigned").await);
    for kind in ["smallint", "int unsigned", "bigint"] {
        assert!(!refuses(kind).await, "{kind}");
    }
    let changed = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("ALTER TABLE {name} MODIFY made YEAR(2)")));
    // MySQL no longer has it, and MariaDB makes YEAR(4) of it in some versions.
    if changed.execute(&admin).await.is_ok() {
        let kind = format!(
            "SELECT CAST(column_type AS CHAR) FROM information_schema.columns WHERE table_name = '{name}' AND column_name = 'made'"
        );
        let kind: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(kind)).fetch_one(&admin).await.expect("asked");
        assert_eq!(refuses("smallint").await, kind == "year(2)", "{kind}");
    }
    sql(&admin, format!("DROP TABLE {name}")).await;
}

/// Bytes with a meaning in SQL, and those that stand for them on the way.
#[tokio::test]
async fn every_byte_arrives_as_it_is() {
    let Some(url) = url() else { return };
    let (admin, name) = (MySqlPool::connect(&url).await.expect("connected"), table("kinds_bytes"));
    let columns = vec![column("note", "text"), column("raw", "blob")];
    let mapping = Mapping::new(Dialect::MySql, columns, Some("rest".to_owned()), OnMisfit::Quarantine);
    let of = SqlTable { mapping: Some(mapping.expect("a mapping")), ..SqlTable::from(&name) };
    let store = MySqlStore::create(&url, of, options()).await.expect("created");
    let controls: String = (0..=0x7f).map(char::from).collect();
    let all: Vec<u8> = (0..=255).collect();
    let texts =
        ["", "\\", "\0\u{1a}\\'", "~'\\~|", "'; -- \\", "\u{e4}\\\u{1f680}\0", "FROM_BASE64('')", &controls];
    let raws =
        [&[] as &[u8], b"\\'\0", b"a\\b|~\x1a", &[0xff], b"'\xff\\\0", &all, controls.as_bytes(), &[0; 3]];
    for ((text, raw), at) in texts.iter().zip(raws).zip(0..) {
        let document = Document(
            [
                ("note", Attribute::S((*text).to_owned())),
                ("raw", Attribute::B(raw.to_vec())),
                ("more", Attribute::S(format!("\"{text}"))),
            ]
            .into_iter()
            .map(|(name, it)| (name.to_owned(), it))
            .collect(),
        );
        let put = Record { value: Some(document.encode().expect("a document")), ..record(1, "{}") };
        let id = id(&format!("{at}"));
        assert_eq!(store.put_if_newer(&id, &put).await, Ok(Put::Applied), "{text:?}");
        assert_eq!(store.get(&id).await, Ok(Some(put)), "{text:?}");
        let sent: (Vec<u8>, Vec<u8>) = {
            let asked = format!("SELECT CAST(note AS BINARY), raw FROM {name} WHERE `key` = ?");
            let asked = sqlx::query_as(sqlx::AssertSqlSafe(asked)).bind(id.key.as_bytes());
            asked.fetch_one(&admin).await.expect("asked")
        };
        assert_eq!((sent.0.as_slice(), sent.1.as_slice()), (text.as_bytes(), raw), "{text:?}");
    }
    sql(&admin, format!("DROP TABLE {name}")).await;
}
