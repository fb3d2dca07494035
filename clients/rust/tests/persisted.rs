//! A start without the controller: the last snapshot, or a typed error, never a guess.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cutover_client::{
    clock::Instant,
    persisted::{self, FileLock, PersistedError, Saving},
    routing::{Band, Policy, Reason, Route, Rung, Snapshot, Table},
};
use tempfile::TempDir;

fn snapshot(overrides: usize) -> Snapshot {
    let route = Route { rung: Rung::Mirrored, reason: Reason::Rollback, no_fallback: true };
    let tenants: Vec<String> = (0..overrides).map(|i| format!("tenant-{i}")).collect();
    let bands = [Band { upto_ppm: 500_000, route: Route { rung: Rung::Dual, ..route } }];
    let policy = Policy { fence_after_ms: 9_000, ..Policy::default() };
    let table = Table::new(41, "salt", &bands, policy)
        .with_overrides(tenants.iter().map(|tenant| (tenant.as_str(), Some(route))));
    let mut snapshot = Snapshot::empty(42);
    snapshot.insert("orders", Ok(Arc::new(table)));
    snapshot.insert("broken", Err("rung 99".to_owned()));
    snapshot
}

fn saving(history_id: &str) -> Saving {
    let history_id = history_id.to_owned();
    Saving {
        history_id,
        seal: "sealed".to_owned(),
        is_base: true,
        writer_slot: 9,
        heard: Instant::now(),
        valid: Duration::from_secs(3_600),
    }
}

fn saved(overrides: usize) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    persisted::save(&path, &snapshot(overrides), &saving("history-1")).expect("written");
    (directory, path)
}

#[test]
fn what_was_saved_is_what_is_loaded() {
    let (directory, path) = saved(100_000);
    let loaded = persisted::load(&path).expect("readable").expect("there");
    assert_eq!((loaded.snapshot.revision(), loaded.history_id.as_str()), (42, "history-1"));
    assert_eq!(loaded.seal, "sealed");
    assert!(loaded.heard.elapsed().as_secs() < 60 && loaded.writer_slot == 9);
    assert_eq!(loaded.valid, Duration::from_secs(3_600));
    let before = snapshot(100_000);
    for tenant in ["tenant-0", "tenant-99999", "acme", "bolt", "core"] {
        let decision = loaded.snapshot.decide("orders", tenant).expect("routed");
        assert_eq!(Ok(decision), before.decide("orders", tenant), "{tenant}");
    }
    assert_eq!(loaded.snapshot.table("orders").expect("there").policy().fence_after_ms, 9_000);
    assert!(loaded.snapshot.decide("broken", "acme").is_err(), "unreadable before, unknown now");
    let files = fs::read_dir(directory.path()).expect("listed").count();
    assert_eq!(files, 1, "nothing is left aside");
}

#[test]
fn a_later_save_replaces_an_earlier_one() {
    let (_directory, path) = saved(10);
    persisted::save(&path, &Snapshot::empty(77), &saving("history-2")).expect("written");
    let loaded = persisted::load(&path).expect("readable").expect("there");
    assert_eq!((loaded.snapshot.revision(), loaded.history_id.as_str()), (77, "history-2"));
}

#[test]
fn no_file_is_no_error() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(persisted::load(&directory.path().join("none")).expect("no error").is_none());
}

#[test]
fn a_file_cut_short_anywhere_or_with_any_bit_flipped_is_refused() {
    let (_directory, path) = saved(3);
    let whole = fs::read(&path).expect("read");
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).expect("written");
        assert!(persisted::load(&path).is_err(), "cut to {len} bytes");
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, &flipped).expect("written");
        let error = persisted::load(&path).expect_err("refused");
        match at {
            0..8 => assert!(matches!(error, PersistedError::NotASnapshot(_)), "{error}"),
            8..12 => assert!(matches!(error, PersistedError::Format { .. }), "{error}"),
            _ => assert!(matches!(error, PersistedError::Damaged { .. }), "{error}"),
        }
    }
}

