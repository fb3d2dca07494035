//! Where tables are, and whether they are there.

use sqlx::{Postgres, Row};

use super::super::{
    super::{
        StoreError,
        sql::{Calls, Statement, permanent},
    },
    ledger::{qualified, regclass},
};
use cutover_core::outcome::ErrorClass;

/// The schema in which the search path finds the table; if it finds none, the one in which it would be created. Asked
/// once: the table and its ledger stay together, whatever path another user has.
pub(in super::super) async fn schema_of(calls: &Calls<Postgres>, table: &str) -> Result<String, StoreError> {
    let sql = format!(
        "SELECT coalesce((SELECT nspname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace \
         WHERE pg_class.oid = to_regclass('\"{table}\"')), current_schema())::text"
    );
    match calls.rows(&Statement::text(sql)).await?.first().and_then(|row| row.try_get(0).ok()) {
        Some(schema) => Ok(schema),
        None => {
            let what = "no schema of the search path exists: set search_path for the user".to_owned();
            Err(permanent(ErrorClass::Other, "table", what))
        }
    }
}

/// Whether there is such a table.
pub(in super::super) async fn exists(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &str,
) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 WHERE {} IS NOT NULL", regclass(schema, table));
    Ok(!calls.rows(&Statement::text(sql)).await?.is_empty())
}

/// Whether the table has a row; `None`: there is no such table.
pub(in super::super) async fn has_rows(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &str,
) -> Result<Option<bool>, StoreError> {
    if !exists(calls, schema, table).await? {
        return Ok(None);
    }
    let sql = format!("SELECT 1 FROM {} LIMIT 1", qualified(schema, table));
    Ok(Some(!calls.rows(&Statement::text(sql)).await?.is_empty()))
}
