//! One controller per file: an operating-system lock that is held as long as the process lives.
//!
//! It is on a separate file, because SQLite takes and releases its own locks with every transaction. The
//! system releases the lock when the process ends, however it ends, so a leftover lock file blocks nobody.
//! The lock file is never removed: another process may have just opened it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use crate::store::OpenError;

/// Maximum bytes of a holder's description.
const TOLD_MAX_BYTES: u64 = 1024;

/// Locks the file at `path`. `holder`: what to tell a second controller, such as an address.
pub(in crate::store) fn hold(path: &Path, holder: &str) -> Result<File, OpenError> {
    let lock = lock_path(path);
    let place = |error: std::io::Error| {
        let message = format!(
            "{} can't be written or locked ({error}): give this user the right to write the file and its \
             directory, on a file system with locks",
            lock.display()
        );
        OpenError::Place(message)
    };
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
    let mut file = opened.map_err(place)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut told = String::new();
            // The lock shows that somebody holds it; who it is is only for people.
            let _ = (&mut file).take(TOLD_MAX_BYTES).read_to_string(&mut told);
            let who = if told.trim().is_empty() { "it does not say which" } else { told.trim() };
            return Err(OpenError::InUse { store: path.display().to_string(), who: who.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(place(error)),
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let told = format!("pid {} on {}, {holder}\n", std::process::id(), host.trim());
    let written = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(told.as_bytes()));
    written.map_err(place)?;
    Ok(file)
}

/// Next to the database, and the same for every name of it.
fn lock_path(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => {
            directory.canonicalize().unwrap_or_else(|_| directory.to_owned()).join(name)
        }
        _ => path.to_owned(),
    });
    let mut name = real.into_os_string();
    name.push(".lock");
    name.into()
}
