//! Lists in tables of their own: docs/adr/0092-a-list-in-a-child-table.md. They are read in the statement that reads the
//! records, and written in the transaction of the records.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr, SqliteConnection};

use super::{
    super::{
        mapping::{Cell, Child, ColumnType, SqlTable, foreign_cell},
        scan::unreadable,
        sql::hex_bytes,
    },
    Id, Record, SqliteStore, StoreError,
    cells::bind,
    error::write_error,
    swallowed,
};

/// A row of a child table. No table has a name with a blank, which would hide the record's.
const ROW: &str = "`child row`";

/// The statements of one child table that write.
#[derive(Debug)]
pub(super) struct Children {
    /// Removes the rows of a record. Takes tenant and key.
    clear: SqlStr,
    /// One of its rows.
    left: SqlStr,
    /// Takes tenant, key, place and the cells.
    insert: SqlStr,
}

impl Children {
    /// The statements that write.
    pub(super) fn writes(&self) -> [&SqlStr; 2] {
        [&self.clear, &self.insert]
    }

    pub(super) fn new(child: &Child) -> Self {
        let q = |name: &str| format!("`{name}`");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let (name, tenant, key) = (q(&child.table), q(&child.tenant), q(&child.key));
        let columns: Vec<String> = child.columns().map(q).collect();
        let first = if child.ids().len() == 1 { "?1" } else { "?1, ?2" };
        let given: String = (0..=child.elements.names().count()).map(|at| format!(", ?{}", at + 3)).collect();
        let is_it = format!("{tenant} = ?1 AND {key} = ?2");
        Self {
            clear: sql(format!("DELETE FROM {name} WHERE {is_it}")),
            left: sql(format!("SELECT 1 FROM {name} WHERE {is_it} LIMIT 1")),
            insert: sql(format!("INSERT INTO {name} ({}) VALUES ({first}{given})", columns.join(", "))),
        }
    }
}

/// For each record of `of` that is read, its rows in each child table: a list of lists. SQLite keeps a type with each value,
/// so a value begins with a letter for that.
pub(super) fn asked(table: &SqlTable, of: &str) -> Vec<String> {
    let asked = |child: &Child| {
        let value = |name: &str| {
            format!(
                "CASE typeof({ROW}.`{name}`) WHEN 'text' THEN '\"t' || hex({ROW}.`{name}`) || '\"' \
                 WHEN 'blob' THEN '\"b' || hex({ROW}.`{name}`) || '\"' \
                 WHEN 'integer' THEN '\"i' || {ROW}.`{name}` || '\"' \
                 WHEN 'real' THEN '\"r\"' ELSE 'null' END"
            )
        };
        let names = [child.position.as_str()].into_iter().chain(child.elements.names());
        let values: Vec<String> = names.map(value).collect();
        let [tenant, key] = [(&child.tenant, &table.fields.tenant), (&child.key, &table.fields.key)]
            .map(|(own, of_record)| format!("{ROW}.`{own}` = {of}.`{of_record}`"));
        format!(
            "(SELECT '[' || group_concat('[' || {} || ']', ',') || ']' FROM `{}` AS {ROW} WHERE {tenant} AND {key})",
            values.join(" || ',' || "),
            child.table
        )
    };
    table.children().iter().map(asked).collect()
}

/// The rows of such a list.
pub(super) fn rows(child: &Child, list: Option<&str>) -> Result<Cell, StoreError> {
    let Some(list) = list else { return Ok(Cell::Null) };
    let unreadable = |what: String| unreadable(&child.table, format!("its rows can't be read: {what}"));
    let rows: Vec<Vec<Option<String>>> =
        serde_json::from_str(list).map_err(|error| unreadable(error.to_string()))?;
    let columns = || std::iter::once(child.position.as_str()).chain(child.elements.names());
    let cell = |value: Option<&str>, name: &str| {
        let Some((tag, value)) = value.and_then(|value| value.split_at_checked(1)) else {
            return Ok(Cell::Null);
        };
        let wrong = || unreadable("report this defect".to_owned());
        match tag {
            "i" => value.parse().map(Cell::Int).map_err(|_| wrong()),
            "r" => Err(foreign_cell(&format!("{}.{name}", child.table), "a floating point number")),
            "b" => hex_bytes(value).map(Cell::Bytes).ok_or_else(wrong),
            _ => hex_bytes(value).map(Cell::text).ok_or_else(wrong),
        }
    };
    let row = |row: Vec<Option<String>>| {
        row.iter().zip(columns()).map(|(value, name)| cell(value.as_deref(), name)).collect()
    };
    rows.into_iter().map(row).collect::<Result<_, _>>().map(Cell::Rows)
}

impl SqliteStore {
    /// Replaces the rows of a record that this transaction has written, or is about to delete.
    pub(super) async fn replace_rows(
        &self,
        connection: &mut SqliteConnection,
        id: &Id,
        record: &Record,
    ) -> Result<(), StoreError> {
        if self.layout.children.is_empty() {
            return Ok(());
        }
        let mut cells = self.layout.table.cells(id, record)?;
        let of_children = cells.split_off(cells.len() - self.layout.children.len());
        let of_record = |sql: &SqlStr| sqlx::query(sql.clone()).bind(id.tenant.clone()).bind(id.key.clone());
        // In an order in which a list may refer to another one.
        for statements in self.layout.children.iter().rev() {
            of_record(&statements.clear).execute(&mut *connection).await.map_err(write_error)?;
            if of_record(&statements.left)
                .fetch_optional(&mut *connection)
                .await
                .map_err(write_error)?
                .is_some()
            {
                return Err(swallowed());
            }
        }
        let children = self.layout.table.children().iter().zip(&self.layout.children);
        for ((child, statements), cell) in children.zip(of_children) {
            let rows = if let Cell::Rows(rows) = cell { rows } else { Vec::new() };
            for row in rows {
                let kinds = std::iter::once(ColumnType::Bigint).chain(child.elements.types());
                let insert = row.into_iter().zip(kinds).fold(of_record(&statements.insert), bind);
                if insert.execute(&mut *connection).await.map_err(write_error)?.rows_affected() == 0 {
                    return Err(swallowed());
                }
            }
        }
        Ok(())
    }
}
