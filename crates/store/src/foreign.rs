//! Rejects what another program wrote where a version or deletion mark is expected.
//!
//! A field of the same name can belong to the application. Its values are refused wherever they differ from
//! ours, and are never read as something that they do not mean.

use super::{StoreError, Version, scan::unreadable};

/// No clock is this far ahead. A count of nanoseconds since 1970 is, so it is not taken for a version.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres", feature = "dynamodb"))]
const AHEAD_MAX_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Checks a version that a store has as an integer in `field`.
#[cfg(any(feature = "sqlite", feature = "mysql", feature = "postgres", feature = "dynamodb"))]
pub(super) fn version(field: &str, found: i64) -> Result<Version, StoreError> {
    let Ok(version) = u64::try_from(found).map(Version) else {
        return Err(not_ours(field, &format!("{found} is negative"), "version"));
    };
    if version.ms_since_2025() > super::now_ms_since_2025().saturating_add(AHEAD_MAX_MS) {
        let year = 2025 + version.ms_since_2025() / (AHEAD_MAX_MS / 10);
        return Err(not_ours(field, &format!("{found} would be a write of the year {year}"), "version"));
    }
    Ok(version)
}

/// Checks a record that `field` marks as deleted. Only the SDK writes tombstones: with a version and without
/// content.
pub(super) fn check_tombstone(field: &str, version: Version, has_content: bool) -> Result<(), StoreError> {
    let what = match (version, has_content) {
        (Version::ZERO, _) => "the record is marked as deleted but has no version",
        (_, true) => "the record is marked as deleted but has content",
        _ => return Ok(()),
    };
    Err(not_ours(field, what, "deleted"))
}

/// `key`: the spec's key for naming another field.
pub(super) fn not_ours(field: &str, what: &str, key: &str) -> StoreError {
    let what = format!(
        "{what}, so Cutover did not write it: if the field is the application's, name another one in the \
         spec ({key} = \"...\"), else correct the record"
    );
    unreadable(field, what)
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::{super::now_ms_since_2025, *};

    #[test]
    fn numbers_that_no_clock_has_stamped_are_no_versions() {
        let now = Version::new(now_ms_since_2025(), 255, 0).expect("it fits").0 as i64 | 16_383;
        for fine in [0, 1, now, now + (1 << 22)] {
            assert_eq!(version("v", fine), Ok(Version(fine as u64)));
        }
        // The last one is a time in nanoseconds.
        for (wrong, why) in
            [(-1, "-1 is negative"), (i64::MAX, "year 2094"), (1_790_000_000_000_000_000, "year 2038")]
        {
            let error = version("v", wrong).expect_err(why).to_string();
            assert!(
                error.starts_with("v: ") && error.contains(why) && error.contains("version = "),
                "{error}"
            );
        }
    }

    #[test]
    fn only_a_version_without_content_is_a_deleted_record() {
        assert_eq!(check_tombstone("gone", Version(1), false), Ok(()));
        for (version, has_content) in [(Version::ZERO, false), (Version::ZERO, true), (Version(1), true)] {
            let error = check_tombstone("gone", version, has_content).expect_err("not ours").to_string();
            assert!(error.starts_with("gone: ") && error.contains("deleted = "), "{error}");
        }
    }
}
