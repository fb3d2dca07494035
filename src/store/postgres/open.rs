//! Opens the database, and brings its schema up to date.

use std::{sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Mutex;

use super::{
    PostgresStore, failure::Failure, migrations::migrate, seat::PostgresSeat, session::set_up, shown,
    url::split,
};
use crate::store::{Lease, OpenError};

/// Connections besides the lease's.
const CONNECTIONS: u32 = 7;
/// Longest wait for one.
const CONNECT: Duration = Duration::from_secs(3);
impl PostgresStore {
    /// Opens a schema of a database, and creates it if it does not exist. Nothing is written before this controller
    /// leads: [`Store::lease`](crate::store::Store::lease).
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let place = shown(url).into_owned();
        let (server, schema) = split(url)?;
        let connect: PgConnectOptions = server.parse().map_err(|error: sqlx::Error| {
            OpenError::Url(format!("malformed URL {place}: {error}. Give postgres://USER@HOST:5432/DATABASE"))
        })?;
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("cutover"),
        };
        let connect = connect.disable_statement_logging();
        let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(&place);

        let first = tokio::time::timeout(CONNECT, PgConnection::connect_with(&connect)).await;
        let no_answer = |_| OpenError::Unavailable(format!("{place} does not answer"));
        let mut first = first.map_err(no_answer)?.map_err(failed)?;
        first.execute(set_up(&schema)).await.map_err(failed)?;
        let is_standby: bool =
            sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut first).await.map_err(failed)?;
        if is_standby {
            return Err(OpenError::Unavailable(format!(
                "{place} is a standby of PostgreSQL: give the primary's address"
            )));
        }
        let mut tx = first.begin().await.map_err(failed)?;
        migrate(&mut tx, &schema, &place).await?;
        tx.commit().await.map_err(failed)?;

        // The counter and the newest event can differ only if somebody changed the tables.
        let (revision, newest): (i64, i64) =
            sqlx::query_as("SELECT revision, (SELECT coalesce(max(revision), 0) FROM events) FROM counter")
                .fetch_one(&mut first)
                .await
                .map_err(failed)?;
        drop(first.close().await);
        if revision != newest {
            let how = format!("its counter is at revision {revision}, its newest event at {newest}");
            return Err(Failure::Corrupt(how).into_open_error(&place));
        }
        let pool = pool(&connect, &schema);
        let seat = PostgresSeat { connect, schema, place: place.clone(), connection: Mutex::default() };
        Ok(Self { pool, lease: Arc::new(Lease::new(seat)), place })
    }
}

fn pool(connect: &PgConnectOptions, schema: &str) -> PgPool {
    let schema = schema.to_owned();
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT)
        .after_connect(move |connection, _| {
            let set_up = set_up(&schema);
            Box::pin(async move { connection.execute(set_up).await.map(drop) })
        })
        .connect_lazy_with(connect.clone())
}
