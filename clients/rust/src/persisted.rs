//! The last snapshot in a file, for starting without the controller.
//!
//! ```text
//! "CUTOVER\0"  format u32  head  table part ..  crc32 u32        numbers little-endian
//! ```
//!
//! Head and parts are length-delimited messages; the checksum covers everything before it. A file is replaced
//! as a whole or not at all, and read as a whole or not at all. Migrations that this version can't read are
//! left out; a process that loads the file does not know them.
//!
//! A file expires, because the controller waits for its process only so long. Its age is measured by the
//! clock that counts from boot or, after a reboot and where there is none, by the wall clock.

mod lock;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use cutover_proto::{NO_BASE, v1};
use prost::Message;

pub use lock::FileLock;

use crate::{
    clock,
    routing::{Mutation, Snapshot},
    store::Version,
    wire::{self, Assembled, UpdateKind},
};

const MAGIC: &[u8; 8] = b"CUTOVER\0";
/// 3: its process may split versions by the layout 1, so no SDK that knows only the layout 0 may go on with its writer slot.
const FORMAT: u32 = 3;
/// The oldest format that is read. A process of layout 1 may go on with the slot of any earlier one.
const FORMAT_OLDEST: u32 = 2;
const CRC_BYTES: usize = 4;

/// Why a file yields no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistedError {
    /// Reading or writing failed.
    #[error("persisted snapshot {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not a snapshot file.
    #[error("{} is no persisted snapshot: give another path", .0.display())]
    NotASnapshot(PathBuf),
    /// Another version wrote it.
    #[error("persisted snapshot {} has format {found}, this version reads {FORMAT_OLDEST} to {FORMAT}: remove it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Another process is using it.
    #[error("persisted snapshot {} is in use by another process: give each process a file of its own", .0.display())]
    InUse(PathBuf),
    /// It has expired.
    #[error("persisted snapshot {} has expired: {} s old, good for {} s", path.display(), age.as_secs(), valid.as_secs())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Time since the controller last heard the file's process.
        age: Duration,
        /// How long the file may be used.
        valid: Duration,
    },
    /// Its age can't be determined.
    #[error("persisted snapshot {} is from the future: was the clock set back? Set it, or remove the file", .0.display())]
    Future(PathBuf),
    /// Truncated or changed.
    #[error("persisted snapshot {} is damaged ({what}): remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        what: String,
    },
}

/// The content of a file.
#[derive(Clone, Debug)]
pub struct Persisted {
    /// The state.
    pub snapshot: Snapshot,
    /// Identity of the controller's history that the revisions belong to.
    pub history_id: String,
    /// The controller's proof that it sent this state. Empty: none.
    pub seal: String,
    /// Writer slot of the process that wrote it. Nobody else gets the slot while the controller waits for
    /// that process.
    pub writer_slot: u16,
    /// When the controller last heard its process.
    pub heard: clock::Instant,
    /// How long after that the file may be used.
    pub valid: Duration,
}

/// What is written in addition to a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Identity of the controller's history that the revisions belong to.
    pub history_id: String,
    /// The controller's proof that it sent this state. Empty: none.
    pub seal: String,
    /// What is saved is this history's state. If not, the file also has tables of an earlier history, and a
    /// process that starts from it must ask for a snapshot.
    pub is_base: bool,
    /// Writer slot of this process.
    pub writer_slot: u16,
    /// When the controller last heard this process.
    pub heard: clock::Instant,
    /// How long after that the file may be used.
    pub valid: Duration,
}

#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(string, tag = "2")]
    history_id: String,
    /// When the process was last heard, in Unix time.
    #[prost(uint64, tag = "3")]
    heard_at_ms: u64,
    /// The same, since boot; below 0: before it.
    #[prost(int64, tag = "4")]
    heard_boot_ms: i64,
    /// Identifies the boot. Empty: unknown.
    #[prost(string, tag = "5")]
    boot_id: String,
    #[prost(uint64, tag = "6")]
    valid_ms: u64,
    #[prost(uint32, tag = "7")]
    writer_slot: u32,
    #[prost(string, tag = "8")]
    seal: String,
}

impl Saving {
    fn known_as(&self) -> String {
        if self.is_base { self.history_id.clone() } else { format!("{NO_BASE}{}", self.history_id) }
    }
}

/// The controller's name for the history of a state, which may be of a file and no base.
pub(crate) fn history(history_id: &str) -> &str {
    history_id.strip_prefix(NO_BASE).unwrap_or(history_id)
}

/// The history that a file belongs to, even if the file has expired. `None`: there is no readable file. Blocks on the disk.
pub(crate) fn history_of(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let (head, _) = head(path, &bytes).ok()?;
    Some(history(&head.history_id).to_owned())
}

impl Head {
    fn new(revision: u64, saving: &Saving) -> Self {
        // The age is read last: time that passes in between makes the file older, not younger.
        let ((boot_id, boot), now_ms) = (clock::since_boot().unwrap_or_default(), clock::now_ms());
        let heard_ms = millis(saving.heard.elapsed());
        Self {
            revision,
            history_id: saving.known_as(),
            heard_at_ms: now_ms.saturating_sub(heard_ms),
            heard_boot_ms: signed(millis(boot)).saturating_sub(signed(heard_ms)),
            boot_id,
            valid_ms: millis(saving.valid),
            writer_slot: saving.writer_slot.into(),
            seal: saving.seal.clone(),
        }
    }

