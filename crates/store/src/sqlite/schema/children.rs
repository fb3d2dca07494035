//! Checks of a child table.

use std::path::Path;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{
    super::{
        super::{
            StoreError,
            mapping::{Child, ColumnType, Dialect, SqlTable, create_child_sql},
            sql::{
                Faults, Keys, between_children, first_rows, no_child, not_from_zero, referring_rows,
                unmapped_rows,
            },
        },
        keys::types_of,
        shown, warnings,
    },
    VIEW, columns, failing, flag, is_view, keyed, need, text,
};

/// Reports everything that is wrong with a child table.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    of: &SqlTable,
    child: &Child,
    keys: &Keys,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let name = &child.table;
    let columns = columns(connection, name).await?;
    if columns.is_empty() {
        let sql = create_child_sql(Dialect::Sqlite, of, child, keys.definitions()).unwrap_or_default();
        return Ok(Err(no_child(of, child, &sql)));
    }
    let place = format!("{name:?} in {}", shown(path).display());
    let mut faults = Faults::default();
    if is_view(connection, name).await? {
        faults.add(VIEW);
        return Ok(faults.end(&place));
    }
    let mut fault =
        |column: &str, kind, nullable| need(&mut faults, &columns, name, (column, kind), nullable);
    child.ids().into_iter().zip(types_of(keys)).for_each(|(id, kind)| fault(id, kind, Some(false)));
    fault(&child.position, ColumnType::Bigint, Some(false));
    child.elements.names().zip(child.elements.types()).for_each(|(name, kind)| fault(name, kind, None));
    for row in columns.iter().filter(|row| !child.has(&text(row, 0)) && !flag(row, 4)) {
        faults.add(unmapped_rows(&text(row, 0)));
    }
    keyed(connection, &mut faults, &columns, name, (&child.primary(), &child.ids())).await?;
    failing(connection, &mut faults, name).await?;
    // Child tables are cleared in reverse order, so a later one may refer to this one.
    let place_of = |table: &str| of.children().iter().position(|it| it.table.eq_ignore_ascii_case(table));
    let at = place_of(name);
    for (referrer, action) in warnings::children(connection, name).await? {
        let is_kept = matches!(action.as_str(), "NO ACTION" | "RESTRICT");
        let constraint = "(without a name)";
        match place_of(&referrer) {
            None => faults.add(referring_rows(&referrer, constraint, &action)),
            Some(_) if !is_kept => {
                faults.add(between_children(&referrer, constraint, &format!("with ON DELETE {action}")));
            }
            place if place < at => {
                faults.add(between_children(&referrer, constraint, "and comes before it in the spec"));
            }
            Some(_) => {}
        }
    }
    if faults.is_empty() {
        let first = first_rows(Dialect::Sqlite, &format!("`{name}`"), child);
        let (records, firsts) = sqlx::query_as(AssertSqlSafe(first)).fetch_one(&mut *connection).await?;
        not_from_zero(child, records, firsts).into_iter().for_each(|fault| faults.add(fault));
    }
    Ok(faults.end(&place))
}
