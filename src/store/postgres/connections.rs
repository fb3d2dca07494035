//! Connections that are used by turns. One that is given up in between is closed, so a connection that hangs keeps nobody
//! waiting for longer than whoever used it.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::session::check;

/// Longest wait for a turn. A write waits for the one before it.
const TURN: Duration = Duration::from_secs(8);
/// Longest wait for the server to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an open connection to answer before another one is opened.
const CHECK: Duration = Duration::from_secs(1);

pub(super) struct Connections {
    connect: PgConnectOptions,
    schema: String,
    turns: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
}

impl Connections {
    /// At most so many. They are opened when they are needed.
    pub(super) fn new(connect: &PgConnectOptions, schema: &str, most: usize) -> Self {
        Self {
            connect: connect.clone(),
            schema: schema.to_owned(),
            turns: Semaphore::new(most),
            idle: Mutex::default(),
        }
    }

    /// A connection that answers.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, sqlx::Error> {
        let mut turn = self.unchecked_turn().await?;
        if !matches!(timeout(CHECK, turn.ping()).await, Ok(Ok(()))) {
            turn.connection = self.another().await?;
        }
        Ok(turn)
    }

    /// A connection that may have ended since it was used last.
    pub(super) async fn unchecked_turn(&self) -> Result<Turn<'_>, sqlx::Error> {
        let permit = self.permit().await?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(idle) => idle,
            None => self.another().await?,
        };
        Ok(Turn { from: self, connection, _permit: permit })
    }

    /// Waits for a turn. Dropped, it ends.
    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        let permit = timeout(TURN, self.turns.acquire()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        permit.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// One that is not counted.
    pub(super) async fn another(&self) -> Result<PgConnection, sqlx::Error> {
        let opened = async {
            let mut connection = self.connect.connect().await?;
            check(&mut connection, &self.schema).await?;
            Ok(connection)
        };
        timeout(CONNECT, opened).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// Dropped, it closes its connection.
pub(super) struct Turn<'a> {
    from: &'a Connections,
    connection: PgConnection,
    _permit: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// Nothing is under way on the connection, so somebody else may use it.
    pub(super) fn give_back(self) {
        self.from.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
    }
}

impl Deref for Turn<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
