//! Opens the file: checks whose it is and whether it is intact, and creates its tables.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use super::{SqliteStore, chain::hash_older, failure::Failure};
use crate::store::OpenError;

/// "Cuto" in the file's header: distinguishes our files from those of other programs.
const APPLICATION_ID: i64 = 0x4375_746f;
/// Number of reading connections.
const READERS: u32 = 4;

/// How to open a file.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// How long to wait while another process holds the lock.
    pub busy_timeout: Duration,
    /// Maximum size of the file in pages (of 4096 bytes). `None`: no limit.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), max_pages: None }
    }
}

impl SqliteStore {
    /// Opens a file, and creates it if it does not exist. Its directory must exist.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, &SqliteOptions::default()).await
    }

    /// The same with other options.
    pub async fn open_with(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, OpenError> {
        let path = check_place(path.as_ref())?;
        let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(&path);
        let mut connect = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(options.busy_timeout)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        if let Some(pages) = options.max_pages {
            connect = connect.pragma("max_page_count", pages.to_string());
        }

        let create = connect.clone().create_if_missing(true);
        let mut first = SqliteConnection::connect_with(&create).await.map_err(failed)?;
        let prepared = prepare(&mut first, &path).await;
        // The pools have their own connections; nothing is lost by closing this one.
        drop(first.close().await);
        prepared?;

        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).max_lifetime(None);
        let writer = pool(1).connect_with(connect.clone()).await.map_err(failed)?;
        let readers = pool(READERS).connect_with(connect.read_only(true)).await.map_err(failed)?;
        Ok(Self { path, writer, readers })
    }
}

/// Explains what SQLite only calls "unable to open database file".
pub(in crate::store) fn check_place(path: &Path) -> Result<std::path::PathBuf, OpenError> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        let message = "a store needs a file to survive a restart: give sqlite:PATH";
        return Err(OpenError::Place(message.to_owned()));
    }
    // Absolute, also so that SQLite does not take the name for a URI.
    let path = std::path::absolute(path)
        .map_err(|error| OpenError::Place(format!("{}: {error}", path.display())))?;
    if path.is_dir() {
        return Err(OpenError::Place(format!(
            "{0} is a directory: give the path of a file, such as {0}/cutover.db",
            path.display()
        )));
    }
    match path.parent() {
        Some(directory) if !directory.is_dir() => Err(OpenError::Place(format!(
            "there is no directory {}: create it, or give another path",
            directory.display()
        ))),
        _ => Ok(path),
    }
}

async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(path);
    let is_ours = check_whole(connection, path).await?;
    let mode: String = scalar(connection, "PRAGMA journal_mode = WAL").await.map_err(failed)?;
    if mode != "wal" {
        return Err(OpenError::Place(format!(
            "the file system of {} has no shared memory: give a path on a local disk",
            path.display()
        )));
    }
    // In one transaction: if two processes start at once, the second finds it done.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    if !is_ours {
        sqlx::query("PRAGMA application_id = 0x4375746f").execute(&mut *tx).await.map_err(failed)?;
    }
    // `run` would do the same, but its generics hide from the compiler that the future is Send.
    let migrated = migrator().run_direct(None, &mut *tx, false).await;
    migrated.map_err(|error| migration_failed(error, path))?;
    hash_older(&mut tx).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;

    // The counter and the newest event can differ only if the file is damaged.
    let (revision, newest): (i64, i64) =
        sqlx::query_as("SELECT revision, (SELECT coalesce(max(revision), 0) FROM events) FROM counter")
            .fetch_one(connection)
            .await
            .map_err(failed)?;
    if revision != newest {
        let how = format!("its counter is at revision {revision}, its newest event at {newest}");
        return Err(Failure::Corrupt(how).into_open_error(path));
    }
    Ok(())
}

/// Fails unless the file is intact, and ours or empty. Returns whether it is ours. Writes nothing, not even the journal's
/// mode.
pub(super) async fn check_whole(connection: &mut SqliteConnection, path: &Path) -> Result<bool, OpenError> {
    let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(path);
    let owner: i64 = scalar(connection, "PRAGMA application_id").await.map_err(failed)?;
    if owner != APPLICATION_ID {
        let tables: i64 = scalar(connection, "SELECT count(*) FROM sqlite_master").await.map_err(failed)?;
        if owner != 0 || tables > 0 {
            return Err(OpenError::Foreign(format!(
                "{} is a database of another program: give another path",
                path.display()
            )));
        }
    }
    let whole: String = scalar(connection, "PRAGMA quick_check(1)").await.map_err(failed)?;
    match whole.as_str() {
        "ok" => Ok(owner == APPLICATION_ID),
        wrong => Err(Failure::Corrupt(wrong.replace('\n', " ")).into_open_error(path)),
    }
}

pub(super) async fn scalar<T>(connection: &mut SqliteConnection, query: &'static str) -> sqlx::Result<T>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(query).fetch_one(connection).await
}

pub(super) fn migrator() -> Migrator {
    let initial = include_str!("../../../migrations/sqlite/0001_initial.sql");
    let notifications = include_str!("../../../migrations/sqlite/0002_notifications.sql");
    let windows = include_str!("../../../migrations/sqlite/0003_windows.sql");
    let steady = include_str!("../../../migrations/sqlite/0004_steady_clock_and_restore.sql");
    let compaction = include_str!("../../../migrations/sqlite/0005_compaction.sql");
    let put_back = include_str!("../../../migrations/sqlite/0006_put_back.sql");
    let tokens = include_str!("../../../migrations/sqlite/0007_tokens.sql");
    let chain = include_str!("../../../migrations/sqlite/0008_chain.sql");
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(sql),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(1, "initial", initial),
        migration(2, "notifications", notifications),
        migration(3, "windows", windows),
        migration(4, "steady clock and restore", steady),
        migration(5, "compaction", compaction),
        migration(6, "put back", put_back),
        migration(7, "tokens", tokens),
        migration(8, "chain", chain),
    ])
}

fn migration_failed(error: MigrateError, path: &Path) -> OpenError {
    let path_shown = path.display();
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            OpenError::Newer(format!(
                "{path_shown} was written by a newer cutover (schema {version}): run that one, or a newer"
            ))
        }
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => OpenError::Corrupt(format!(
            "the tables of {path_shown} are not those of schema {version}: restore it from a backup"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Failure::of(&error).into_open_error(path)
        }
        other => OpenError::Unavailable(format!("{path_shown}: {other}")),
    }
}
