//! The columns of tenant and key: what they hold, and which ids they take.

use sqlx::MySql;

use super::{
    super::{
        Id, KEY_MAX_BYTES, StoreError,
        mapping::{Dialect, SqlTable},
        sql::{Calls, KeyColumn, KeyKind, Keys, Length, Statement, check_lengths, ending_blank},
    },
    MySqlStore,
    column::Column,
    keys::Place,
    server::text,
};
use cutover_core::routing::TENANT_MAX_BYTES;

/// Of tenant and key, or the one column that is both: the name, and how many bytes it has to take if it holds bytes.
pub(super) fn ids_of(table: &SqlTable) -> Vec<(&str, u64)> {
    table.ids().into_iter().zip([TENANT_MAX_BYTES as u64, KEY_MAX_BYTES as u64]).collect()
}

/// What the columns of tenant and key hold. Columns that are not there, or can't be keys, count as bytes.
pub(super) async fn keys(calls: &Calls<MySql>, table: &SqlTable) -> Result<(Keys, [Place; 2]), StoreError> {
    let columns = columns(calls, &table.name).await?;
    let mut keys = Keys { has_ledger: table.has_ledger(), ..Keys::default() };
    let names = [&table.fields.tenant, &table.fields.key];
    let mut places = names.map(|name| Place::new(name, KeyKind::default(), false));
    for (at, (column_of, bytes)) in
        [(&mut keys.tenant, TENANT_MAX_BYTES), (&mut keys.key, KEY_MAX_BYTES)].into_iter().enumerate()
    {
        // One column that is both is as long as a tenant.
        let bytes = if table.fields.is_own_tenant() { TENANT_MAX_BYTES } else { bytes };
        let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(names[at])) else {
            continue;
        };
        *column_of = column.key(bytes as u64).unwrap_or_default();
        let KeyColumn { kind, .. } = *column_of;
        places[at] = Place::new(names[at], kind, column.is_text() || column.kind == "uuid");
    }
    keys.names = names.map(String::clone);
    Ok((keys, places))
}

/// The condition of the catalogue's views for one table.
pub(super) fn of_table(name: &str) -> String {
    format!("WHERE table_schema = DATABASE() AND table_name = '{name}'")
}

/// All columns of a table.
pub(super) async fn columns(calls: &Calls<MySql>, table: &str) -> Result<Vec<Column>, StoreError> {
    let of_table = of_table(table);
    let columns = format!(
        "SELECT column_name, data_type, CAST(character_maximum_length AS CHAR), is_nullable, column_type, \
         column_default IS NOT NULL OR extra LIKE '%auto_increment%', CAST(numeric_precision AS CHAR), \
         CAST(numeric_scale AS CHAR), character_set_name, generation_expression, \
         collation_name, column_comment <> '' OR NULLIF(column_default, 'NULL') IS NOT NULL, \
         extra LIKE '%auto_increment%' OR data_type = 'timestamp' AND is_nullable = 'NO' \
         FROM information_schema.columns {of_table} ORDER BY ordinal_position"
    );
    Ok(calls.rows(&Statement::text(columns)).await?.iter().map(Column::of).collect())
}

/// Name and type of each column.
pub(super) async fn shown(calls: &Calls<MySql>, table: &str) -> Result<Vec<(String, String)>, StoreError> {
    let columns = format!(
        "SELECT column_name, column_type FROM information_schema.columns {} ORDER BY ordinal_position",
        of_table(table)
    );
    let rows = calls.rows(&Statement::text(columns)).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}

/// The table's columns of text, with their lengths as they are now.
async fn lengths(calls: &Calls<MySql>, table: &SqlTable) -> Result<Vec<Length>, StoreError> {
    let columns = format!(
        "SELECT column_name, CAST(character_maximum_length AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = '{}' AND data_type IN ('varchar', 'char')",
        table.name
    );
    let rows = calls.rows(&Statement::text(columns)).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1).parse().unwrap_or(usize::MAX))).collect())
}

/// Refuses ids of which the table, a child table or the ledger would cut the blanks at the end.
async fn check_ids(
    calls: &Calls<MySql>,
    table: &SqlTable,
    ids: impl Iterator<Item = &Id>,
) -> Result<(), StoreError> {
    let ids = ending_blank(ids);
    if ids.is_empty() {
        return Ok(());
    }
    check_lengths(table, &lengths(calls, table).await?, &ids)?;
    for child in table.children() {
        let child = table.of_child(child);
        check_lengths(&child, &lengths(calls, &child).await?, &ids)?;
    }
    let Some(ledger) = table.entries(Dialect::MySql) else { return Ok(()) };
    check_lengths(&ledger, &lengths(calls, &ledger).await?, &ids)
}

impl MySqlStore {
    /// Refuses ids that the columns would change.
    pub(super) async fn check_ids(
        &self,
        ids: impl Iterator<Item = &Id> + Clone + Send,
    ) -> Result<(), StoreError> {
        self.layout.keys.check(ids.clone())?;
        check_ids(&self.calls, &self.layout.table, ids).await
    }
}
