//! The last snapshot in a file, for a start without the controller.
//!
//! ```text
//! "CUTOVER\0"  format u32  head  table part ..  crc32 u32        numbers little-endian
//! ```
//! Head and parts are length-delimited messages; the checksum covers all before it. A file is
//! replaced whole or not at all, and read whole or not at all. Migrations that this version can't
//! read are left out: to whoever loads the file they are unknown.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cutover_proto::v1;
use prost::Message;

use crate::{
    clock,
    routing::Snapshot,
    wire::{self, Assembled, UpdateKind},
};

const MAGIC: &[u8; 8] = b"CUTOVER\0";
const FORMAT: u32 = 1;
const CRC_BYTES: usize = 4;

/// Why there is no snapshot to be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum PersistedError {
    /// Reading or writing failed.
    #[error("persisted snapshot {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is some other file.
    #[error("{} is no persisted snapshot: give another path", .0.display())]
    NotASnapshot(PathBuf),
    /// Written by another version.
    #[error("persisted snapshot {} has format {found}, this version reads {FORMAT}: remove it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Cut short or changed.
    #[error("persisted snapshot {} is damaged ({what}): remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        what: String,
    },
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// The state.
    pub snapshot: Snapshot,
    /// Identity of the controller's history that its revisions belong to.
    pub history_id: String,
    /// When it was written, by the wall clock.
    pub saved_at: SystemTime,
}

impl Persisted {
    /// How old it is by the wall clock; 0 when that was set back.
    pub fn age(&self) -> Duration {
        let now = UNIX_EPOCH + Duration::from_millis(clock::now_ms());
        now.duration_since(self.saved_at).unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(string, tag = "2")]
    history_id: String,
    #[prost(uint64, tag = "3")]
    saved_at_ms: u64,
}

/// Writes a snapshot: aside first, then in the place of what was there. Blocks on the disk.
pub fn save(path: &Path, snapshot: &Snapshot, history_id: &str) -> Result<(), PersistedError> {
    let aside = aside(path);
    let written = write(&aside, snapshot, history_id).and_then(|()| fs::rename(&aside, path));
    written.and_then(|()| sync_directory(path)).map_err(|source| {
        // Of a failed attempt nothing stays; there may be nothing to remove.
        let _ = fs::remove_file(&aside);
        PersistedError::Io { path: path.to_owned(), source }
    })
}

/// Reads a snapshot; `None` where there is no file. Blocks on the disk.
pub fn load(path: &Path) -> Result<Option<Persisted>, PersistedError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PersistedError::Io { path: path.to_owned(), source }),
    };
    let damaged = |what: &str| PersistedError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| PersistedError::NotASnapshot(path.to_owned()))?;
    let (format, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    let found = u32::from_le_bytes(*format);
    if found != FORMAT {
        return Err(PersistedError::Format { path: path.to_owned(), found });
    }
    let (mut records, crc) = rest.split_last_chunk::<CRC_BYTES>().ok_or_else(|| damaged("too short"))?;
    if crc32fast::hash(&bytes[..bytes.len() - CRC_BYTES]) != u32::from_le_bytes(*crc) {
        return Err(damaged("its checksum does not match"));
    }
    let undecodable = |error: prost::DecodeError| damaged(&error.to_string());
    let head = Head::decode_length_delimited(&mut records).map_err(undecodable)?;
    let mut tables = Vec::new();
    while !records.is_empty() {
        tables.push(v1::TablePart::decode_length_delimited(&mut records).map_err(undecodable)?);
    }
    let state = Assembled { kind: UpdateKind::Snapshot, revision: head.revision, tables, removed: vec![] };
    let snapshot =
        wire::apply(&Snapshot::default(), &state).map_err(|misfit| damaged(&misfit.to_string()))?;
    let saved_at = UNIX_EPOCH + Duration::from_millis(head.saved_at_ms);
    Ok(Some(Persisted { snapshot, history_id: head.history_id, saved_at }))
}

/// Beside the file, so that renaming stays within one file system; one for each process.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write(path: &Path, snapshot: &Snapshot, history_id: &str) -> io::Result<()> {
    let mut out = Checksummed { out: BufWriter::new(File::create(path)?), crc: crc32fast::Hasher::new() };
    out.write(MAGIC)?;
    out.write(&FORMAT.to_le_bytes())?;
    let saved_at_ms = clock::now_ms();
    let head = Head { revision: snapshot.revision(), history_id: history_id.to_owned(), saved_at_ms };
    out.write(&head.encode_length_delimited_to_vec())?;
    for (migration, table) in snapshot.tables() {
        for part in wire::parts(migration, table, table.overrides(), []) {
            out.write(&part.encode_length_delimited_to_vec())?;
        }
    }
    let crc = out.crc.finalize();
    out.out.write_all(&crc.to_le_bytes())?;
    let file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

struct Checksummed {
    out: BufWriter<File>,
    crc: crc32fast::Hasher,
}

impl Checksummed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }
}

/// A rename is on the disk only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Elsewhere a directory can't be opened, and needs no syncing.
    if cfg!(unix) { File::open(parent.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}
