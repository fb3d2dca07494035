//! SQLite: one file, for a controller on one machine.
//!
//! One connection writes, a few read. The file is in WAL mode and synchronous: a commit that has returned
//! survives a crash of the process or of the machine.

mod chain;
mod commit;
mod compaction;
mod failure;
mod hold;
mod inspect;
mod open;
mod restore;
mod tokens;
mod windows;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection};

use self::commit::{Unwritten, write};
use super::{
    ChainPage, Commit, Compacted, Dropped, Error, Expired, HistoryQuery, Store, StoredState, Upkeep,
    entry::{Encoded, encoded},
    sql::{
        row::{EVENT, event, int, number},
        state::{COUNTER, CURSORS, HEARD, INSTANCES, MIGRATIONS, PASSES, TENANTS, Tables},
    },
};
use crate::domain::{Event, Key};

pub(in crate::store) use self::hold::hold;
pub(in crate::store) use self::inspect::inspect;
pub use self::open::SqliteOptions;
pub(in crate::store) use self::open::check_place;
pub(in crate::store) use self::restore::restore;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// One connection: writers queue here, not at the file's lock.
    writer: SqlitePool,
    readers: SqlitePool,
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot(&self) -> Result<StoredState, Error> {
        let mut tx = self.readers.begin().await.map_err(|error| self.failed(&error))?;
        let state = async {
            sqlx::Result::Ok(Tables {
                counter: sqlx::query(COUNTER).fetch_one(&mut *tx).await?,
                migrations: sqlx::query(MIGRATIONS).fetch_all(&mut *tx).await?,
                tenants: sqlx::query(TENANTS).fetch_all(&mut *tx).await?,
                instances: sqlx::query(INSTANCES).fetch_all(&mut *tx).await?,
                passes: sqlx::query(PASSES).fetch_all(&mut *tx).await?,
                cursors: sqlx::query(CURSORS).fetch_all(&mut *tx).await?,
                heard: sqlx::query(HEARD).fetch_all(&mut *tx).await?,
            })
        };
        state.await.map_err(|error| self.failed(&error))?.state()
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Vec<Event>, Error> {
        let query =
            format!("SELECT {EVENT}, rows FROM events WHERE revision > ?1 ORDER BY revision LIMIT ?2");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(int(since)).bind(limit);
        let rows = rows.fetch_all(&self.readers).await.map_err(|error| self.failed(&error))?;
        // Without holes, the newest always among them: a gap is what was dropped.
        if let Some(first) = rows.first() {
            let first = number(first, "revision")?;
            if first - 1 > since {
                return Err(Error::Dropped(first - 1));
            }
        }
        rows.iter().map(|row| event(row, true)).collect()
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let event = Encoded::of(&commit.event)?;
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let result = write(&mut writer, commit, &event).await;
        self.finish(writer, result).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, Error> {
        // Each condition only if it is requested, so that each finds its index.
        let mut conditions = vec!["revision < ?1"];
        conditions.extend(query.key.as_ref().map(|_| "key = ?2"));
        conditions.extend(query.request_id.as_ref().map(|_| "request_id = ?3 AND request_id <> ''"));
        let conditions = conditions.join(" AND ");
        let text = format!("SELECT {EVENT} FROM events WHERE {conditions} ORDER BY revision DESC LIMIT ?4");
        let rows = sqlx::query(AssertSqlSafe(text))
            .bind(int(query.before.unwrap_or(u64::MAX)))
            .bind(query.key.as_ref().map(Key::as_str))
            .bind(query.request_id.as_deref())
            .bind(query.limit);
        let rows = rows.fetch_all(&self.readers).await.map_err(|error| self.failed(&error))?;
        rows.iter().map(|row| event(row, false)).collect()
    }

    async fn compact(&self, expired: &Expired) -> Result<Compacted, Error> {
        self.drop_expired(expired).await
    }

    async fn dropped(&self) -> Result<Dropped, Error> {
        self.what_was_dropped().await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, Error> {
        self.read_chain(after, limit).await
    }

    async fn keep(&self, upkeep: &Upkeep) -> Result<(), Error> {
        let instances = upkeep.put_instances.iter().map(|record| (record.label(), record));
        let passes = upkeep.put_passes.iter().map(|record| (&record.id, record));
        let cursors = upkeep.put_cursors.iter().map(|record| (&record.endpoint, record));
        let kept = [
            ("instances", encoded(&instances.collect::<Vec<_>>())?, encoded(&upkeep.remove_instances)?),
            ("passes", encoded(&passes.collect::<Vec<_>>())?, encoded(&upkeep.remove_passes)?),
            ("cursors", encoded(&cursors.collect::<Vec<_>>())?, encoded(&upkeep.remove_cursors)?),
        ];
        let mut writer = self.writer.acquire().await.map_err(|error| self.failed(&error))?;
        let result = async {
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            for (table, put, remove) in &kept {
                let delete = format!("DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?1))");
                sqlx::query(AssertSqlSafe(delete)).bind(remove).execute(&mut *tx).await?;
                let insert = format!(
                    "INSERT INTO {table} SELECT value ->> 0, value -> 1 FROM json_each(?1) WHERE true
                     ON CONFLICT DO UPDATE SET record = excluded.record"
                );
                sqlx::query(AssertSqlSafe(insert)).bind(put).execute(&mut *tx).await?;
            }
            if let Some(steady_ms) = upkeep.steady_ms {
                sqlx::query("UPDATE counter SET steady_ms = max(steady_ms, ?1)")
                    .bind(int(steady_ms))
                    .execute(&mut *tx)
                    .await?;
            }
            if let Some(why) = &upkeep.begin_history {
                begin_history(&mut tx, why, true).await?;
            }
            if upkeep.forget_restored {
                sqlx::query("UPDATE counter SET restored = NULL, put_back = 0").execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(())
        };
        let result = result.await;
        self.finish(writer, result).await
    }

    async fn backup(&self, into: &Path) -> Result<(), Error> {
        // One read transaction: a copy of one revision, while others write.
        let backup = sqlx::query("VACUUM INTO ?1").bind(into.to_string_lossy().into_owned());
        backup.execute(&self.readers).await.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT revision FROM counter")
            .fetch_one(&self.readers)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }
}

/// Draws another identity for the history, because what this one's revisions mean is not known elsewhere.
async fn begin_history(
    connection: &mut SqliteConnection,
    why: &str,
    put_back: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE counter SET history_id = lower(hex(randomblob(16))), restored = ?1, put_back = ?2")
        .bind(why)
        .bind(put_back)
        .execute(connection)
        .await
        .map(|_| ())
}

impl SqliteStore {
    /// Returns the writer, or a new one the next time. SQLite ends a transaction by itself when the disk is
    /// full or fails; a connection that still believes to be in one can't be used any more.
    async fn finish(
        &self,
        writer: PoolConnection<Sqlite>,
        result: Result<(), Unwritten>,
    ) -> Result<(), Error> {
        match result {
            Ok(()) => Ok(()),
            Err(Unwritten::Conflict) => Err(Error::Conflict),
            Err(Unwritten::Failed(error)) => {
                // `error` already says what went wrong.
                drop(writer.close().await);
                Err(self.failed(&error))
            }
        }
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        failure::Failure::of(error).into_error(&self.path)
    }
}
