//! The identity of a table and its server.

use sqlx::Postgres;

use super::{
    super::{
        Identity, StoreError,
        mapping::SqlTable,
        sql::{Calls, Statement},
    },
    ledger::regclass,
    server::text,
};

/// The identity of a table. A physical replica shares all of it with its primary, so it may take
/// over.
pub(super) async fn identity(
    calls: &Calls<Postgres>,
    schema: &str,
    table: &SqlTable,
) -> Result<Identity, StoreError> {
    let of_table = regclass(schema, &table.name);
    let of_table = format!(
        "SELECT current_database()::text, (SELECT oid::text FROM pg_database \
         WHERE datname = current_database()), {of_table}::oid::text, \
         coalesce(host(inet_server_addr()), 'a socket'), coalesce(inet_server_port()::text, '')"
    );
    let rows = calls.rows(&Statement::text(of_table)).await?;
    let column = |at| rows.first().map(|row| text(row, at)).unwrap_or_default();
    let [database, database_oid, table_oid, host, port] = [0, 1, 2, 3, 4].map(column);
    let at = if port.is_empty() { host } else { format!("{host}:{port}") };
    let system = "SELECT system_identifier::text FROM pg_control_system()".to_owned();
    let system = match calls.rows(&Statement::text(system)).await {
        Ok(rows) => format!("system {}", rows.first().map(|row| text(row, 0)).unwrap_or_default()),
        // The user has no privilege to ask.
        Err(StoreError::Permanent { .. }) => format!("server {at}"),
        Err(error) => return Err(error),
    };
    Ok(Identity::of_table(
        format!("{system} {database_oid} {table_oid}"),
        format!("{database}.{}.{} on {at} ({system}, table {table_oid})", schema, table.name),
    ))
}