/// An earlier SDK splits versions another way, and refuses the newest format: it must not go on with the slot in such a file.
#[test]
fn the_format_before_is_read_and_no_other_one() {
    let (_directory, path) = saved(3);
    let whole = fs::read(&path).expect("read");
    assert_eq!(whole[8..12], 3_u32.to_le_bytes());
    for (format, is_read) in [(1_u32, false), (2, true), (3, true), (4, false)] {
        let mut bytes = whole.clone();
        bytes[8..12].copy_from_slice(&format.to_le_bytes());
        let (content, crc) = bytes.split_at_mut(whole.len() - 4);
        crc.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        fs::write(&path, &bytes).expect("written");
        match persisted::load(&path) {
            Ok(loaded) => assert!(is_read && loaded.expect("there").writer_slot == 9, "{format}"),
            Err(error) => {
                assert!(
                    !is_read && error.to_string().contains("this version reads 2 to 3"),
                    "{format}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_place_that_can_not_be_written_is_a_typed_error() {
    let (directory, _) = saved(1);
    let path = directory.path().join("no-such-directory").join("snapshot");
    let error = persisted::save(&path, &snapshot(1), &saving("h")).expect_err("refused");
    assert!(matches!(error, PersistedError::Io { .. }), "{error}");
    assert!(matches!(persisted::load(directory.path()), Err(PersistedError::Io { .. })), "a directory");
}

#[tokio::test(start_paused = true)]
async fn a_file_expires_counted_from_when_its_process_was_last_heard() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let heard = Instant::now().saturating_sub(Duration::from_secs(3_000));
    persisted::save(&path, &snapshot(1), &Saving { heard, ..saving("h") }).expect("written");
    let age = persisted::load(&path).expect("readable").expect("there").heard.elapsed();
    assert!(age >= Duration::from_secs(3_000), "{age:?}");
    tokio::time::advance(Duration::from_secs(601)).await;
    let error = persisted::load(&path).expect_err("expired");
    assert!(matches!(error, PersistedError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("good for 3600 s"), "{error}");
}

#[test]
fn a_file_may_be_older_than_the_machine_s_boot() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let year = Duration::from_secs(365 * 24 * 3_600);
    let heard = Instant::now().saturating_sub(year);
    persisted::save(&path, &snapshot(1), &Saving { heard, valid: 2 * year, ..saving("h") }).expect("written");
    let age = persisted::load(&path).expect("readable").expect("there").heard.elapsed();
    assert!(age >= year && age < year + Duration::from_secs(600), "{age:?}");
}

#[test]
fn a_file_is_one_process_s_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let held = FileLock::take(&path, "one", 1).expect("free");
    let error = FileLock::take(&path, "two", 2).expect_err("taken");
    assert!(matches!(error, PersistedError::InUse(_)), "{error}");
    drop(held);
    FileLock::take(&path, "three", 3).expect("free again");
}

/// Takes the lock, and says who held it before.
fn before(path: &Path, incarnation: u64) -> Vec<u64> {
    let lock = FileLock::take(path, "one", incarnation).expect("free");
    lock.predecessors().iter().map(|process| process.incarnation).collect()
}

#[test]
fn whoever_locks_a_file_learns_who_held_it_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    let none: [u64; 0] = [];
    assert_eq!(before(&path, 1), none);
    assert_eq!(before(&path, 2), [1]);
    assert_eq!(before(&path, 3), [1, 2]);
    for incarnation in 4..=600 {
        before(&path, incarnation);
    }
    assert_eq!(before(&path, 601), (90..=600).collect::<Vec<_>>(), "the newest");
}

#[test]
fn a_copy_a_new_file_and_a_damaged_one_name_nobody() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    before(&at("snapshot"), 1);
    let held = FileLock::take(&at("snapshot"), "one", 2).expect("free");
    fs::copy(at("snapshot.lock"), at("copy.lock")).expect("copied");
    let none: [u64; 0] = [];
    assert_eq!(before(&at("copy"), 3), none, "the process that it names may still run");
    // A tidy-up removes it while its process runs.
    fs::remove_file(at("snapshot.lock")).expect("removed");
    assert_eq!(before(&at("snapshot"), 4), none);
    drop(held);
    let whole = fs::read(at("snapshot.lock")).expect("read");
    for len in 0..whole.len() {
        fs::write(at("snapshot.lock"), &whole[..len]).expect("written");
        assert_eq!(before(&at("snapshot"), 5), none, "cut to {len} bytes");
    }
    assert_eq!(before(&at("snapshot"), 6), [5], "it is usable again");
}
