//! Several records in one transaction.

use super::{StoreError, Version};
use cutover_core::outcome::ErrorClass;

/// The result of [`super::Store::put_all_if_newer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutAll {
    /// This call has written all records, or an earlier attempt of its own has.
    Applied,
    /// Nothing was written. The records at these places of the list, ascending and at least one, are not newer than this
    /// version, which is there.
    Refused(Vec<(usize, Version)>),
}

impl PutAll {
    /// By what keeps records out.
    pub(super) fn unless(refused: Vec<(usize, Version)>) -> Self {
        if refused.is_empty() { Self::Applied } else { Self::Refused(refused) }
    }
}

/// The store can't write several records at once, for this reason.
pub(super) fn no_transactions(why: &str) -> StoreError {
    let what = format!("{why}, so transact can't write several records at once: write them one by one");
    StoreError::Permanent { class: ErrorClass::Other, field: "store".to_owned(), what }
}

/// What an attempt that may have written has done, if the records show it: each is this one or newer, and one of them
/// is still there. Records are named by their versions, each with that which is there and keeps it out.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "dynamodb"))]
pub(super) fn was_applied(found: impl IntoIterator<Item = (Version, Option<Version>)>) -> bool {
    let mut one_is_there = false;
    for (version, there) in found {
        match there {
            None => return false,
            Some(there) => one_is_there |= there == version,
        }
    }
    one_is_there
}

#[cfg(all(test, any(feature = "mysql", feature = "postgres", feature = "dynamodb")))]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_found_by_one_record_if_none_is_older() {
        let was = |there: [Option<u64>; 2]| was_applied(there.map(|there| (Version(5), there.map(Version))));
        assert!(was([Some(5), Some(5)]));
        assert!(was([Some(5), Some(9)]), "something newer has replaced one");
        assert!(!was([Some(9), Some(7)]), "nothing shows that it was there");
        assert!(!was([Some(5), None]), "another writer's record with the same version");
        assert!(!was([None, None]));
    }
}
