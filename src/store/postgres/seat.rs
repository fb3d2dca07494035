//! Ends sessions of a leader that is frozen.

use std::{convert::Infallible, time::Duration};

use sqlx::Connection as _;
use tokio::time::{sleep, timeout};

use super::Postgres;
use crate::store::server::dialect::Dialect as _;

/// How long taking over waits for transactions of the last leader before it ends those that are frozen.
const WAIT: Duration = Duration::from_millis(500);

/// Longest wait for a connection that does it.
const CONNECT: Duration = Duration::from_secs(3);

/// Ends the sessions that a session waits for and whose client is silent. The server ends one that is silent between
/// statements by itself, but not one whose client was frozen after it had sent a part of a statement.
pub(super) async fn end_frozen(postgres: &Postgres, waits: i64) -> Infallible {
    loop {
        sleep(WAIT).await;
        // Not one that waits for a standby of PostgreSQL: it has committed. Materialized, so that the server can't
        // evaluate the call for any other session.
        let end = sqlx::query_scalar(
            "WITH frozen AS MATERIALIZED (
               SELECT pid FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids($1::int)) AND pid <> pg_backend_pid()
               AND backend_type = 'client backend' AND datname = current_database() AND usename = session_user
               AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - interval '2 seconds')
             SELECT pg_terminate_backend(pid) FROM frozen",
        );
        let ended = async {
            let mut another = postgres.connect().await?;
            let ended: Vec<bool> = end.bind(waits).fetch_all(&mut another).await?;
            another.close().await?;
            Ok::<_, sqlx::Error>(ended)
        };
        match timeout(CONNECT, ended).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                tracing::warn!(?ended, "ended sessions of the last leader that were silent in a transaction")
            }
            Err(error) => tracing::warn!(%error, "could not end sessions of the last leader"),
        }
    }
}
