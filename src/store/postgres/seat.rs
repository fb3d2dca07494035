//! The leader's row.

use async_trait::async_trait;
use sqlx::{
    ConnectOptions as _, Executor as _, PgConnection,
    postgres::{PgArguments, PgConnectOptions, PgQueryResult},
    query::Query,
};
use tokio::sync::Mutex;

use super::{failure::Failure, session::set_up};
use crate::store::{
    Error, Seat, SeatStore, Term,
    sql::row::{int, number, text},
};

/// Has a connection of its own, so that no commit delays a beat.
#[derive(Debug)]
pub(super) struct PostgresSeat {
    pub(super) connect: PgConnectOptions,
    pub(super) schema: String,
    pub(super) place: String,
    /// `None` while it is used: what is given up in between closes it.
    pub(super) connection: Mutex<Option<PgConnection>>,
}

#[async_trait]
impl SeatStore for PostgresSeat {
    async fn read(&self) -> Result<Seat, Error> {
        let mut place = self.connection.lock().await;
        let mut connection = self.connected(place.take()).await?;
        let row = sqlx::query("SELECT epoch, beat, holder FROM leader").fetch_one(&mut connection).await;
        let row = row.map_err(|error| self.failed(&error))?;
        *place = Some(connection);
        Ok(Seat { epoch: number(&row, "epoch")?, beat: number(&row, "beat")?, holder: text(&row, "holder")? })
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        // The epoch is a key: this waits for commits of the last leader that are under way.
        let taken = sqlx::query(
            "UPDATE leader SET epoch = epoch + 1, beat = 0, holder = $4
             WHERE epoch = $1 AND beat = $2 AND holder = $3",
        )
        .bind(int(seen.epoch))
        .bind(int(seen.beat))
        .bind(&seen.holder)
        .bind(holder);
        self.change(taken).await
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        let beat = sqlx::query("UPDATE leader SET beat = beat + 1 WHERE epoch = $1 AND holder = $2")
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
        connection.execute(set_up(&self.schema)).await.map_err(|error| self.failed(&error))?;
        Ok(connection)
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        Failure::of(error).into_error(&self.place)
    }
}