    /// The age. `None`: a clock was set back.
    fn age(&self) -> Option<Duration> {
        let age_ms = match clock::since_boot() {
            Some((boot_id, boot)) if boot_id == self.boot_id => {
                u64::try_from(signed(millis(boot)).saturating_sub(self.heard_boot_ms)).ok()
            }
            _ => clock::now_ms().checked_sub(self.heard_at_ms),
        };
        age_ms.map(Duration::from_millis)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Writes a snapshot to a temporary file and moves it into place. Blocks on the disk.
pub fn save(path: &Path, snapshot: &Snapshot, saving: &Saving) -> Result<(), PersistedError> {
    let aside = aside(path);
    let written = write(&aside, snapshot, saving).and_then(|()| fs::rename(&aside, path));
    written.and_then(|()| sync_directory(path)).map_err(|source| {
        // A failed attempt leaves nothing behind; there may be nothing to remove.
        let _ = fs::remove_file(&aside);
        PersistedError::Io { path: path.to_owned(), source }
    })
}

/// Reads a snapshot; `None` if there is no file. Blocks on the disk.
pub fn load(path: &Path) -> Result<Option<Persisted>, PersistedError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PersistedError::Io { path: path.to_owned(), source }),
    };
    parse(path, &bytes).map(Some)
}

/// The head of a file's content, and what follows it.
fn head<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Head, &'a [u8]), PersistedError> {
    let damaged = |what: &str| PersistedError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| PersistedError::NotASnapshot(path.to_owned()))?;
    let (format, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    let found = u32::from_le_bytes(*format);
    if !(FORMAT_OLDEST..=FORMAT).contains(&found) {
        return Err(PersistedError::Format { path: path.to_owned(), found });
    }
    let (mut records, crc) = rest.split_last_chunk::<CRC_BYTES>().ok_or_else(|| damaged("too short"))?;
    if crc32fast::hash(&bytes[..bytes.len() - CRC_BYTES]) != u32::from_le_bytes(*crc) {
        return Err(damaged("its checksum does not match"));
    }
    let head = Head::decode_length_delimited(&mut records).map_err(|error| damaged(&error.to_string()))?;
    Ok((head, records))
}

/// Reads a file's content. `path` is only for errors.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Persisted, PersistedError> {
    let damaged = |what: &str| PersistedError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let undecodable = |error: prost::DecodeError| damaged(&error.to_string());
    let (head, mut records) = head(path, bytes)?;
    let mut tables = Vec::new();
    while !records.is_empty() {
        tables.push(v1::TablePart::decode_length_delimited(&mut records).map_err(undecodable)?);
    }
    let (removed, seal) = (Vec::new(), head.seal.clone());
    let state = Assembled { kind: UpdateKind::Snapshot, revision: head.revision, tables, removed, seal };
    let snapshot =
        wire::apply(&Snapshot::default(), &state).map_err(|misfit| damaged(&misfit.to_string()))?;
    // Read before the file's age: time that passes in between makes it older.
    let now = clock::Instant::now();
    let (age, valid) = (head.age(), Duration::from_millis(head.valid_ms));
    let age = age.ok_or_else(|| PersistedError::Future(path.to_owned()))?;
    if age >= valid && !Mutation::FileExpires.is_left_out() {
        return Err(PersistedError::Expired { path: path.to_owned(), age, valid });
    }
    if head.writer_slot >= u32::from(Version::SLOTS) {
        return Err(damaged("a writer slot is below 16383"));
    }
    let Head { history_id, seal, .. } = head;
    let (writer_slot, heard) = (head.writer_slot as u16, now.saturating_sub(age));
    Ok(Persisted { snapshot, history_id, seal, writer_slot, heard, valid })
}

/// In the same directory, so that renaming stays within one file system; one per process.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write(path: &Path, snapshot: &Snapshot, saving: &Saving) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    encode(&mut out, snapshot, saving)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Writes a file's content.
pub fn encode(out: &mut impl Write, snapshot: &Snapshot, saving: &Saving) -> io::Result<()> {
    let mut out = Checksummed { out, crc: crc32fast::Hasher::new() };
    out.write(MAGIC)?;
    out.write(&FORMAT.to_le_bytes())?;
    let head = Head::new(snapshot.revision(), saving);
    out.write(&head.encode_length_delimited_to_vec())?;
    for (migration, table) in snapshot.tables() {
        for part in wire::parts(migration, table, table.overrides(), []) {
            out.write(&part.encode_length_delimited_to_vec())?;
        }
    }
    let crc = out.crc.finalize();
    out.out.write_all(&crc.to_le_bytes())
}

struct Checksummed<W> {
    out: W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Checksummed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.out.write_all(bytes)
    }
}

/// A rename is durable only once its directory is synced.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Elsewhere a directory can't be opened, and needs no sync.
    if cfg!(unix) { File::open(parent.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}
