//! What a ledger's entry and the row beside it say together: docs/adr/0049-an-entry-counts-if-it-agrees.md.

use super::super::Version;

/// An entry of a ledger. None at all is the same as the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub(in super::super) version: Version,
    /// The SDK deleted the record.
    pub(in super::super) deleted: bool,
}

/// What a write meets at an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct There {
    /// The newest version that the SDK has written. Nothing older is ever written over it.
    pub(in super::super) version: Version,
    /// The version of the record that is there, or of its tombstone. `None`: there is neither.
    pub(in super::super) reads_as: Option<Version>,
}

impl Entry {
    /// The version of the record or tombstone; `None`: there is neither. The entry counts only if it agrees with the
    /// row. A program without the SDK that deletes a row takes its version with it, and one that inserts a row writes
    /// one without a version, as it would in a table with columns.
    pub(in super::super) fn reads_as(self, has_row: bool) -> Option<Version> {
        match (self.deleted, has_row) {
            (false, true) => Some(self.version),
            (true, false) => Some(self.version).filter(|version| *version > Version::ZERO),
            (true, true) => Some(Version::ZERO),
            (false, false) => None,
        }
    }
}

impl There {
    pub(in super::super) fn of(entry: Option<Entry>, has_row: bool) -> Option<Self> {
        let entry = entry.unwrap_or_default();
        let there = Self { version: entry.version, reads_as: entry.reads_as(has_row) };
        (there.version > Version::ZERO || has_row).then_some(there)
    }

    /// In a table with its versions in columns, where the two can't differ.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(in super::super) const fn in_columns(version: Version) -> Self {
        Self { version, reads_as: Some(version) }
    }

    /// Whether a program without the SDK has deleted or inserted the row.
    pub(in super::super) fn is_foreign(self) -> bool {
        self.reads_as != Some(self.version)
    }

    /// Whether this keeps a write of `version` out: it is newer, or this very write.
    pub(in super::super) fn stops(self, version: Version) -> bool {
        self.version > version || self.version == version && !self.is_foreign()
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_only_if_it_agrees_with_the_row() {
        let there = |version, deleted, has_row| {
            let there = There::of(Some(Entry { version: Version(version), deleted }), has_row)?;
            Some((there.version.0, there.reads_as.map(|version| version.0), there.stops(Version(5))))
        };
        assert_eq!(there(5, false, true), Some((5, Some(5), true)));
        assert_eq!(there(5, true, false), Some((5, Some(5), true)));
        assert_eq!(there(0, false, true), Some((0, Some(0), false)));
        assert_eq!(there(0, false, false), None);
        assert_eq!(There::of(None, true), There::of(Some(Entry::default()), true));
        assert_eq!(There::of(None, false), None);
        // Somebody deleted the row, or inserted one after a deletion.
        assert_eq!(there(5, false, false), Some((5, None, false)));
        assert_eq!(there(5, true, true), Some((5, Some(0), false)));
        assert_eq!(there(6, false, false), Some((6, None, true)), "older writes stay out");
        assert_eq!(there(6, true, true), Some((6, Some(0), true)));
    }
}
