//! Opens the database, and brings its schema up to date.

use std::sync::{Arc, atomic::AtomicU64};

use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::{
    PostgresStore,
    connections::Connections,
    failure::Failure,
    migrations::migrate,
    seat::PostgresSeat,
    session::with_settings,
    shown,
    transaction::{Order, Writer},
    url::split,
};
use crate::store::{Leader, Lease, OpenError};

/// Connections that only read.
const READERS: usize = 4;
/// The same for what is published, and one that asks whether the store answers.
const FOLLOWERS: usize = 2;

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

        let connections = |most| Connections::new(&connect, &schema, most);
        let readers = connections(READERS);
        let mut first = readers.another().await.map_err(failed)?;
        let encoding: String =
            sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut first).await.map_err(failed)?;
        if encoding != "UTF8" {
            return Err(OpenError::Place(format!(
                "{place} is in {encoding}, which can't store every name: create a database WITH ENCODING 'UTF8'"
            )));
        }
        let seat = PostgresSeat { schema: schema.clone(), place: place.clone(), connection: connections(1) };
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
        let writer = |order| Writer { order, connection: connections(1) };
        Ok(Self {
            commits: writer(None),
            records: writer(Some(Order::Records)),
            windows: writer(Some(Order::Windows)),
            readers,
            followers: connections(FOLLOWERS),
            lease,
            known: AtomicU64::new(0),
            schema,
            place,
        })
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
