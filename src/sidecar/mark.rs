//! A file beside the snapshot file that says how long callers of its last sidecar may still act.
//!
//! Locked while a sidecar lives, so the time counts from when the last one has surely ended. Empty after a clean end.

use std::{
    fs,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::operations::FINISH_WITHIN_MAX;

/// Why a snapshot file can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// Another sidecar is alive.
    #[error("another sidecar keeps its snapshot in {0}: give each its own --persist")]
    Taken(PathBuf),
    /// The file that marks operations in flight can't be used.
    #[error("can't use {path}: {error}; check --persist")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

pub(super) struct Mark {
    path: PathBuf,
    file: fs::File,
}

impl Mark {
    /// Takes the mark beside a snapshot file. Returns also how long operations of the last sidecar's callers may last.
    pub(super) fn take(snapshot: &Path) -> Result<(Self, Duration), MarkError> {
        let mut name = snapshot.as_os_str().to_owned();
        name.push(".in-flight");
        let path = PathBuf::from(name);
        let failed = |error| MarkError::File { path: path.clone(), error };
        let options = fs::File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(MarkError::Taken(snapshot.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let left = match text.trim() {
            "" => Duration::ZERO,
            text => text.parse().map_or(FINISH_WITHIN_MAX, Duration::from_millis).min(FINISH_WITHIN_MAX),
        };
        Ok((Self { path, file }, left))
    }

    /// From now on callers may have operations that last so long.
    pub(super) fn set(&self, longest: Duration) -> Result<(), MarkError> {
        let write = || {
            self.clear()?;
            (&self.file).write_all(longest.as_millis().to_string().as_bytes())
        };
        write().map_err(|error| MarkError::File { path: self.path.clone(), error })
    }

    /// No caller has an operation.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A child that is being started may have the open file, too, until its program begins.
        _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_is_left_of_a_sidecar_that_was_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        let snapshot = dir.path().join("snapshot");
        let take = || Mark::take(&snapshot);
        let (first, left) = take().expect("free");
        assert_eq!(left, Duration::ZERO);
        first.set(Duration::from_secs(7)).expect("written");
        assert!(matches!(take(), Err(MarkError::Taken(_))), "the first one lives");
        // Killed, while a child that was being started had the file as well.
        let inherited = first.file.try_clone().expect("a copy");
        drop(first);
        let (second, left) = take().expect("free");
        assert_eq!(left, Duration::from_secs(7));
        drop(inherited);
        assert!(matches!(take(), Err(MarkError::Taken(_))), "the second one lives");
        second.set(Duration::from_millis(200)).expect("written");
        second.clear().expect("a clean end");
        drop(second);
        assert_eq!(take().expect("free").1, Duration::ZERO);
        fs::write(dir.path().join("snapshot.in-flight"), "7 s").expect("written");
        assert_eq!(take().expect("free").1, FINISH_WITHIN_MAX, "nobody knows");
    }
}
