//! The identity of a table and its server.

use std::collections::HashMap;

use sqlx::MySql;

use super::{
    super::{
        Identity, StoreError,
        sql::{Calls, Statement},
    },
    server::text,
};

/// Variables that identify a server; the first one that it has is used. Servers of a cluster have the same
/// data and the same identifier. MariaDB has no `server_uuid`, and only newer versions have a `server_uid`.
const NAMES: [&str; 4] =
    ["wsrep_cluster_state_uuid", "group_replication_group_name", "server_uuid", "server_uid"];

/// The identity of a table in the connections' database.
pub(super) async fn identity(calls: &Calls<MySql>, table: &str) -> Result<Identity, StoreError> {
    let asked = NAMES.map(|name| format!("'{name}'")).join(", ");
    let variables = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({asked}, 'hostname', 'port')");
    // Galera reports it as a status.
    let status = format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({asked})");
    let mut known = HashMap::new();
    for sql in [variables, status] {
        let rows = calls.rows(&Statement::text(sql)).await?;
        known.extend(rows.iter().map(|row| (text(row, 0).to_ascii_lowercase(), text(row, 1))));
    }
    let rows = calls.rows(&Statement::text("SELECT DATABASE()".to_owned())).await?;
    let database = rows.first().map(|row| text(row, 0)).unwrap_or_default();
    let (server, at) = server(&known);
    Ok(Identity::of_table(
        format!("{server} {database}.{table}"),
        format!("{database}.{table} on {at} ({server})"),
    ))
}

/// What identifies a server that has these variables, and its address.
fn server(known: &HashMap<String, String>) -> (String, String) {
    let value = |name: &str| known.get(name).map(String::as_str).unwrap_or_default();
    // A server that is in no cluster has an id of zeros.
    let is_one = |name: &str| value(name).bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    let at = format!("{}:{}", value("hostname"), value("port"));
    let server = match NAMES.into_iter().find(|name| is_one(name)) {
        Some(name) => format!("{name} {}", value(name)),
        None => format!("server {at}"),
    };
    (server, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_differ_unless_they_are_one_cluster() {
        let of = |host: &str, more: &[(&str, &str)]| {
            let address = [("hostname", host), ("port", "3306")];
            let all = address.iter().chain(more);
            server(&all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).0
        };
        let none = ("wsrep_cluster_state_uuid", "00000000-0000-0000-0000-000000000000");
        for name in ["server_uuid", "server_uid"] {
            assert_ne!(of("db", &[none, (name, "a1")]), of("db", &[none, (name, "b2")]), "{name}");
            assert_eq!(of("db", &[none, (name, "a1")]), of("alias", &[none, (name, "a1")]), "{name}");
        }
        for name in ["wsrep_cluster_state_uuid", "group_replication_group_name"] {
            let [one, other] = ["a1", "b2"].map(|uuid| of(uuid, &[(name, "c3"), ("server_uuid", uuid)]));
            assert_eq!(one, other, "{name}");
            assert_ne!(one, of("a1", &[(name, "d4"), ("server_uuid", "a1")]), "another cluster");
        }
        assert_ne!(of("db-1", &[]), of("db-2", &[]), "an old MariaDB has its address alone");
    }
}
