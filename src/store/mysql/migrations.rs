//! The schema's versions. One process at a time brings it up to date; it never goes back.
//!
//! The server commits each definition by itself, so a start can be killed between two of them. Each statement of a
//! version may run again, and the version is noted last: the next start repeats all of it.

use sqlx::MySqlConnection;

use super::MySql;
use crate::store::{
    Leader, Lease, OpenError,
    entry::new_id,
    server::{dialect::Dialect as _, open::led, statement::Statement, transaction::is_seated},
    sql::row::Columns as _,
};

/// Each version's statements.
const VERSIONS: [(i64, &str); 1] = [(1, include_str!("../../../migrations/mysql/0001_initial.sql"))];
pub(super) const NEWEST: i64 = VERSIONS[VERSIONS.len() - 1].0;
/// The table that says which versions are there. It is made first, so it marks a database as the controller's.
const SCHEMA: &str = "cutover_schema";

pub(super) const STORED: &str =
    "SELECT CAST(coalesce(max(version), 0) AS SIGNED) AS version FROM cutover_schema";

/// Waits for whoever makes tables at the same time. The lock ends with the session. Any user of the server can take it, so
/// nobody takes it who has nothing to make.
const LOCK: &str = "SELECT get_lock(concat('cutover ', md5(database())), 8) AS is_locked";
const UNLOCK: &str = "SELECT release_lock(concat('cutover ', md5(database()))) AS is_unlocked";

/// Checks the database, and creates the tables or brings them up to date.
pub(super) async fn prepare(
    mysql: &MySql,
    connection: &mut MySqlConnection,
    place: &str,
    lease: &Lease,
) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| MySql::failed(&error).into_open_error(place);
    if stored(mysql, connection, place).await? != Some(NEWEST) {
        let locked = mysql.row(connection, Statement::new(LOCK)).await.map_err(failed)?;
        if locked.get_int("is_locked").unwrap_or(0) != 1 {
            return Err(OpenError::Unavailable(format!(
                "{place}: another controller is creating its tables: try again"
            )));
        }
        // Somebody else may have made them meanwhile.
        match stored(mysql, connection, place).await? {
            Some(NEWEST) => {}
            Some(stored) => migrate_led(mysql, connection, stored, place, lease).await?,
            None => migrate(mysql, connection, 0).await.map_err(failed)?,
        }
        mysql.rows(connection, Statement::new(UNLOCK)).await.map_err(failed)?;
    }
    let other = "SELECT table_name AS name FROM information_schema.tables
                 WHERE table_schema = database() AND engine <> 'InnoDB'";
    let other = mysql.rows(connection, Statement::new(other)).await.map_err(failed)?;
    if let Some(table) = other.first() {
        return Err(OpenError::Place(format!(
            "table {} of {place} is not in InnoDB, so it has no transactions: ALTER TABLE .. ENGINE = InnoDB",
            table.get_text("name").map_err(failed)?
        )));
    }
    Ok(())
}

/// The version that is there, no newer than this program's. `None`: the database is empty, or its first version was not
/// finished.
async fn stored(
    mysql: &MySql,
    connection: &mut MySqlConnection,
    place: &str,
) -> Result<Option<i64>, OpenError> {
    let failed = |error: sqlx::Error| MySql::failed(&error).into_open_error(place);
    let tables = format!(
        "SELECT count(*) AS tables_there, CAST(coalesce(sum(table_name = '{SCHEMA}'), 0) AS SIGNED) AS ours
         FROM information_schema.tables WHERE table_schema = database()"
    );
    let row = mysql.row(connection, Statement::new(tables)).await.map_err(failed)?;
    if row.get_int("ours").map_err(failed)? == 0 {
        if row.get_int("tables_there").map_err(failed)? > 0 {
            return Err(OpenError::Foreign(format!(
                "{place} has tables of another program: give the controller a database of its own"
            )));
        }
        return Ok(None);
    }
    let newest = format!("SELECT max(version) AS version FROM {SCHEMA} HAVING max(version) IS NOT NULL");
    let newest = mysql.rows(connection, Statement::new(newest)).await.map_err(failed)?;
    let stored = newest.first().map(|row| row.get_int("version")).transpose().map_err(failed)?;
    match stored {
        Some(stored) if stored > NEWEST => Err(OpenError::Newer(format!(
            "{place} was written by a newer cutover (schema {stored}): run that one, or a newer"
        ))),
        _ => Ok(stored),
    }
}

/// Brings tables up to date that an older program may lead on, which would write as before. So this one takes the seat,
/// and keeps everybody from it until the end: a session of its own locks the fence, because each definition ends
/// the transaction of the session that it is made in.
async fn migrate_led(
    mysql: &MySql,
    connection: &mut MySqlConnection,
    stored: i64,
    place: &str,
    lease: &Lease,
) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| MySql::failed(&error).into_open_error(place);
    lease
        .lead_or_refuse("a controller that migrates the schema")
        .await
        .map_err(|leader| led(&leader, place))?;
    let mut holds = mysql.connect().await.map_err(failed)?;
    // It is silent for as long as the definitions take.
    let begin = "SET SESSION wait_timeout = 86400; START TRANSACTION";
    mysql.execute(&mut holds, begin).await.map_err(failed)?;
    let is_ours = match &lease.term() {
        Some(term) => is_seated(mysql, &mut holds, term, "FOR UPDATE").await.map_err(failed)?,
        None => false,
    };
    if !is_ours {
        return Err(led(&Leader::Nobody, place));
    }
    migrate(mysql, connection, stored).await.map_err(failed)?;
    mysql.execute(&mut holds, "COMMIT").await.map_err(failed)?;
    lease.vacate().await;
    Ok(())
}

async fn migrate(mysql: &MySql, connection: &mut MySqlConnection, stored: i64) -> Result<(), sqlx::Error> {
    let marker =
        format!("CREATE TABLE IF NOT EXISTS {SCHEMA} (version BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB");
    mysql.execute(connection, &marker).await?;
    for (version, statements) in VERSIONS.into_iter().filter(|(version, _)| *version > stored) {
        mysql.execute(connection, statements).await?;
        if version == 1 {
            first_rows(mysql, connection).await?;
        }
        mysql
            .run(
                connection,
                Statement::new(format!("INSERT INTO {SCHEMA} (version) VALUES (?)")).int(version),
            )
            .await?;
    }
    Ok(())
}

/// The rows that are always there. Those that are there already stay as they are.
async fn first_rows(mysql: &MySql, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    const UNLESS_THERE: &str = "ON DUPLICATE KEY UPDATE id = id";
    let (history_id, seal_key) = (new_id(), new_id() + &new_id());
    let counter = format!(
        "INSERT INTO counter (id, history_id, seal_key, dropped_hash) VALUES (1, ?, ?, ?) {UNLESS_THERE}"
    );
    let counter = Statement::new(counter).text(&history_id).text(&seal_key).bytes(Some(&[0; 32]));
    mysql.run(connection, counter).await?;
    for rows in [
        r#"leader (id, epoch, beat, holder, format, "database") VALUES (1, 0, 0, '', 1, '')"#,
        r#"fence (id, epoch, holder, "database") VALUES (1, 0, '', '')"#,
        "orders (id) VALUES (1), (2)",
    ] {
        mysql.execute(connection, &format!("INSERT INTO {rows} {UNLESS_THERE}")).await?;
    }
    Ok(())
}
