//! Lists in tables of their own: docs/adr/0092-a-list-in-a-child-table.md.
//!
//! They are read in the statement that reads the records, so both are of one snapshot. They are written in the transaction of
//! the records, by statements after the one that wrote and so locked these: each has a snapshot of its own, which sees the
//! rows of whoever had the lock before. Only the rows of records that this transaction has written are touched. These have its
//! id, unless a trigger changed one in a subtransaction. So the first statement says how many it wrote, and the others fail if
//! they find another number.

use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr};

use super::{
    super::{
        Id, Record, StoreError,
        mapping::{Cell, Child, ColumnType, SqlTable},
        sql::Statement,
    },
    Given,
    cells::{asked_as, cast_of, column, given_as, is_hex},
    ledger::{qualified, tombstones},
    transaction::{WROTE, undo},
};

/// The statements of one child table.
#[derive(Debug)]
pub(super) struct Children {
    /// For each record `t` that is read, its rows.
    pub(super) asked: String,
    /// Removes the rows of records. Takes their ids.
    clear: SqlStr,
    /// The same of tombstones whose records are deleted. Takes ids and versions. `None`: tombstones are records.
    clear_deleted: Option<SqlStr>,
    /// Takes tenants, keys, places and the cells of each column; then the ids of the records.
    insert: SqlStr,
}

/// What the statements of all child tables have in common.
pub(super) struct Parent<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a SqlTable,
    /// Lists of tenants and keys as arguments, the first of which has this number.
    pub(super) ids_given: &'a dyn Fn(usize) -> String,
    /// The ids of tombstones that this transaction wrote to the ledger, as a query.
    pub(super) deleted: Option<&'a str>,
    /// Table, column and type of columns that have an enum's type.
    pub(super) enums: &'a [(String, String, String)],
}

impl Children {
    pub(super) fn new(child: &Child, parent: &Parent<'_>) -> Self {
        let q = |name: &str| format!("\"{name}\"");
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        let Parent { schema, table, ids_given, deleted, enums } = parent;
        let (name, of_parent) = (qualified(schema, &child.table), qualified(schema, &table.name));
        let (tenant, key, position) = (q(&child.tenant), q(&child.key), q(&child.position));
        let is_of =
            |tenant_of: &str, key_of: &str| format!("c.{tenant} = {tenant_of} AND c.{key} = {key_of}");
        let (of_tenant, of_key) =
            (format!("t.{}", q(&table.fields.tenant)), format!("t.{}", q(&table.fields.key)));

        let columns: Vec<(&str, ColumnType)> = child.elements.names().zip(child.elements.types()).collect();
        let texts = columns.iter().map(|(name, kind)| match is_hex(*kind) {
            true => format!(", encode(c.{}, 'hex')", q(name)),
            false => format!(", (c.{}{})::text", q(name), asked_as(*kind)),
        });
        let asked = format!(
            "(SELECT json_agg(ARRAY[c.{position}::text{}] ORDER BY c.{position})::text FROM {name} AS c WHERE {})",
            texts.collect::<String>(),
            is_of(&of_tenant, &of_key)
        );

        // A row that this transaction wrote has its id.
        let is_ours = "t.xmin = pg_current_xact_id()::xid";
        let is_it = format!("{of_tenant} = g.tenant AND {of_key} = g.key");
        let clear = |ours: &str, and: &str| {
            let is_of_ours = is_of("ours.tenant", "ours.key");
            sql(format!(
                "WITH ours AS MATERIALIZED ({ours}), there AS (SELECT count(*) AS n FROM {name} AS c \
                 JOIN ours ON {is_of_ours}), gone AS (DELETE FROM {name} AS c USING ours WHERE {is_of_ours} RETURNING 1) {}",
                unless(&format!("(SELECT n FROM there) = (SELECT count(*) FROM gone){and}"))
            ))
        };
        let written = |first| {
            format!(
                "SELECT g.tenant, g.key FROM unnest({}) AS g (tenant, key) JOIN {of_parent} AS t ON {is_it} \
                 WHERE {is_ours}",
                ids_given(first)
            )
        };
        let are_all = format!("(SELECT count(*) FROM ours) = current_setting('{WROTE}')::bigint");
        let cells: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
        let arrays = columns.iter().zip(4..).map(|((_, kind), at)| format!(", ${at}::{}", given_as(*kind)));
        let of_enum = |column: &str| {
            let it = enums.iter().find(|(of, name, _)| *of == child.table && name == column);
            it.map(|(.., kind)| kind.clone())
        };
        let casts = columns.iter().zip(&cells);
        let casts = casts.map(|((name, kind), cell)| match of_enum(name).or_else(|| cast_of(*kind)) {
            Some(kind) => format!("g.{cell}::{kind}"),
            None => format!("g.{cell}"),
        });
        let casts: Vec<String> = casts.collect();
        let ids = child.ids().into_iter().map(q).collect::<Vec<_>>().join(", ");
        let given_ids = if child.ids().len() == 1 { "g.key" } else { "g.tenant, g.key" };
        let names: Vec<String> = columns.iter().map(|(name, _)| q(name)).collect();
        let insert = format!(
            "WITH ours AS MATERIALIZED ({}), g AS MATERIALIZED (SELECT g.* FROM unnest({}, $3::bigint[]{}) \
             AS g (tenant, key, position, {}) JOIN {of_parent} AS t ON {is_it} WHERE {is_ours}), \
             i AS (INSERT INTO {name} ({ids}, {position}, {}) SELECT {given_ids}, g.position, {} FROM g RETURNING 1) {}",
            written(columns.len() + 4),
            ids_given(1),
            arrays.collect::<String>(),
            cells.join(", "),
            names.join(", "),
            casts.join(", "),
            unless(&format!("(SELECT count(*) FROM g) = (SELECT count(*) FROM i) AND {are_all}"))
        );
        Self {
            asked,
            clear: clear(&written(1), &format!(" AND {are_all}")),
            clear_deleted: deleted.map(|deleted| clear(deleted, "")),
            insert: sql(insert),
        }
    }

