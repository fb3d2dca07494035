//! The leader's row.

use std::fmt;

use async_trait::async_trait;
use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgArguments, PgConnectOptions, PgQueryResult},
    query::Query,
};
use tokio::sync::Mutex;

use super::{failure::Failure, session::check};
use crate::store::{
    Error, Seat, SeatStore, Term,
    sql::row::{int, number, text},
};

/// What this program reads and writes: columns, documents and records. Raise it if an older program would misread or
/// drop something. That one never leads again after this one has led.
const FORMAT: i64 = 1;

/// Has a connection of its own, so that no commit delays a beat.
pub(super) struct PostgresSeat {
    pub(super) connect: PgConnectOptions,
    pub(super) schema: String,
    pub(super) place: String,
    /// `None` while it is used: what is given up in between closes it.
    pub(super) connection: Mutex<Option<PgConnection>>,
}

impl fmt::Debug for PostgresSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options: they have the password.
        f.debug_struct("PostgresSeat").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl SeatStore for PostgresSeat {
    async fn read(&self) -> Result<Seat, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.connected(place.take()).await?;
        let row =
            sqlx::query("SELECT epoch, beat, holder, format FROM leader").fetch_one(&mut connection).await;
        let row = row.map_err(|error| self.failed(&error))?;
        *place = Some(connection);
        let format = number(&row, "format")?;
        if format > FORMAT.cast_unsigned() {
            return Err(Error::Unavailable(format!(
                "a newer cutover has led {} (format {format}, this one knows {FORMAT}), so this one never leads there: \
                 upgrade it",
                self.place
            )));
        }
        Ok(Seat { epoch: number(&row, "epoch")?, beat: number(&row, "beat")?, holder: text(&row, "holder")? })
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.connected(place.take()).await?;
        let taken = taken(&mut connection, seen, holder, &self.schema).await;
        let taken = taken.map_err(|error| self.failed(&error))?;
        *place = Some(connection);
        Ok(taken)
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        // Not at a standby that was promoted meanwhile: the seat has to be taken there.
        let beat = sqlx::query(
            "UPDATE leader SET beat = beat + 1 WHERE epoch = $1 AND holder = $2
             AND database = current_setting('cutover.database', true)",
        )
        .bind(int(term.epoch))
        .bind(&term.holder);
        self.change(beat).await
    }

    async fn vacate(&self, term: &Term) -> Result<(), Error> {
        // The next epoch already: nothing of this term is committed any more.
        let left =
            sqlx::query("UPDATE leader SET epoch = epoch + 1, holder = '' WHERE epoch = $1 AND holder = $2")
                .bind(int(term.epoch))
                .bind(&term.holder);
        self.change(left).await.map(drop)
    }
}

/// Takes the seat. If the last leader had another database, or another timeline of it, commits may be missing: then this
/// begins another history, as for a store that was put back, and the controller holds everybody.
async fn taken(
    connection: &mut PgConnection,
    seen: &Seat,
    holder: &str,
    schema: &str,
) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    // This waits for commits of the last leader that are under way.
    let before: Option<(String, String)> = sqlx::query_as(
        "SELECT database, current_setting('cutover.database') FROM leader
         WHERE epoch = $1 AND beat = $2 AND holder = $3 AND format <= $4 AND current_schema() = $5 FOR UPDATE",
    )
    .bind(int(seen.epoch))
    .bind(int(seen.beat))
    .bind(&seen.holder)
    .bind(FORMAT)
    .bind(schema)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((before, database)) = before else { return Ok(false) };
    sqlx::query("UPDATE leader SET epoch = epoch + 1, beat = 0, holder = $1, format = $2, database = $3")
        .bind(holder)
        .bind(FORMAT)
        .bind(&database)
        .execute(&mut *tx)
        .await?;
    if !before.is_empty() && before != database {
        let why = format!(
            "the last leader used PostgreSQL {before}, this is {database} (system/timeline): after a failover or a \
             restore, committed changes may be missing"
        );
        tracing::error!(before, database, "{why}");
        super::begin_history(&mut tx, &why).await?;
    }
    tx.commit().await?;
    Ok(true)
}

impl PostgresSeat {
    /// True: the row was changed.
    async fn change(&self, statement: Query<'_, sqlx::Postgres, PgArguments>) -> Result<bool, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.connected(place.take()).await?;
        let done: PgQueryResult =
            statement.execute(&mut connection).await.map_err(|error| self.failed(&error))?;
        *place = Some(connection);
        Ok(done.rows_affected() == 1)
    }

    async fn connected(&self, open: Option<PgConnection>) -> Result<PgConnection, Error> {
        if let Some(connection) = open {
            return Ok(connection);
        }
        let mut connection = self.connect.connect().await.map_err(|error| self.failed(&error))?;
        check(&mut connection, &self.schema).await.map_err(|error| self.failed(&error))?;
        Ok(connection)
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        Failure::of(error).into_error(&self.place)
    }
}
