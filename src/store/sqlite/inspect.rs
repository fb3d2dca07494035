//! Looks at a file without opening it for writes: the controller that uses it does not notice.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{
    failure::Failure,
    open::{check_place, check_whole, migrator, scalar},
};
use crate::store::{Inspected, OpenError};

pub(in crate::store) async fn inspect(path: &Path) -> Result<Inspected, OpenError> {
    let path = check_place(path)?;
    let bytes = std::fs::metadata(&path).map(|found| found.len()).map_err(|error| {
        OpenError::Place(format!(
            "{}: {error}. A controller creates the file when it first starts; or give another path",
            path.display()
        ))
    })?;
    let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(&path);
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    // Without a log the file is closed, and SQLite would create one beside it, even to read.
    let is_closed = !Path::new(&log).exists();
    let options = SqliteConnectOptions::new().filename(&path).read_only(true).immutable(is_closed);
    let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
    let looked = async {
        if !check_whole(&mut connection, &path).await? {
            return Err(OpenError::Foreign(format!("{} has no tables yet", path.display())));
        }
        let schema: i64 =
            scalar(&mut connection, "SELECT max(version) FROM _sqlx_migrations").await.map_err(failed)?;
        let revision: i64 = scalar(&mut connection, "SELECT revision FROM counter").await.map_err(failed)?;
        Ok((schema, revision.cast_unsigned()))
    };
    let looked = looked.await;
    drop(connection.close().await);
    let (schema, revision) = looked?;
    let known = migrator().iter().map(|migration| migration.version).max().unwrap_or(0);
    let place = path.parent().unwrap_or(&path);
    let disk = statvfs(place).map_err(|error| {
        OpenError::Place(format!("the disk of {} can't be asked: {error}", place.display()))
    })?;
    let free_bytes = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    Ok(Inspected::File { schema, known, revision, bytes, free_bytes })
}