    /// Removes the rows of records that this transaction has written.
    pub(super) fn clear(&self, records: &[(&Id, &Record)]) -> Result<Statement<Postgres>, StoreError> {
        let ids = Given::default().ids(records.iter().map(|(id, _)| *id))?;
        Ok(Statement::prepared(&self.clear, ids.0))
    }

    /// Inserts the rows of records that this transaction has written. `rows`: the cells of each record for this table.
    pub(super) fn insert(
        &self,
        child: &Child,
        records: &[(&Id, &Record)],
        rows: impl Iterator<Item = Cell>,
    ) -> Result<Option<Statement<Postgres>>, StoreError> {
        let of_records = records.iter().zip(rows).flat_map(|((id, _), cell)| {
            let rows = if let Cell::Rows(rows) = cell { rows } else { Vec::new() };
            rows.into_iter().map(|row| (*id, row))
        });
        let rows: Vec<(&Id, Vec<Cell>)> = of_records.collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let given = Given::default().ids(rows.iter().map(|(id, _)| *id))?;
        let given = column(given, ColumnType::Bigint, rows.iter().map(|(_, row)| &row[0]))?;
        let mut kinds = child.elements.types().zip(1..);
        let given = kinds
            .try_fold(given, |given, (kind, at)| column(given, kind, rows.iter().map(|(_, row)| &row[at])));
        let given = given?.ids(records.iter().map(|(id, _)| *id))?;
        Ok(Some(Statement::prepared(&self.insert, given.0)))
    }

    /// Removes the rows of tombstones whose records are about to be deleted.
    pub(super) fn clear_deleted(
        &self,
        records: &[(&Id, &Record)],
    ) -> Result<Option<Statement<Postgres>>, StoreError> {
        let Some(clear) = &self.clear_deleted else { return Ok(None) };
        Ok(Some(Statement::prepared(clear, tombstones(records)?.0)))
    }
}

/// A query that answers nothing, or fails if this is not so: something kept the statement from writing a row.
fn unless(condition: &str) -> String {
    format!("SELECT {} WHERE NOT ({condition})", undo())
}
