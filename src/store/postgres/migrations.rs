//! The schema's versions. One process at a time brings it up to date, in one transaction; it never goes back.

use sqlx::{
    Connection as _, PgConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{LOCKS, Postgres};
use crate::store::{
    Leader, Lease, OpenError, Term,
    server::{dialect::Dialect as _, open::led, transaction::is_seated},
};

/// Waits for a lock, and keeps it until the transaction has ended.
pub(super) async fn lock(connection: &mut PgConnection, lock: i32, schema: &str) -> Result<(), sqlx::Error> {
    let wait = sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))").bind(lock).bind(schema);
    wait.execute(connection).await.map(drop)
}

/// Checks the database, and creates the schema or brings it up to date.
pub(super) async fn prepare(
    dialect: &Postgres,
    connection: &mut PgConnection,
    place: &str,
    lease: &Lease,
) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| Postgres::failed(&error).into_open_error(place);
    let encoding: String =
        sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await.map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Place(format!(
            "{place} is in {encoding}, which can't store every name: create a database WITH ENCODING 'UTF8'"
        )));
    }
    let mut tx = connection.begin().await.map_err(failed)?;
    let is_done = migrate(dialect, &mut tx, place, None).await?;
    tx.commit().await.map_err(failed)?;
    if !is_done {
        // An older program may lead there, and would write as before.
        lease
            .lead_or_refuse("a controller that migrates the schema")
            .await
            .map_err(|leader| led(&leader, place))?;
        let mut tx = connection.begin().await.map_err(failed)?;
        if !migrate(dialect, &mut tx, place, lease.term().as_ref()).await? {
            return Err(led(&Leader::Nobody, place));
        }
        tx.commit().await.map_err(failed)?;
        lease.vacate().await;
    }
    Ok(())
}

/// Creates the schema or brings it up to date. False: it needs the leader's seat for that, and does nothing without.
async fn migrate(
    dialect: &Postgres,
    tx: &mut PgConnection,
    place: &str,
    term: Option<&Term>,
) -> Result<bool, OpenError> {
    let schema = &*dialect.schema;
    let failed = |error: sqlx::Error| Postgres::failed(&error).into_open_error(place);
    // Whoever starts at the same time waits, and finds it done.
    lock(tx, LOCKS, schema).await.map_err(failed)?;
    let (tables, is_ours): (i64, bool) = sqlx::query_as(
        "SELECT count(*), coalesce(bool_or(relname = 'leader'), false) FROM pg_class
         JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND relkind IN ('r', 'p', 'v')",
    )
    .bind(schema)
    .fetch_one(&mut *tx)
    .await
    .map_err(failed)?;
    if tables > 0 && !is_ours {
        return Err(OpenError::Foreign(format!(
            "the schema {schema} of {place} has tables of another program: give another one, with ?schema=NAME"
        )));
    }
    if tables == 0 {
        // Somebody who may create schemas may have made it for a user who may not.
        let is_there: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
                .bind(schema)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed)?;
        if !is_there {
            let create = format!("CREATE SCHEMA \"{schema}\"");
            sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut *tx).await.map_err(failed)?;
        }
    } else if is_older(tx).await.map_err(failed)? {
        // It stays this one's until the end: nobody takes it meanwhile.
        let is_ours = match term {
            Some(term) => is_seated(dialect, tx, term, "FOR UPDATE").await.map_err(failed)?,
            None => false,
        };
        if !is_ours {
            return Ok(false);
        }
    }
    // `run` would do the same, but its generics hide from the compiler that the future is Send.
    let mut migrator = migrator();
    migrator.set_locking(false);
    migrator.run_direct(None, tx, false).await.map_err(|error| migration_failed(error, place))?;
    Ok(true)
}

async fn is_older(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let stored: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(tx).await?;
    Ok(stored < Some(newest()))
}

/// The version that this program makes.
pub(super) fn newest() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn migrator() -> Migrator {
    let initial = include_str!("../../../migrations/postgres/0001_initial.sql");
    let migration = |version, name: &'static str, sql: &'static str| {
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![migration(1, "initial", initial)])
}

fn migration_failed(error: MigrateError, place: &str) -> OpenError {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => OpenError::Newer(
            format!("{place} was written by a newer cutover (schema {version}): run that one, or a newer"),
        ),
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => OpenError::Corrupt(format!(
            "the tables of {place} are not those of schema {version}: restore them from a backup"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Postgres::failed(&error).into_open_error(place)
        }
        other => OpenError::Unavailable(format!("{place}: {other}")),
    }
}
