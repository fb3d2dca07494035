//! The leader's row.

use std::{convert::Infallible, fmt, time::Duration};

use async_trait::async_trait;
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgArguments, PgQueryResult},
    query::Query,
};
use tokio::time::sleep;

use super::{
    connections::{Connections, Turn},
    failure::Failure,
};
use crate::store::{
    Error, Seat, SeatStore, Term,
    sql::row::{int, number, text},
};

/// What this program reads and writes: columns, documents and records. Raise it if an older program would misread or
/// drop something. That one never leads again after this one has led.
const FORMAT: i64 = 1;

/// How long taking over waits for transactions of the last leader before it ends those that are frozen.
const WAIT: Duration = Duration::from_millis(500);

/// Has a connection of its own, so that no commit delays a beat.
pub(super) struct PostgresSeat {
    pub(super) schema: String,
    pub(super) place: String,
    pub(super) connection: Connections,
}

impl fmt::Debug for PostgresSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: its options have the password.
        f.debug_struct("PostgresSeat").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl SeatStore for PostgresSeat {
    async fn read(&self) -> Result<Seat, Error> {
        let mut turn = self.turn().await?;
        let row = sqlx::query("SELECT epoch, beat, holder, format, history_id FROM leader, counter");
        let row = row.fetch_one(&mut *turn).await.map_err(|error| self.failed(&error))?;
        turn.give_back();
        let format = number(&row, "format")?;
        if format > FORMAT.cast_unsigned() {
            return Err(Error::Unavailable(format!(
                "a newer cutover has led {} (format {format}, this one knows {FORMAT}), so this one never leads there: \
                 upgrade it",
                self.place
            )));
        }
        let (epoch, beat) = (number(&row, "epoch")?, number(&row, "beat")?);
        Ok(Seat { epoch, beat, holder: text(&row, "holder")?, history: text(&row, "history_id")? })
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        let mut turn = self.turn().await?;
        let backend = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *turn).await;
        let backend = backend.map_err(|error| self.failed(&error))?;
        let taken = tokio::select! {
            taken = taken(&mut turn, seen, holder, &self.schema) => taken,
            never = self.end_frozen(backend) => match never {},
        };
        let taken = taken.map_err(|error| self.failed(&error))?;
        turn.give_back();
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
        let mut turn = self.turn().await?;
        let done: PgQueryResult = statement.execute(&mut *turn).await.map_err(|error| self.failed(&error))?;
        turn.give_back();
        Ok(done.rows_affected() == 1)
    }

    /// Not checked: an attempt that fails is repeated.
    async fn turn(&self) -> Result<Turn<'_>, Error> {
        self.connection.unchecked_turn().await.map_err(|error| self.failed(&error))
    }

    /// Ends the sessions that a session waits for and whose client is silent. The server ends one that is silent between
    /// statements by itself, but not one whose client was frozen after it had sent a part of a statement.
    async fn end_frozen(&self, waits: i32) -> Infallible {
        loop {
            sleep(WAIT).await;
            // Not one that waits for a standby of PostgreSQL: it has committed. Materialized, so that the server can't
            // evaluate the call for any other session.
            let end = sqlx::query_scalar(
                "WITH frozen AS MATERIALIZED (
                   SELECT pid FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids($1)) AND pid <> pg_backend_pid()
                   AND backend_type = 'client backend' AND datname = current_database() AND usename = session_user
                   AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - interval '2 seconds')
                 SELECT pg_terminate_backend(pid) FROM frozen",
            );
            let ended = async {
                let mut another = self.connection.another().await?;
                let ended: Vec<bool> = end.bind(waits).fetch_all(&mut another).await?;
                another.close().await?;
                Ok::<_, sqlx::Error>(ended)
            };
            match ended.await {
                Ok(ended) if ended.is_empty() => {}
                Ok(ended) => tracing::warn!(
                    ?ended,
                    "ended sessions of the last leader that were silent in a transaction"
                ),
                Err(error) => tracing::warn!(%error, "could not end sessions of the last leader"),
            }
        }
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        Failure::of(error).into_error(&self.place)
    }
}
