//! Opens the database, and brings its schema up to date.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::Mutex;

use super::{
    PostgresStore,
    failure::Failure,
    migrations::migrate,
    seat::PostgresSeat,
    session::{check, with_settings},
    shown,
    url::split,
};
use crate::store::{Leader, Lease, OpenError};

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
            OpenError::Url(format!("malformed URL {place}: {error}. Give postgres://USER@HOST:5432/DATABASE, and in a password write %2F \
                 for /, %3F for ?, %40 for @"))
        })?;
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("cutover"),
        };
        let connect = with_settings(connect.disable_statement_logging(), &schema);
        let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(&place);

        let first = tokio::time::timeout(CONNECT, PgConnection::connect_with(&connect)).await;
        let no_answer = |_| OpenError::Unavailable(format!("{place} does not answer"));
        let mut first = first.map_err(no_answer)?.map_err(failed)?;
        check(&mut first, &schema).await.map_err(failed)?;
        let seat = PostgresSeat {
            connect: connect.clone(),
            schema: schema.clone(),
            place: place.clone(),
            connection: Mutex::default(),
        };
        let lease = Arc::new(Lease::new(seat));
        let mut tx = first.begin().await.map_err(failed)?;
        let is_done = migrate(&mut tx, &schema, &place, None).await?;
        tx.commit().await.map_err(failed)?;
        if !is_done {
            // An older program may lead there, and would write as before.
            lease
                .lead_or_refuse("a controller that migrates the schema")
                .await
                .map_err(|leader| led(&leader, &place))?;
            let mut tx = first.begin().await.map_err(failed)?;
            if !migrate(&mut tx, &schema, &place, lease.term().as_ref()).await? {
                return Err(led(&Leader::Nobody, &place));
            }
            tx.commit().await.map_err(failed)?;
            lease.vacate().await;
        }

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
        Ok(Self { pool, lease, known: AtomicU64::new(0), schema, place })
    }
}

/// Why the schema is not brought up to date.
fn led(leader: &Leader, place: &str) -> OpenError {
    let who = match leader {
        Leader::Known(name) => format!("{name} leads there"),
        Leader::Nobody => "others try to lead there".to_owned(),
        Leader::Unknown(why) => why.clone(),
    };
    OpenError::Unavailable(format!(
        "{place} has the schema of an older cutover, and {who}: stop all older controllers, then start this one again"
    ))
}

fn pool(connect: &PgConnectOptions, schema: &str) -> PgPool {
    let schema = schema.to_owned();
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT)
        .after_connect(move |connection, _| {
            let schema = schema.clone();
            Box::pin(async move { check(connection, &schema).await })
        })
        .connect_lazy_with(connect.clone())
}
