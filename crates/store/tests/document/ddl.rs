//! The statements that create tables.

use cutover_store::mapping::{ColumnType, Dialect, Fields, Mapping, OnMisfit, create_table_sql};

use super::given::column;

const DIALECTS: [Dialect; 3] = [Dialect::Sqlite, Dialect::MySql, Dialect::Postgres];

fn mapping(dialect: Dialect) -> Mapping {
    let columns =
        vec![column("title", "varchar(20)"), column("price", "decimal(10,2)"), column("photo", "blob")];
    Mapping::new(dialect, columns, Some("rest".to_owned()), OnMisfit::Quarantine).expect("a mapping")
}

#[test]
fn a_table_has_the_fields_and_the_columns() {
    let create = |dialect| create_table_sql(dialect, "orders", &Fields::default(), Some(&mapping(dialect)));
    assert_eq!(
        create(Dialect::MySql).expect("names"),
        "CREATE TABLE IF NOT EXISTS `orders` (\n  `tenant` VARBINARY(256) NOT NULL,\n  \
         `key` VARBINARY(1024) NOT NULL,\n  `cutover_version` BIGINT NOT NULL DEFAULT 0,\n  \
         `cutover_deleted` BOOLEAN NOT NULL DEFAULT FALSE,\n  \
         `title` VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,\n  `price` DECIMAL(10,2),\n  \
         `photo` LONGBLOB,\n  `rest` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,\n  \
         PRIMARY KEY (`tenant`, `key`)\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC"
    );
    assert_eq!(
        create(Dialect::Postgres).expect("names"),
        "CREATE TABLE IF NOT EXISTS \"orders\" (\n  \"tenant\" TEXT COLLATE \"C\" NOT NULL,\n  \
         \"key\" TEXT COLLATE \"C\" NOT NULL,\n  \"cutover_version\" BIGINT NOT NULL DEFAULT 0,\n  \
         \"cutover_deleted\" BOOLEAN NOT NULL DEFAULT FALSE,\n  \"title\" VARCHAR(20),\n  \
         \"price\" NUMERIC(10,2),\n  \"photo\" BYTEA,\n  \"rest\" TEXT,\n  \
         PRIMARY KEY (\"tenant\", \"key\")\n)"
    );
    // SQLite would keep a DECIMAL as a float.
    assert!(create(Dialect::Sqlite).expect("names").contains("\"price\" TEXT,"));
}

#[test]
fn without_mapping_the_record_is_one_column() {
    let types = [(Dialect::Sqlite, "BLOB"), (Dialect::MySql, "LONGBLOB"), (Dialect::Postgres, "BYTEA")];
    for (dialect, kind) in types {
        let sql = create_table_sql(dialect, "orders", &Fields::default(), None).expect("names");
        let value = if dialect == Dialect::MySql { "`value`" } else { "\"value\"" };
        assert!(sql.contains(&format!("{value} {kind},")) && !sql.contains("deleted"), "{sql}");
    }
}

#[test]
fn a_tenant_of_its_own_has_one_key_column() {
    let fields = Fields { tenant: "id".to_owned(), key: "id".to_owned(), ..Fields::default() };
    let sql = create_table_sql(Dialect::Postgres, "orders", &fields, None).expect("names");
    assert!(sql.contains("PRIMARY KEY (\"id\")") && sql.matches("\"id\"").count() == 2, "{sql}");
}

#[test]
fn names_can_not_leave_their_quotes_nor_meet() {
    for dialect in DIALECTS {
        for name in ["", "a b", "a\"", "a`", "1a", "a;--", "ä", &"a".repeat(64)] {
            assert!(create_table_sql(dialect, name, &Fields::default(), None).is_err(), "{name}");
        }
        let fields = Fields { version: "Title".to_owned(), ..Fields::default() };
        let error =
            create_table_sql(dialect, "orders", &fields, Some(&mapping(dialect))).expect_err("a clash");
        assert!(error.to_string().contains("names two different things"), "{error}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_takes_the_statements_and_keeps_every_digit() {
    use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("a database");
    let mapping = mapping(Dialect::Sqlite);
    let table =
        create_table_sql(Dialect::Sqlite, "orders", &Fields::default(), Some(&mapping)).expect("names");
    for sql in [&table, &table] {
        sqlx::query(AssertSqlSafe(sql.as_str())).execute(&mut connection).await.expect("a statement");
    }
    let digits = format!("{}.25", "9".repeat(36));
    sqlx::query("INSERT INTO orders (tenant, key, price) VALUES ('t', 'k', ?)")
        .bind(&digits)
        .execute(&mut connection)
        .await
        .expect("an insert");
    let back: String =
        sqlx::query_scalar("SELECT price FROM orders").fetch_one(&mut connection).await.expect("a row");
    assert_eq!(back, digits);
    assert!(mapping.types().any(|kind| kind == ColumnType::Decimal { digits: 10, scale: 2 }));
}
