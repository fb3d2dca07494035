//! Looks at a database that controllers share, also while they use it. Writes nothing.

use std::sync::Arc;

use sqlx::Connection as _;

use super::{
    ServerStore,
    connections::Connections,
    dialect::Dialect,
    seat::{FORMAT, ServerSeat},
    statement::Statement,
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
        let counter = first.row(Statement::new("SELECT revision, format FROM counter, leader")).await;
        let schema = first.row(Statement::new(D::SCHEMA)).await;
        drop(first.inner.close().await);
        let counter = counter.map_err(failed)?;
        let number = |name| counter.get_int(name).map(i64::cast_unsigned).map_err(failed);
        let format = (number("format")?, FORMAT.cast_unsigned());
        let revision = number("revision")?;
        let schema = schema.and_then(|row| row.get_int("version")).map_err(failed)?;
        let seat = ServerSeat { place: place.clone(), connection: Connections::new(&dialect, 1) };
        let (leader, is_renewed) = look(&seat).await?;
        Ok(Inspected::Shared {
            schema: Some((schema, D::newest_schema())),
            format,
            revision,
            leader,
            is_renewed,
        })
    }
}
