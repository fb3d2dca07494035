//! The columns of tenant and key: what they hold, and which ids they take.

use sqlx::Postgres;

use super::{
    super::{
        Id, StoreError,
        mapping::{Dialect, Fields, SqlTable},
        sql::{Calls, Keys, Length, Statement, check_lengths, ending_blank},
    },
    PostgresStore,
    column::Column,
    ledger::regclass,
    server::text,
};

/// What the columns of tenant and key hold. Columns that are not there, or can't be keys, count as texts.
pub(super) async fn keys(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Keys, StoreError> {
    let columns = columns(calls, &regclass(schema, &table.name)).await?;
    let of = |name: &String| {
        columns.iter().find(|column| column.name == *name).and_then(Column::key).unwrap_or_default()
    };
    let Fields { tenant, key, .. } = &table.fields;
    Ok(Keys {
        tenant: of(tenant),
        key: of(key),
        names: [tenant.clone(), key.clone()],
        has_ledger: table.has_ledger(),
    })
}

/// What is behind the collation "default": the database's locale, and the version of the library that sorts by it. Servers
/// before 15 do not say which version a database has, but all collations of a library have the library's. Each version of
/// PostgreSQL has other columns for the locale of an ICU database.
const DEFAULT_COLLATION: &str = "(SELECT concat_ws(' ', datcollate, to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale', \
     (SELECT pg_collation_actual_version(oid) FROM pg_collation \
     WHERE collprovider::text = coalesce(to_jsonb(d)->>'datlocprovider', 'c') \
     AND coalesce(collcollate, '') !~ '^(C|POSIX)([.]|$)' ORDER BY oid LIMIT 1)) \
     FROM pg_database AS d WHERE datname = current_database())";

/// All columns of a table. 950 and 951 are the collations "C" and "POSIX", 100 is "default". Anybody may give
/// others these names.
pub(super) async fn columns(calls: &Calls<Postgres>, of_table: &str) -> Result<Vec<Column>, StoreError> {
    let columns = format!(
        "SELECT attname::text, format_type(atttypid, atttypmod), \
         CASE WHEN attcollation = 0 THEN '' WHEN attcollation IN (950, 951) THEN ' COLLATE \"C\"' \
         ELSE ' COLLATE ' || (SELECT CASE WHEN nspname = 'pg_catalog' THEN '' ELSE quote_ident(nspname) || '.' END \
         || '\"' || replace(collname, '\"', '\"\"') || '\"' \
         FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = collnamespace WHERE c.oid = attcollation) END, \
         NOT attnotnull, atthasdef OR attidentity <> '', \
         CASE WHEN attgenerated <> '' THEN 'EXPRESSION' WHEN attidentity = 'a' THEN 'IDENTITY' ELSE '' END, \
         ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = atttypid), \
         EXISTS (SELECT FROM pg_collation WHERE oid = attcollation AND NOT collisdeterministic), \
         CASE WHEN attcollation = 100 THEN {DEFAULT_COLLATION} \
         ELSE (SELECT coalesce(pg_collation_actual_version(oid), '') FROM pg_collation WHERE oid = attcollation) END, \
         CASE WHEN atttypmod >= 4 AND atttypid IN ('varchar'::regtype, 'bpchar'::regtype) THEN atttypmod - 4 END, \
         current_setting('server_encoding') \
         FROM pg_attribute WHERE attrelid = {of_table} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    Ok(calls.rows(&Statement::text(columns)).await?.iter().map(Column::of).collect())
}

/// The columns of tenant and key that have a length, with that as it is now.
async fn lengths(calls: &Calls<Postgres>, schema: &str, table: &SqlTable) -> Result<Vec<Length>, StoreError> {
    let ids: Vec<String> = table.ids().iter().map(|id| format!("'{id}'")).collect();
    let sql = format!(
        "SELECT attname::text, (atttypmod - 4)::text FROM pg_attribute WHERE attrelid = {} AND atttypmod >= 4 \
         AND atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND attname IN ({})",
        regclass(schema, &table.name),
        ids.join(", ")
    );
    let rows = calls.rows(&Statement::text(sql)).await?;
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1).parse().unwrap_or(usize::MAX))).collect())
}

/// Refuses ids of which the table, a child table or the ledger would cut the blanks at the end.
async fn check_ids(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
    ids: impl Iterator<Item = &Id>,
) -> Result<(), StoreError> {
    let ids = ending_blank(ids);
    if ids.is_empty() {
        return Ok(());
    }
    check_lengths(table, &lengths(calls, schema, table).await?, &ids)?;
    for child in table.children() {
        let child = table.of_child(child);
        check_lengths(&child, &lengths(calls, schema, &child).await?, &ids)?;
    }
    let Some(ledger) = table.entries(Dialect::Postgres) else { return Ok(()) };
    check_lengths(&ledger, &lengths(calls, schema, &ledger).await?, &ids)
}

impl PostgresStore {
    /// Refuses ids that the columns would change.
    pub(super) async fn check_ids(
        &self,
        ids: impl Iterator<Item = &Id> + Clone + Send,
    ) -> Result<(), StoreError> {
        self.layout.keys.check(ids.clone())?;
        check_ids(&self.calls, &self.schema, &self.layout.table, ids).await
    }
}
