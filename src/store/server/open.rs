//! Opens the database, and brings its schema up to date.

use std::sync::{Arc, atomic::AtomicU64};

use sqlx::Connection as _;

use super::{
    ServerStore,
    connections::Connections,
    dialect::{Dialect, Order},
    failure::Failure,
    seat::ServerSeat,
    statement::Statement,
    transaction::Writer,
};
use crate::store::{Leader, Lease, OpenError, sql::row::Columns as _};

/// Connections that only read.
const READERS: usize = 4;
/// The same for what is published, and one that asks whether the store answers.
const FOLLOWERS: usize = 2;

impl<D: Dialect> ServerStore<D> {
    /// Opens a database, and creates the tables if there are none. Nothing else is written before this controller leads:
    /// [`Store::lease`](crate::store::Store::lease). `place` is for messages.
    pub(in crate::store) async fn open(dialect: D, place: String) -> Result<Self, OpenError> {
        let failed = |error: sqlx::Error| D::failed(&error).into_open_error(&place);
        let dialect = Arc::new(dialect);
        let connections = |most| Connections::new(&dialect, most);
        let readers = connections(READERS);
        let mut first = readers.another().await.map_err(failed)?;
        let lease = Arc::new(Lease::new(ServerSeat { place: place.clone(), connection: connections(1) }));
        dialect.prepare(&mut first.inner, &place, &lease).await?;

        // The counter and the newest event can differ only if somebody changed the tables.
        let newest = Statement::new(
            "SELECT revision, (SELECT coalesce(max(revision), 0) FROM events) AS newest FROM counter",
        );
        let row = first.row(newest).await.map_err(failed)?;
        let (revision, newest) =
            (row.get_int("revision").map_err(failed)?, row.get_int("newest").map_err(failed)?);
        drop(first.inner.close().await);
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
            place,
            dialect,
        })
    }
}

/// Why the schema is not brought up to date.
pub(in crate::store) fn led(leader: &Leader, place: &str) -> OpenError {
    let who = match leader {
        Leader::Known(name) => format!("{name} leads there"),
        Leader::Nobody => "others try to lead there".to_owned(),
        Leader::Unknown(why) => why.clone(),
    };
    OpenError::Unavailable(format!(
        "{place} has the schema of an older cutover, and {who}: stop all older controllers, then start this one again"
    ))
}
