//! Turns a backup file into a store with a new history.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{SqliteStore, begin_history, failure::Failure, open::check_place};
use crate::store::OpenError;

const A_BACKUP: &str = "give a file that cutover backup wrote";

/// Copies `file` to `path`, where nothing may exist. The copy is checked like any store that is opened, and
/// appears under its name only when it is complete.
pub(in crate::store) async fn restore(path: &Path, file: &Path) -> Result<(), OpenError> {
    let path = check_place(path)?;
    if let Some(there) = [path.clone(), beside(&path, "-wal")].iter().find(|path| path.exists()) {
        return Err(OpenError::Place(format!(
            "{} exists: move the old store away first, each of its files that is there (for end in '' -wal -shm; do mv \
             \"{1}$end\" \"{1}.old$end\"; done)",
            there.display(),
            path.display()
        )));
    }
    let place = |error: io::Error| OpenError::Place(format!("can't copy {}: {error}", file.display()));
    let metadata = fs::metadata(file).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default().to_owned();
        OpenError::Place(format!(
            "can't read {}: {why}. Give a file that cutover backup wrote",
            file.display()
        ))
    })?;
    if !metadata.is_file() {
        return Err(OpenError::Place(format!("{} is not a file: {A_BACKUP}", file.display())));
    }
    let part = beside(&path, ".part");
    let leftovers = ["", "-wal", "-shm"].map(|end| beside(&part, end));
    leftovers.iter().for_each(|left| drop(fs::remove_file(left)));
    fs::copy(file, &part).map_err(place)?;
    let marked = mark(&part, file).await;
    if marked.is_ok() {
        File::open(&part).and_then(|copy| copy.sync_all()).map_err(place)?;
        fs::rename(&part, &path).map_err(place)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(place)?;
        }
    }
    leftovers.iter().for_each(|left| drop(fs::remove_file(left)));
    marked
}

/// Opens the copy as a store, and gives it a new history.
async fn mark(part: &Path, file: &Path) -> Result<(), OpenError> {
    // All checks of opening: whose it is, whether it is intact, and its tables.
    let store = SqliteStore::open(part).await.map_err(|error| no_backup(error, file))?;
    store.readers.close().await;
    store.writer.close().await;
    let failed = |error: sqlx::Error| Failure::of(&error).into_open_error(file);
    let options = SqliteConnectOptions::new().filename(part).disable_statement_logging();
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let told = format!("the store was restored from {}", file.display());
    begin_history(&mut connection, &told, false).await.map_err(failed)?;
    // One file again, without a log beside it.
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

/// What is wrong with the copy is wrong with the file that was given.
fn no_backup(error: OpenError, file: &Path) -> OpenError {
    let file = file.display();
    match error {
        OpenError::Corrupt(_) => OpenError::Corrupt(format!(
            "{file} is damaged, or not a backup of a controller's store: {A_BACKUP}"
        )),
        OpenError::Foreign(_) => {
            OpenError::Foreign(format!("{file} is another program's database, not a backup: {A_BACKUP}"))
        }
        other => other,
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
