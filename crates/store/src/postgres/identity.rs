//! The identity of a table and its server.

use sqlx::Postgres;

use super::{
    super::{
        Identity, StoreError,
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
    table: &str,
) -> Result<Identity, StoreError> {
    let of_table = regclass(schema, table);
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
    let rows = calls.rows(&Statement::text(system)).await;
    let system = server(rows.map(|rows| rows.first().map(|row| text(row, 0)).unwrap_or_default()), &at)?;
    Ok(Identity::of_table(
        format!("{system} {database_oid} {table_oid}"),
        format!("{database}.{}.{} on {at} ({system}, table {table_oid})", schema, table),
    ))
}

/// What identifies the server at this address, which has answered with its identifier.
fn server(identifier: Result<String, StoreError>, at: &str) -> Result<String, StoreError> {
    match identifier {
        Ok(identifier) => Ok(format!("system {identifier}")),
        // The user has no privilege to ask.
        Err(StoreError::Permanent { .. }) => Ok(format!("server {at}")),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::outcome::ErrorClass;

    use super::*;

    #[test]
    fn without_a_privilege_the_address_tells_servers_apart() {
        let refused = |at| {
            let (field, what) = ("user".to_owned(), "permission denied".to_owned());
            server(Err(StoreError::Permanent { class: ErrorClass::Other, field, what }), at)
        };
        assert_eq!(refused("10.0.0.1:5432"), Ok("server 10.0.0.1:5432".to_owned()));
        assert_ne!(refused("10.0.0.1:5432"), refused("10.0.0.2:5432"));
        let [one, other] = ["71", "72"].map(|id| server(Ok(id.to_owned()), "10.0.0.1:5432"));
        assert_ne!(one, other, "a tunnel may lead from one address to two");
        assert_eq!(one, server(Ok("71".to_owned()), "a socket:"), "the same by another address");
        let silent = StoreError::NotApplied { class: ErrorClass::Timeout, what: "no answer".to_owned() };
        assert_eq!(server(Err(silent.clone()), "10.0.0.1:5432"), Err(silent), "that is no identity");
    }
}
