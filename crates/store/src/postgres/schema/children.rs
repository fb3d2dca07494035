//! Checks of a child table.

use sqlx::{Postgres, Row};

use super::{
    super::{
        super::{
            StoreError,
            mapping::{Child, ColumnType, Dialect, SqlTable, create_child_sql},
            sql::{
                Calls, Faults, KeyKind, Keys, Statement, between_children, first_rows, loose_with_children,
                no_child, not_from_zero, referring_rows, unmapped_rows,
            },
        },
        column::Column,
        id_columns::columns,
        ledger::{qualified, regclass},
        server::text,
    },
    Wanted, fault_of_kind, kinds, need, rules_and_replicas, unique_indexes,
};

/// Reports everything that is wrong with a child table. `keys`: of the records' table.
pub(super) async fn check(
    calls: &Calls<Postgres>,
    schema: &str,
    of: &SqlTable,
    child: &Child,
    keys: &Keys,
) -> Result<(), StoreError> {
    let (table, name) = (of.of_child(child), &child.table);
    let of_table = regclass(schema, name);
    let columns = columns(calls, &of_table).await?;
    if columns.is_empty() {
        let sql = create_child_sql(Dialect::Postgres, of, child, keys.definitions()).unwrap_or_default();
        return Err(no_child(of, child, &sql));
    }
    let mut faults = Faults::default();
    let kinds = kinds(calls, &of_table).await?;
    kinds.iter().filter_map(fault_of_kind).for_each(|fault| faults.add(fault));
    if kinds.iter().any(|row| !matches!(text(row, 0).as_str(), "r" | "p")) {
        return faults.end(&format!("{name:?}"));
    }
    for (column, of_ids) in [&keys.tenant, &keys.key].into_iter().zip(of.ids()) {
        if column.kind == KeyKind::Loose || column.cuts_blanks {
            faults.add(loose_with_children(&format!("{of_ids} of {}", of.name), &column.definition));
        }
    }
    for (id, definition) in child.ids().into_iter().zip(keys.definitions()) {
        need(&mut faults, &columns, &table, id, Wanted::Id(definition, true), Some(false));
    }
    // The server would cut blanks at the end of an id: another record's id.
    for (column, of_record) in [(&child.tenant, &keys.tenant), (&child.key, &keys.key)] {
        if of_record.kind != KeyKind::Bytes {
            continue;
        }
        let it = columns.iter().find(|it| it.name == *column).and_then(Column::key);
        if let Some(most) = it.and_then(|it| it.most_chars)
            && of_record.most_chars.is_none_or(|of_record| of_record > most)
        {
            faults.add(format!(
                "column {column} takes {most} characters, and the column of the records' table more. Run: ALTER TABLE \
                 \"{name}\" ALTER \"{column}\" TYPE text COLLATE \"C\""
            ));
        }
    }
    let place = Wanted::Content(ColumnType::Integer { bits: 32, unsigned: false });
    need(&mut faults, &columns, &table, &child.position, place, Some(false));
    for (column, kind) in child.elements.names().zip(child.elements.types()) {
        need(&mut faults, &columns, &table, column, Wanted::Content(kind), None);
    }
    for column in &columns {
        if !child.has(&column.name) && column.generated_by != "EXPRESSION" {
            faults.add(unmapped_rows(&column.name));
        }
    }
    let primary = child.primary();
    let is_it = |row: &sqlx::postgres::PgRow| {
        text(row, 0) == primary.join(",")
            && row.try_get(1).unwrap_or(false)
            && row.try_get(3).unwrap_or(false)
    };
    if !unique_indexes(calls, &of_table).await?.iter().any(is_it) {
        faults.add(format!(
            "it has no primary key or unique index on ({ids}) in the collations of these columns. Run: CREATE UNIQUE \
             INDEX ON \"{name}\" ({ids})",
            ids = primary.join(", ")
        ));
    }
    for fault in rules_and_replicas(calls, &of_table, name, true).await? {
        faults.add(fault);
    }
    for fault in referrers(calls, schema, of, child).await? {
        faults.add(fault);
    }
    if faults.is_empty() {
        let first = first_rows(Dialect::Postgres, &qualified(schema, name), child);
        let first = calls.rows(&Statement::text(first)).await?;
        let number = |at| first.first().and_then(|row| row.try_get::<i64, _>(at).ok()).unwrap_or_default();
        not_from_zero(child, number(0), number(1)).into_iter().for_each(|fault| faults.add(fault));
    }
    faults.end(&format!("{name:?}"))
}

/// The foreign keys to a child table that its writes would break, or that would change other rows with them.
async fn referrers(
    calls: &Calls<Postgres>,
    schema: &str,
    of: &SqlTable,
    child: &Child,
) -> Result<Vec<String>, StoreError> {
    let of_table = regclass(schema, &child.table);
    // Child tables are cleared in reverse order, so a later one may refer to this one.
    let own: Vec<String> = of.children().iter().map(|it| regclass(schema, &it.table)).collect();
    let at = of.children().iter().position(|it| it.table == child.table).unwrap_or_default();
    let sql = format!(
        "SELECT conrelid::regclass::text, conname::text, CASE confdeltype WHEN 'c' THEN 'CASCADE' \
         WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END, \
         coalesce(array_position(ARRAY[{}]::oid[], conrelid) - 1, -1) FROM pg_constraint \
         WHERE (confrelid = {of_table} OR confrelid IN (SELECT relid FROM pg_partition_tree({of_table}))) \
         AND contype = 'f' AND conparentid = 0 ORDER BY 1, 2",
        own.iter().map(|own| format!("{own}::oid")).collect::<Vec<_>>().join(", ")
    );
    let fault = |row: &sqlx::postgres::PgRow| {
        let (referrer, constraint, action) = (text(row, 0), text(row, 1), text(row, 2));
        let is_kept = matches!(action.as_str(), "NO ACTION" | "RESTRICT");
        match row.try_get::<i32, _>(3).ok().and_then(|place| usize::try_from(place).ok()) {
            None => Some(referring_rows(&referrer, &constraint, &action)),
            Some(_) if !is_kept => {
                Some(between_children(&referrer, &constraint, &format!("with ON DELETE {action}")))
            }
            Some(place) if place < at => {
                Some(between_children(&referrer, &constraint, "and comes before it in the spec"))
            }
            Some(_) => None,
        }
    };
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.iter().filter_map(fault).collect())
}
