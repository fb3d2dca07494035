//! What a table has, for a draft of a spec.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    super::{
        StoreError,
        described::{Described, DescribedColumn, Referencing},
        mapping::{ColumnType, KeyHolds, SqlTable, check_name},
    },
    SqliteStore, affinity,
    error::set_up_error,
    schema,
};

/// Name, declared type, whether it is NOT NULL, whether it has a default, place in the primary key, whether it is
/// generated.
type Row = (String, String, bool, bool, i64, bool);

impl SqliteStore {
    /// Reads what a table has; `None`: there is no such table or file. Nothing is checked.
    pub async fn describe(path: &Path, table: &str) -> Result<Option<Described>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let failed = |error| set_up_error(path, table, error);
        let connect = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = SqliteConnection::connect_with(&connect).await.map_err(failed)?;
        let read = read(&mut connection, table).await.map_err(failed);
        connection.close().await.map_err(failed)?;
        read
    }
}

async fn read(connection: &mut SqliteConnection, table: &str) -> Result<Option<Described>, sqlx::Error> {
    let columns = format!(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden > 1 FROM pragma_table_xinfo('{table}')"
    );
    let all: Vec<Row> = sqlx::query_as(AssertSqlSafe(columns)).fetch_all(&mut *connection).await?;
    if all.is_empty() {
        return Ok(None);
    }
    let mut columns = Vec::new();
    let number = AssertSqlSafe(schema::numbers_itself(table));
    let number: Option<String> = sqlx::query_scalar(number).fetch_optional(&mut *connection).await?;
    for (name, declared, not_null, has_default, _, generated) in &all {
        let keeps = declared.clone();
        let is_text = affinity::keeps(declared, ColumnType::Text);
        // Another name could not be in the statement, nor in a spec.
        let is_exact =
            is_text && check_name(name).is_ok() && schema::is_binary(connection, table, name).await?;
        let texts = if is_exact { KeyHolds::Texts } else { KeyHolds::LooseTexts };
        let numbers_itself = number.as_ref() == Some(name);
        let numbers = affinity::is_integer(declared).then_some(KeyHolds::Numbers);
        columns.push(DescribedColumn {
            nullable: !not_null && !numbers_itself,
            fills_itself: *has_default || numbers_itself,
            generated: *generated,
            key: is_text.then_some(texts).or(numbers),
            ..DescribedColumn::new(name, declared.clone(), kinds(declared), move |kind, _| {
                affinity::keeps(&keeps, kind)
            })
        });
    }
    let mut primary: Vec<(i64, String)> =
        all.into_iter().filter(|row| row.4 > 0).map(|row| (row.4, row.0)).collect();
    primary.sort();
    let foreign = format!(
        "SELECT child.name || ' (' || group_concat(key.\"from\", ', ' ORDER BY key.seq) || ') references ' || key.\"table\" \
         || coalesce(' (' || group_concat(key.\"to\", ', ' ORDER BY key.seq) || ')', '') \
         FROM sqlite_master AS child JOIN pragma_foreign_key_list(child.name) AS key \
         WHERE child.type = 'table' AND '{table}' COLLATE NOCASE IN (child.name, key.\"table\") \
         GROUP BY child.name, key.id ORDER BY child.name, key.id"
    );
    let primary: Vec<String> = primary.into_iter().map(|(_, name)| name).collect();
    // A key that names no columns refers to the primary key.
    let referencing = format!(
        "SELECT child.name, group_concat(key.\"from\", ', ' ORDER BY key.seq), \
         coalesce(group_concat(key.\"to\", ', ' ORDER BY key.seq), '{}') \
         FROM sqlite_master AS child JOIN pragma_foreign_key_list(child.name) AS key \
         WHERE child.type = 'table' AND key.\"table\" = '{table}' COLLATE NOCASE AND child.name <> '{table}' COLLATE NOCASE \
         GROUP BY child.name, key.id ORDER BY child.name, key.id",
        primary.join(", ").replace('\'', "''")
    );
    let referencing: Vec<(String, String, String)> =
        sqlx::query_as(AssertSqlSafe(referencing)).fetch_all(&mut *connection).await?;
    let names = |columns: String| columns.split(", ").map(str::to_owned).collect();
    let referencing = referencing.into_iter().map(|(table, columns, to)| Referencing {
        table,
        columns: names(columns),
        to: names(to),
    });
    Ok(Some(Described {
        columns,
        primary,
        referencing: referencing.collect(),
        foreign: sqlx::query_scalar(AssertSqlSafe(foreign)).fetch_all(&mut *connection).await?,
        has_rows: matches!(schema::has_rows(connection, table).await, Ok(Some(true))),
        has_ledger: schema::has_rows(connection, &SqlTable::from(table).ledger_name()).await?.is_some(),
    }))
}

/// What a declared type probably means. SQLite keeps a type with each value, so the values decide.
fn kinds(declared: &str) -> Vec<ColumnType> {
    use ColumnType::{Bigint, Blob, Boolean, Date, Datetime, Double, Jsonb, Text, Time, Uuid, Varchar};
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    let size = upper.split_once('(').and_then(|(_, size)| size.trim_end_matches(')').trim().parse().ok());
    let likely = match () {
        () if has("INT") || has("BOOL") && upper != "BOOLEAN" => vec![Bigint],
        () if has("BOOL") => vec![Boolean, Bigint],
        () if has("JSON") => vec![Jsonb, Text],
        () if has("UUID") => vec![Uuid, Text],
        () if has("CHAR") => {
            let sized = size.filter(|size| (1..=16_383).contains(size)).map(Varchar);
            sized.into_iter().chain([Text]).collect()
        }
        () if has("CLOB") || has("TEXT") => vec![Text],
        () if declared.is_empty() || has("BLOB") => vec![Blob, Text, Bigint, Double],
        () if has("REAL") || has("FLOA") || has("DOUB") => vec![Double],
        () if upper == "TIME" => vec![Time(0), Time(3), Time(6)],
        () if has("TIME") => vec![Datetime(0), Datetime(3), Datetime(6), Date, Bigint, Double],
        () if has("DATE") => vec![Date, Datetime(0), Datetime(3), Datetime(6), Bigint, Double],
        () => vec![Double, Bigint],
    };
    likely.into_iter().filter(|kind| affinity::keeps(declared, *kind)).collect()
}
