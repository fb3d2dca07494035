//! The lock of a snapshot file, and the processes that held it before.
//!
//! A process that takes the lock reads who held it, and adds itself. Those processes have ended, or at least
//! every operation of theirs: each kept the lock until then. That is certain only for this very file since
//! this machine started, so the lock file says which file it is. A copy, a file on a volume that moved to
//! another machine, and one that was removed and created again name nobody.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

use cutover_proto::v1;
use prost::Message;

use super::{CRC_BYTES, PersistedError};
use crate::{clock, routing::Mutation};

/// The oldest names are dropped; the controller then waits for those processes until their files expire.
const HOLDERS_MAX: usize = 512;

/// Held while a process uses a file: two processes that start from one would write with one slot.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    predecessors: Vec<v1::Process>,
}

/// The content of the lock file.
#[derive(Clone, PartialEq, Message)]
struct Held {
    /// Identifies the boot, because after another one the file may be on another machine.
    #[prost(string, tag = "1")]
    boot_id: String,
    /// Device and inode of the lock file.
    #[prost(uint64, repeated, tag = "2")]
    place: Vec<u64>,
    /// Oldest first.
    #[prost(message, repeated, tag = "3")]
    holders: Vec<v1::Process>,
}

impl FileLock {
    /// Locks the file for as long as the process, or this value, lives. The lock is a separate file, because
    /// the snapshot file is replaced. `instance_id` and `incarnation` name this process.
    pub fn take(path: &Path, instance_id: &str, incarnation: u64) -> Result<Self, PersistedError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let io = |source| PersistedError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path.with_file_name(name)).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if Mutation::SucceededHasEnded.is_left_out() => {}
            Err(TryLockError::WouldBlock) => return Err(PersistedError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let holder = v1::Process { instance_id: instance_id.to_owned(), incarnation };
        let predecessors = exchange(&mut file, holder).unwrap_or_else(|error| {
            tracing::warn!(%error, "could not note who uses {}: ramps may wait longer", path.display());
            Vec::new()
        });
        Ok(Self { file, predecessors })
    }

    /// The processes that held this lock before. They have ended.
    pub fn predecessors(&self) -> &[v1::Process] {
        &self.predecessors
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A child that is being started may have the open file, too, until its program begins.
        _ = self.file.unlock();
    }
}

/// Adds a holder, and returns those before it.
fn exchange(file: &mut File, holder: v1::Process) -> io::Result<Vec<v1::Process>> {
    let Some(empty) = here(file)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let is_same = |held: &Held| {
        let is_copy = held.place != empty.place && !Mutation::CopyNamesNobody.is_left_out();
        held.boot_id == empty.boot_id && !is_copy
    };
    let mut held = decode(&bytes).filter(is_same).unwrap_or(empty);
    held.holders.drain(..held.holders.len().saturating_sub(HOLDERS_MAX - 1));
    let predecessors = held.holders.clone();
    held.holders.push(holder);
    let message = held.encode_to_vec();
    // Not synced: after another boot it says nothing. What is cut short names nobody.
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&[&message[..], &crc32fast::hash(&message).to_le_bytes()].concat())?;
    Ok(predecessors)
}

fn decode(bytes: &[u8]) -> Option<Held> {
    let (message, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    (crc32fast::hash(message) == u32::from_le_bytes(*crc)).then(|| Held::decode(message).ok()).flatten()
}

/// Which file it is. `None`: this system does not say.
#[cfg(unix)]
fn here(file: &File) -> io::Result<Option<Held>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let place = vec![metadata.dev(), metadata.ino()];
    Ok(clock::since_boot().map(|(boot_id, _)| Held { boot_id, place, holders: Vec::new() }))
}

#[cfg(not(unix))]
fn here(_: &File) -> io::Result<Option<Held>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_again_although_a_child_that_is_being_started_has_it_open() {
        let dir = tempfile::tempdir().expect("a directory");
        let take = |incarnation| FileLock::take(&dir.path().join("snapshot"), "one", incarnation);
        let first = take(1).expect("free");
        let inherited = first.file.try_clone().expect("a copy");
        drop(first);
        let second = take(2).expect("free again");
        assert_eq!(second.predecessors().len(), 1);
        drop(inherited);
        assert!(matches!(take(3), Err(PersistedError::InUse(_))), "the second one uses it");
    }
}
