//! The path and the identity of a file.

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::super::{Identity, StoreError, sql::not_applied};
use cutover_core::outcome::ErrorClass;

/// For messages about a file.
pub(super) fn shown(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The identity of a table of the file that is at this path now.
pub(super) fn identity(path: &Path, table: &str) -> Result<Identity, StoreError> {
    let failed = |error: io::Error| {
        let what = format!("can't look at {}: {error}; is it still there?", shown(path).display());
        not_applied(ErrorClass::Other, what)
    };
    let file = std::fs::metadata(path).map_err(failed)?;
    let place = std::fs::canonicalize(path).map_err(failed)?;
    let (file, place) = (of_file(&file, &place), place.display());
    Ok(Identity::of_table(format!("{file} {table}"), format!("table {table} of {place} ({file})")))
}

/// Not by its path: containers see the same file at different paths, and two processes with the same relative
/// path may have two files.
#[cfg(unix)]
fn of_file(file: &Metadata, _: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let made = file.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    match made {
        Some(made) => format!("inode {} made {}.{:09}", file.ino(), made.as_secs(), made.subsec_nanos()),
        None => format!("inode {} of device {}", file.ino(), file.dev()),
    }
}

#[cfg(not(unix))]
fn of_file(file: &Metadata, place: &Path) -> String {
    let made = file.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    format!("{} made {:?}", place.display(), made)
}
