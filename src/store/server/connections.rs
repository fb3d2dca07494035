//! Connections that are used by turns. One that is given up in between is closed, so a connection that hangs keeps nobody
//! waiting for longer than whoever used it.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::Connection as _;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{dialect::Dialect, statement::Statement};

/// Longest wait for a turn. A write waits for the one before it.
const TURN: Duration = Duration::from_secs(8);
/// Longest wait for the server to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an open connection to answer before another one is opened.
const CHECK: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Connection<D: Dialect> {
    pub(super) dialect: Arc<D>,
    pub(super) inner: D::Connection,
}

impl<D: Dialect> Connection<D> {
    pub(super) async fn execute(&mut self, text: &str) -> Result<(), sqlx::Error> {
        self.dialect.execute(&mut self.inner, text).await
    }

    /// Returns how many rows were found and changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, sqlx::Error> {
        self.dialect.run(&mut self.inner, statement).await
    }

    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<D::Row>, sqlx::Error> {
        self.dialect.rows(&mut self.inner, statement).await
    }

    /// The only row.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Result<D::Row, sqlx::Error> {
        self.dialect.row(&mut self.inner, statement).await
    }
}

pub(super) struct Connections<D: Dialect> {
    dialect: Arc<D>,
    turns: Semaphore,
    idle: Mutex<Vec<Connection<D>>>,
}

impl<D: Dialect> Connections<D> {
    /// At most so many. They are opened when they are needed.
    pub(super) fn new(dialect: &Arc<D>, most: usize) -> Self {
        Self { dialect: dialect.clone(), turns: Semaphore::new(most), idle: Mutex::default() }
    }

    /// A connection that answers.
    pub(super) async fn turn(&self) -> Result<Turn<'_, D>, sqlx::Error> {
        let mut turn = self.unchecked_turn().await?;
        if !matches!(timeout(CHECK, turn.connection.inner.ping()).await, Ok(Ok(()))) {
            turn.connection = self.another().await?;
        }
        Ok(turn)
    }

    /// A new connection, which knows the server's settings as they are now.
    pub(super) async fn new_turn(&self) -> Result<Turn<'_, D>, sqlx::Error> {
        let permit = self.permit().await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Turn { from: self, connection: self.another().await?, _permit: permit })
    }

    /// A connection that may have ended since it was used last.
    pub(super) async fn unchecked_turn(&self) -> Result<Turn<'_, D>, sqlx::Error> {
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
    pub(super) async fn another(&self) -> Result<Connection<D>, sqlx::Error> {
        let opened = timeout(CONNECT, self.dialect.connect()).await;
        let inner = opened.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        Ok(Connection { dialect: self.dialect.clone(), inner })
    }
}

/// Dropped, it closes its connection.
pub(super) struct Turn<'a, D: Dialect> {
    from: &'a Connections<D>,
    connection: Connection<D>,
    _permit: SemaphorePermit<'a>,
}

impl<D: Dialect> Turn<'_, D> {
    /// Nothing is under way on the connection, so somebody else may use it.
    pub(super) fn give_back(self) {
        self.from.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
    }
}

impl<D: Dialect> Deref for Turn<'_, D> {
    type Target = Connection<D>;

    fn deref(&self) -> &Connection<D> {
        &self.connection
    }
}

impl<D: Dialect> DerefMut for Turn<'_, D> {
    fn deref_mut(&mut self) -> &mut Connection<D> {
        &mut self.connection
    }
}
