//! What is wrong with a child table, in words.

use super::{
    super::mapping::{Child, Dialect, SqlTable, foreign_key_sql, quoted},
    StoreError,
};

/// The fault that another table refers to rows that each write of their record replaces.
pub(in super::super) fn referring_rows(referrer: &str, constraint: &str, action: &str) -> String {
    format!(
        "the foreign key {constraint} of {referrer} refers to this child table with ON DELETE {action}. Each write of a \
         record deletes its rows here and inserts them again, which this key refuses, or which deletes or changes rows in \
         {referrer}. Let {referrer} refer to the records' table instead, or keep the list in a json column"
    )
}

/// The fault of a foreign key between two child tables of the same records.
pub(in super::super) fn between_children(referrer: &str, constraint: &str, wrong: &str) -> String {
    format!(
        "the foreign key {constraint} of {referrer} refers to this child table {wrong}. Make it ON DELETE NO ACTION, and \
         list {referrer} after this table in the spec"
    )
}

/// The fault of a column of a child table that is not mapped.
pub(in super::super) fn unmapped_rows(column: &str) -> String {
    format!(
        "column {column} is not mapped, and each write of a record deletes its rows here and inserts them again: the \
         column would lose its values. Map it, make it a generated column, or move it to another table"
    )
}

/// Asks how many records the first rows of a child table belong to, and how many of a record's rows are at place 0.
pub(in super::super) fn first_rows(dialect: Dialect, table: &str, child: &Child) -> String {
    let list = |names: &[&str]| names.iter().map(|name| quoted(dialect, name)).collect::<Vec<_>>().join(", ");
    let (ids, primary) = (list(&child.ids()), list(&child.primary()));
    format!(
        "SELECT count(*), coalesce(max(firsts), 0) FROM (SELECT {ids}, sum(CASE WHEN {position} = 0 THEN 1 ELSE 0 END) \
         AS firsts FROM (SELECT {primary} FROM {table} ORDER BY {primary} LIMIT 1000) AS some_rows GROUP BY {ids}) \
         AS some_records",
        position = quoted(dialect, &child.position)
    )
}

/// The fault of a child table whose lists do not begin at 0, by the answer to [`first_rows`]. A few records say nothing
/// about the others.
pub(in super::super) fn not_from_zero(child: &Child, records: i64, firsts: i64) -> Option<String> {
    (records >= 3 && firsts == 0).then(|| {
        format!(
            "column {} is never 0 in the rows of the first {records} records. Places have to be 0, 1, 2 and so on: a \
             record with other places can't be read. Number the rows of each record like that, or name another column",
            child.position
        )
    })
}

/// The fault of a table with child tables in whose key different texts may be equal.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(in super::super) fn loose_with_children(column: &str, definition: &str) -> String {
    format!(
        "column {column} is {definition}, in which different ids may be equal, and a child table has the rows of each id. \
         Give it a collation that compares all texts byte by byte, or remove the child tables from the spec"
    )
}

/// The error that a child table is not there, with the statement that makes it.
pub(in super::super) fn no_child(table: &SqlTable, child: &Child, sql: &str) -> StoreError {
    StoreError::no_table(
        &child.table,
        &format!(
            "beside {:?}. If it had one, restore both from the same backup: without it every record lacks {}. If it never \
             had one, create it:\n{sql};",
            table.name, child.path
        ),
    )
}

/// The warning that nothing keeps rows of a child table with their record.
pub(in super::super) fn no_foreign_key(dialect: Dialect, table: &SqlTable, child: &Child) -> String {
    let key = foreign_key_sql(dialect, table, child);
    let advice = match dialect {
        Dialect::Sqlite => format!("Create the table again with {key}"),
        _ => format!("Run: ALTER TABLE {} ADD {key}", quoted(dialect, &child.table)),
    };
    format!(
        "{child} has no foreign key to {of}: rows there without a row in {of} are not copied, and the next write of that \
         record with the SDK removes them. {advice}",
        child = child.table,
        of = table.name
    )
}
