//! Checks of a child table.

use sqlx::MySql;

use super::{
    super::{
        super::{
            StoreError,
            mapping::{Child, ColumnType, Dialect, SqlTable, create_child_sql},
            sql::{
                Calls, Faults, KeyColumn, KeyKind, Keys, Statement, between_children, first_rows,
                loose_with_children, no_child, not_from_zero, referring_rows, unmapped_rows,
            },
        },
        column::{Column, needed},
        id_columns::{columns, ids_of, of_table},
        keys::same,
        rights::{ForeignKey, Rights},
        server::text,
        warnings,
    },
    check_absent, engine, fault_of_engine, fault_of_json, fault_of_kind, need, unique_indexes,
};

/// Reports everything that is wrong with a child table. `keys`: of the records' table.
pub(in super::super) async fn check(
    calls: &Calls<MySql>,
    of: &SqlTable,
    child: &Child,
    keys: &Keys,
) -> Result<(), StoreError> {
    let (table, name) = (of.of_child(child), &child.table);
    let columns = columns(calls, name).await?;
    if columns.is_empty() {
        check_absent(calls, name).await?;
        let sql = create_child_sql(Dialect::MySql, of, child, same(keys)).unwrap_or_default();
        return Err(no_child(of, child, &sql));
    }
    // The catalogue does not show columns on which the user has no right.
    calls.rows(&Statement::text(format!("SELECT * FROM `{name}` LIMIT 0"))).await?;
    let mut faults = Faults::default();
    if let Some(row) = engine(calls, name).await? {
        if let Some(fault) = fault_of_kind(&row) {
            faults.add(fault);
            return faults.end(&format!("{name:?}"));
        }
        fault_of_engine(name, &row, false).into_iter().for_each(|fault| faults.add(fault));
    }
    let of_record = [&keys.tenant, &keys.key].into_iter().zip(ids_of(&table));
    for ((of_record, (id, bytes)), of_id) in of_record.zip(of.ids()) {
        if of_record.kind == KeyKind::Loose || of_record.cuts_blanks {
            faults.add(loose_with_children(&format!("{of_id} of {}", of.name), &of_record.definition));
        }
        let usual = format!("varbinary({bytes})");
        let needed = if of_record.definition.is_empty() { &usual } else { &of_record.definition };
        let holds = |column: &Column| column.key(bytes).is_some_and(|key| takes_all(&key, of_record));
        need(&mut faults, &columns, &table, id, &holds, needed, Some(false));
    }
    let place = |unsigned| ColumnType::Integer { bits: 32, unsigned };
    let holds = |column: &Column| column.holds(place(false)) || column.holds(place(true));
    need(&mut faults, &columns, &table, &child.position, &holds, "int", Some(false));
    for (column, kind) in child.elements.names().zip(child.elements.types()) {
        let labels = child.elements.labels(column);
        let holds = |column: &Column| column.holds(kind) || column.has_labels(kind, labels);
        need(&mut faults, &columns, &table, column, &holds, &needed(kind, labels), None);
    }
    for column in &columns {
        if !child.has(&column.name) && !column.is_generated {
            faults.add(unmapped_rows(&column.name));
        } else if column.replaces_null && may_be_null(child, &column.name) {
            faults.add(format!(
                "column {name} stores a number or a time of its own for an element that has no value there. Give the \
                 column required = true in the spec. Or let it be NULL, without AUTO_INCREMENT. {modify}",
                name = column.name,
                modify = column.modify(name, &column.definition(), true)
            ));
        }
    }
    if index(calls, child).await?.is_none() {
        let primary = child.primary();
        faults.add(format!(
            "it has no primary key or unique index on ({}) in which rows can be found by a part of these columns. The \
             server makes one of up to 3072 bytes. Run: ALTER TABLE `{name}` ADD UNIQUE ({})",
            primary.join(", "),
            primary.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    for (_, clause) in warnings::checks(calls, name).await {
        fault_of_json(&table, &clause).into_iter().for_each(|fault| faults.add(fault));
    }
    for fault in referrers(calls, of, child).await? {
        faults.add(fault);
    }
    if faults.is_empty() {
        let first = first_rows(Dialect::MySql, &format!("`{name}`"), child);
        let first = calls.rows(&Statement::text(first)).await?;
        let number = |at| first.first().and_then(|row| text(row, at).parse().ok()).unwrap_or_default();
        not_from_zero(child, number(0), number(1)).into_iter().for_each(|fault| faults.add(fault));
    }
    faults.end(&format!("{name:?}"))
}

/// The index that has the record's id and the position.
pub(in super::super) async fn index(
    calls: &Calls<MySql>,
    child: &Child,
) -> Result<Option<String>, StoreError> {
    let primary = child.primary().join(",");
    // A hash, which MariaDB makes of an index with long columns, finds no rows by a part of its columns.
    let mut indexes = unique_indexes(calls, &child.table, "AND index_type = 'BTREE'").await?;
    indexes.sort_by_key(|(name, _)| name != "PRIMARY");
    Ok(indexes.into_iter().find(|(_, columns)| columns.eq_ignore_ascii_case(&primary)).map(|(name, _)| name))
}

/// Whether a column takes every id of the record's column, tells all of them apart, and can be compared with that column by
/// its index.
fn takes_all(column: &KeyColumn, of_record: &KeyColumn) -> bool {
    let is_longer = || match (column.most_chars, of_record.most_chars) {
        (Some(own), Some(most)) => own >= most && column.collation == of_record.collation,
        (own, most) => own == most,
    };
    column.kind == of_record.kind
        && (column.definition == of_record.definition || column.kind == KeyKind::Bytes && is_longer())
}

/// Whether an element may have no value for a column.
fn may_be_null(child: &Child, column: &str) -> bool {
    let is_it = |name: &str| name.eq_ignore_ascii_case(column);
    let mut columns = child.elements.columns().iter();
    child.elements.names().any(is_it)
        && !columns.any(|it| is_it(&it.name) && (it.required || it.fill.is_some()))
}

/// How many columns the table has, except invisible ones.
pub(in super::super) async fn width(calls: &Calls<MySql>, child: &Child) -> Result<usize, StoreError> {
    let of_table = of_table(&child.table);
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.columns {of_table} AND extra NOT LIKE '%INVISIBLE%'"
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or_default())
}

/// The foreign keys to a child table that its writes would break, or that would change other rows with them.
async fn referrers(calls: &Calls<MySql>, of: &SqlTable, child: &Child) -> Result<Vec<String>, StoreError> {
    // Child tables are cleared in reverse order, so a later one may refer to this one.
    let place = |table: &str| of.children().iter().position(|it| it.table.eq_ignore_ascii_case(table));
    let at = place(&child.table);
    let fault = |key: ForeignKey| {
        let ForeignKey { referrer, constraint, action } = key;
        let is_kept = matches!(action.as_str(), "NO ACTION" | "RESTRICT");
        match place(&referrer) {
            // The server checks each row by itself, so a row can't be deleted before one that refers to it.
            found if found.is_none() || found == at => Some(referring_rows(&referrer, &constraint, &action)),
            Some(_) if !is_kept => {
                Some(between_children(&referrer, &constraint, &format!("with ON DELETE {action}")))
            }
            found if found < at => {
                Some(between_children(&referrer, &constraint, "and comes before it in the spec"))
            }
            _ => None,
        }
    };
    let keys = Rights::of(calls).await?.foreign_keys_to(calls, &child.table).await?;
    Ok(keys.into_iter().filter_map(fault).collect())
}
