//! What the columns of tenant and key hold, by their declared types.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    super::{
        mapping::{ColumnType, SqlTable},
        sql::{KeyColumn, KeyKind, Keys},
    },
    affinity::is_integer,
};

/// Of a table. Columns that are not there count as texts.
pub(super) async fn keys(connection: &mut SqliteConnection, table: &SqlTable) -> Result<Keys, sqlx::Error> {
    let columns = format!("SELECT name, type FROM pragma_table_xinfo('{}')", table.name);
    let columns: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(columns)).fetch_all(connection).await?;
    let names = [&table.fields.tenant, &table.fields.key];
    let [tenant, key] = names.map(|name| {
        let found = columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
        match found.is_some_and(|(_, declared)| is_integer(declared)) {
            true => KeyColumn {
                kind: KeyKind::Integer { bits: 64, unsigned: false },
                definition: "INTEGER".to_owned(),
                ..KeyColumn::default()
            },
            false => KeyColumn::default(),
        }
    });
    Ok(Keys { tenant, key, names: names.map(String::clone), has_ledger: table.has_ledger() })
}

/// The type of a column of tenant or key, and what values of it are called.
pub(super) fn type_of(column: &KeyColumn) -> (ColumnType, &'static str) {
    match column.kind {
        KeyKind::Integer { .. } => (ColumnType::Bigint, "INTEGER"),
        _ => (ColumnType::Text, "TEXT"),
    }
}

/// Those of a table's ids, which are one or two columns.
pub(super) fn types_of(keys: &Keys) -> [ColumnType; 2] {
    [&keys.tenant, &keys.key].map(|column| type_of(column).0)
}
