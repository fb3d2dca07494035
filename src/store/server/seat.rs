//! The leader's row.

use std::fmt;

use async_trait::async_trait;

use super::{
    begin_history,
    connections::{Connection, Connections, Turn},
    dialect::{Dialect, Size},
    failure::missing,
    statement::Statement,
};
use crate::store::{
    Error, Seat, SeatStore, Term,
    sql::row::{Columns as _, int, number, text},
};

/// What this program reads and writes: columns, documents and records. Raise it if an older program would misread or
/// drop something. That one never leads again after this one has led.
///
/// 2: documents have the tables that passes work with, and a running pass says which of them are new. Without these, a
/// pass over other tables opens gates.
///
/// 3: an instance says how it splits versions. An older program would give a process of layout 0 a slot with which a process of
/// layout 1 could stamp the same version.
pub(super) const FORMAT: i64 = 3;

/// The table of the row.
const LEADER: &str = "leader";

/// Has a connection of its own, so that no commit delays a beat.
pub(super) struct ServerSeat<D: Dialect> {
    pub(super) place: String,
    pub(super) connection: Connections<D>,
}

impl<D: Dialect> fmt::Debug for ServerSeat<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: its options have the password.
        f.debug_struct("ServerSeat").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl<D: Dialect> SeatStore for ServerSeat<D> {
    async fn read(&self) -> Result<Seat, Error> {
        let mut turn = self.turn().await?;
        // Also the fence: without its row nobody could commit.
        let tables = [seat_tables::<D>(), vec!["counter"]].concat().join(", ");
        let row = format!(
            "SELECT leader.epoch, leader.beat, leader.holder, leader.format, counter.history_id FROM {tables}"
        );
        let row =
            turn.rows(Statement::new(row)).await.and_then(|mut rows| rows.pop().ok_or(missing(&tables)));
        let row = row.map_err(|error| self.failed(&error))?;
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
        let dialect = turn.dialect.clone();
        let session = dialect.session(&mut turn.inner).await.map_err(|error| self.failed(&error))?;
        let taken = tokio::select! {
            taken = taken(&mut turn, seen, holder) => taken,
            never = dialect.end_frozen(session) => match never {},
        };
        let taken = taken.map_err(|error| self.failed(&error))?;
        if taken {
            turn.give_back();
        }
        Ok(taken)
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        let mut turn = self.turn().await?;
        // Not at a replica that was promoted meanwhile: the seat has to be taken there.
        let (database, and_here) = (D::DATABASE, turn.dialect.and_here());
        let beat = format!(
            r#"UPDATE leader SET beat = beat + 1 WHERE epoch = ? AND holder = ? AND "database" = {database}{and_here}"#
        );
        let beat = Statement::new(beat).int(int(term.epoch)).text(&term.holder);
        let found = turn.run(beat).await.map_err(|error| self.failed(&error))?;
        // Otherwise the next connection says whether the server can be used.
        if found == 1 {
            turn.give_back();
        }
        Ok(found == 1)
    }

    async fn vacate(&self, term: &Term) -> Result<(), Error> {
        let mut turn = self.turn().await?;
        vacated(&mut turn, term).await.map_err(|error| self.failed(&error))?;
        turn.give_back();
        Ok(())
    }
}

/// Leaves the seat in the next epoch already: nothing of this term is committed any more.
async fn vacated<D: Dialect>(connection: &mut Connection<D>, term: &Term) -> Result<(), sqlx::Error> {
    connection.execute(&connection.dialect.begin(Size::default())).await?;
    for table in seat_tables::<D>() {
        let left =
            format!("UPDATE {table} SET epoch = epoch + 1, holder = '' WHERE epoch = ? AND holder = ?");
        connection.run(Statement::new(left).int(int(term.epoch)).text(&term.holder)).await?;
    }
    connection.execute(D::COMMIT).await
}

/// The fence first: that waits for transactions of the leader that are under way.
fn seat_tables<D: Dialect>() -> Vec<&'static str> {
    let mut tables = vec![D::FENCE, LEADER];
    tables.dedup();
    tables
}

/// Takes the seat. If the last leader had another database, or another timeline of it, commits may be missing: then this
/// begins another history, as for a store that was put back, and the controller holds everybody.
async fn taken<D: Dialect>(
    connection: &mut Connection<D>,
    seen: &Seat,
    holder: &str,
) -> Result<bool, sqlx::Error> {
    let (database, and_here) = (D::DATABASE, connection.dialect.and_here());
    connection.execute(&connection.dialect.begin(Size::default())).await?;
    if D::FENCE != LEADER {
        connection.rows(Statement::new(format!("SELECT epoch FROM {} FOR UPDATE", D::FENCE))).await?;
    }
    let before = format!(
        r#"SELECT "database" AS before_it, {database} AS is_now FROM leader
           WHERE epoch = ? AND beat = ? AND holder = ? AND format <= ?{and_here} FOR UPDATE"#
    );
    let before =
        Statement::new(before).int(int(seen.epoch)).int(int(seen.beat)).text(&seen.holder).int(FORMAT);
    let Some(row) = connection.rows(before).await?.pop() else {
        connection.execute(D::ROLLBACK).await?;
        return Ok(false);
    };
    let (before, now) = (row.get_text("before_it")?, row.get_text("is_now")?);
    for table in seat_tables::<D>() {
        let next = format!(r#"UPDATE {table} SET epoch = ?, holder = ?, "database" = ?"#);
        connection.run(Statement::new(next).int(int(seen.epoch) + 1).text(holder).text(now)).await?;
    }
    connection.run(Statement::new("UPDATE leader SET beat = 0, format = ?").int(FORMAT)).await?;
    if !before.is_empty() && before != now {
        let why = format!(
            "the last leader used {} {before}, this is {now}: after a failover or a restore, committed changes may be missing",
            D::IDENTITY
        );
        tracing::error!(before, database = now, "{why}");
        begin_history(connection, &why).await?;
    }
    connection.execute(D::COMMIT).await?;
    Ok(true)
}

impl<D: Dialect> ServerSeat<D> {
    /// Not checked: an attempt that fails is repeated.
    async fn turn(&self) -> Result<Turn<'_, D>, Error> {
        self.connection.unchecked_turn().await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        D::failed(error).into_error(&self.place)
    }
}
