//! Looks at a database that controllers share, also while they use it. Writes nothing.

use std::sync::Arc;

use sqlx::Connection as _;

use super::{
    ServerStore, connections::Connections, dialect::Dialect, seat::ServerSeat, statement::Statement,
};
use crate::store::{Inspected, OpenError, lease::look, sql::row::Columns as _};

/// "There is no such table", in PostgreSQL and in MySQL.
const NO_TABLE: [&str; 2] = ["42P01", "42S02"];

impl<D: Dialect> ServerStore<D> {
    /// `place` is for messages.
    pub(in crate::store) async fn inspect(dialect: D, place: String) -> Result<Inspected, OpenError> {
        let dialect = Arc::new(dialect);
        let failed = |error: sqlx::Error| {
            let code = error.as_database_error().and_then(|error| error.code());
            if code.is_some_and(|code| NO_TABLE.contains(&&*code)) {
                return OpenError::unmade(&place);
            }
            D::failed(&error).into_open_error(&place)
        };
        let mut first = Connections::new(&dialect, 1).another().await.map_err(failed)?;
        let counter = first.row(Statement::new("SELECT revision FROM counter")).await;
        drop(first.inner.close().await);
        let revision = counter.and_then(|row| row.get_int("revision")).map_err(failed)?;
        let seat = ServerSeat { place: place.clone(), connection: Connections::new(&dialect, 1) };
        let (leader, is_renewed) = look(&seat).await?;
        Ok(Inspected::Shared { revision: revision.cast_unsigned(), leader, is_renewed })
    }
}
