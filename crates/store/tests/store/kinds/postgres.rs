//! A PostgreSQL server's own types.

use cutover_store::PostgresStore;
use sqlx::PgPool;

use super::{
    super::{
        columns::is_unreadable_until_it_is_mended,
        servers::{options, sql, table},
    },
    *,
};

fn url() -> Option<String> {
    super::super::servers::url("PostgreSQL", "CUTOVER_TEST_POSTGRES")
}

const IDS: &str = "tenant TEXT COLLATE \"C\" NOT NULL, key TEXT COLLATE \"C\" NOT NULL, cutover_version BIGINT NOT \
                   NULL DEFAULT 0, cutover_deleted BOOLEAN NOT NULL DEFAULT FALSE, PRIMARY KEY (tenant, key), ";
const GOOD: &str = "tiny INT, utiny SMALLINT, small BIGINT, usmall INT, whole NUMERIC, uwhole BIGINT, ubig NUMERIC, \
                    single FLOAT8, \"both\" FLOAT8, code VARCHAR(9), guid CHAR(36), raw BYTEA, day DATE, clock TIME, \
                    made TIMESTAMP, zoned TIMESTAMP(0), sent TIMESTAMPTZ, flags BIT(10), bits BIT(64), state NAME_state, \
                    ref VARCHAR(20), items_0_sku VARCHAR(9), items_1_sku VARCHAR(9), plain JSON, texts VARCHAR[], smallints INT2[], ints INT[], bigints INT8[], reals \
                    FLOAT4[], doubles FLOAT8[], booleans BOOL[], uuids UUID[], rest TEXT";

const LABELS: &str = "'other', '', 'paid', 'PAID', 'it''s', '2'";

/// The statements that create a table with an enum of its own.
fn with_enum(name: &str, columns: &str, labels: &str) -> String {
    let columns = columns.replace("NAME", name);
    format!("CREATE TYPE {name}_state AS ENUM ({labels}); CREATE TABLE {name} ({IDS}{columns})")
}

#[tokio::test]
async fn each_type_comes_back() {
    let Some(url) = url() else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("kinds"));
    let store =
        PostgresStore::create(&url, kinds(Dialect::Postgres, &name), options()).await.expect("created");
    each_comes_back(&store, Dialect::Postgres).await;
    a_value_that_would_change_is_refused(&store).await;
    sql(&admin, format!("DROP TABLE {name}; {}", with_enum(&name, GOOD, LABELS))).await;
    let store = PostgresStore::open(&url, kinds(Dialect::Postgres, &name), options()).await.expect("it fits");
    each_comes_back(&store, Dialect::Postgres).await;
    sql(&admin, format!("DROP TABLE {name}; DROP TYPE {name}_state")).await;
}

#[tokio::test]
async fn a_column_of_another_type_is_told() {
    let Some(url) = url() else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("kinds_fit"));
    let cases = [
        ("usmall INT", "usmall SMALLINT", "column usmall is smallint and has to be integer"),
        ("uwhole BIGINT", "uwhole INT", "column uwhole is integer and has to be bigint"),
        ("ubig NUMERIC", "ubig BIGINT", "column ubig is bigint and has to be numeric(20,0)"),
        ("\"both\" FLOAT8", "\"both\" REAL", "column both is real and has to be double precision"),
        ("code VARCHAR(9)", "code CHAR(3)", "column code is character(3) and has to be char(4)"),
        ("guid CHAR(36)", "guid CHAR(35)", "column guid is character(35) and has to be uuid"),
        ("clock TIME", "clock TIMETZ", "column clock is time with time zone and has to be time(3)"),
        ("made TIMESTAMP", "made TIMESTAMPTZ", "has to be timestamp(3)"),
        ("sent TIMESTAMPTZ", "sent TIMESTAMPTZ(3)", "has to be timestamptz(6)"),
        ("flags BIT(10)", "flags BIT(11)", "column flags is bit(11) and has to be bit(10)"),
        ("plain JSON", "plain BYTEA", "column plain is bytea and has to be jsonb"),
        ("state NAME_state", "state INT", "column state is integer and has to be text"),
        ("texts VARCHAR[]", "texts CHAR(3)[]", "column texts is character(3)[] and has to be text[]"),
        (
            "doubles FLOAT8[]",
            "doubles FLOAT8",
            "column doubles is double precision and has to be double precision[]",
        ),
    ];
    for (good, bad, told) in cases {
        sql(&admin, with_enum(&name, &GOOD.replace(good, bad), LABELS)).await;
        let error =
            PostgresStore::open(&url, kinds(Dialect::Postgres, &name), options()).await.expect_err(told);
        assert!(error.to_string().contains(told), "{error}");
        sql(&admin, format!("DROP TABLE {name}; DROP TYPE {name}_state")).await;
    }
    sql(&admin, with_enum(&name, GOOD, "'', 'paid', 'PAID', '2'")).await;
    let error = PostgresStore::open(&url, kinds(Dialect::Postgres, &name), options())
        .await
        .expect_err("a label less");
    let told = format!("lacks the label 'it''s'. Run: ALTER TYPE {name}_state ADD VALUE 'it''s'");
    assert!(error.to_string().contains(&told), "{error}");
    sql(&admin, format!("DROP TABLE {name}; DROP TYPE {name}_state")).await;
}

#[tokio::test]
async fn what_is_no_number_or_time_is_unreadable() {
    let Some(url) = url() else { return };
    let (admin, name) = (PgPool::connect(&url).await.expect("connected"), table("kinds_foreign"));
    let columns = vec![
        column("id", "bigint"),
        column("both", "double"),
        column("day", "date"),
        column("sent", "timestamptz"),
    ];
    let mapping = Mapping::new(Dialect::Postgres, columns, None, OnMisfit::Quarantine).expect("a mapping");
    let table = SqlTable { mapping: Some(mapping), ..SqlTable::from(&name) };
    let store = PostgresStore::create(&url, table, options()).await.expect("created");
    sql(
        &admin,
        format!(
            "INSERT INTO {name} (tenant, key, \"both\", day, sent) VALUES ('t', 'both', 'NaN', NULL, NULL), \
             ('t', 'day', NULL, '0044-03-15 BC', NULL), ('t', 'sent', NULL, NULL, 'infinity')"
        ),
    )
    .await;
    let unreadable = [
        ("both", "both", "can't be read as double"),
        ("day", "day", "can't be read as date"),
        ("sent", "sent", "can't be read as timestamptz(0)"),
    ];
    is_unreadable_until_it_is_mended(&store, &unreadable).await;
    sql(&admin, format!("DROP TABLE {name}")).await;
}
