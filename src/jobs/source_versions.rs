//! A cache of the versions that a worker's scans of the source have met, so that its scan of the target need not look
//! them up.
//!
//! Its size is fixed: it evicts what it has no room for. Whatever is not in it is looked up. docs/protocol.md, "What the
//! scan of the target need not look up", says why a look-up can be skipped.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cutover_proto::v1::PassKind;
use cutover_store::{Id, Version};

use super::Plan;

/// Slots of a bucket.
const WAYS: usize = 8;
/// 16 MiB: nearly all of a million records, for stores that report fewer, or nothing.
const BUCKETS_MIN: u64 = 1 << 18;
/// 128 MiB.
const BUCKETS_MAX: u64 = 1 << 21;

/// Hashes of tenant, key and version; 0: free.
type Bucket = [u64; WAYS];

pub(super) struct SourceVersions {
    /// Nobody who does not know it can choose keys that collide.
    secret: u64,
    /// No buckets: disabled.
    buckets: Mutex<Vec<Bucket>>,
    len: usize,
}

impl SourceVersions {
    /// Holds nothing.
    pub(super) fn disabled() -> Self {
        Self::sized(0, 0)
    }

    /// Of a pass that reads about this many records in both stores; 0: nobody knows.
    pub(super) fn of(plan: &Plan, expected: u64) -> Self {
        let has_halves = plan.on_target > 0 && plan.on_target < plan.segments;
        let looks_up = matches!(plan.kind, PassKind::Full | PassKind::Verify | PassKind::Sample);
        // The source may remove what has expired. A repair where the source wins looks at what the source has newer, too.
        if !has_halves || !looks_up || !plan.source_first || plan.ttl.is_some() || plan.source_wins {
            return Self::disabled();
        }
        Self::for_records(expected / 2)
    }

    /// Twice as many slots, so that hardly any bucket is full, within the limits.
    fn for_records(records: u64) -> Self {
        let buckets = (records / WAYS as u64 * 2).clamp(BUCKETS_MIN, BUCKETS_MAX);
        Self::sized(buckets as usize, rand::random())
    }

    fn sized(len: usize, secret: u64) -> Self {
        // Zeros are allocated, not written: memory is used as they are filled.
        Self { secret, buckets: Mutex::new(vec![[0; WAYS]; len]), len }
    }

    /// Whether it can hold anything.
    pub(super) fn is_enabled(&self) -> bool {
        self.len > 0
    }

    /// The source has this version. Not before the controller has the page's checkpoint: until then another worker may
    /// get the segment, and meet something else. Version 0 is not added: a service without an SDK deletes such a record
    /// without a trace.
    pub(super) fn add(&self, id: &Id, version: Version) {
        let Some((at, hash)) = self.place(id, version) else { return };
        let bucket = &mut self.lock()[at];
        let slot = bucket.iter().position(|slot| [0, hash].contains(slot));
        bucket[slot.unwrap_or(hash as usize % WAYS)] = hash;
    }

    /// Whether a scan of the source has met this version. False: unknown.
    pub(super) fn has(&self, id: &Id, version: Version) -> bool {
        self.place(id, version).is_some_and(|(at, hash)| self.lock()[at].contains(&hash))
    }

    /// Removes everything if a claim was lost: another worker scans that segment, and may meet something else there.
    pub(super) fn clear_if(&self, is_lost: bool) {
        if is_lost {
            *self.lock() = vec![[0; WAYS]; self.len];
        }
    }

    fn place(&self, id: &Id, version: Version) -> Option<(usize, u64)> {
        if version == Version::ZERO || !self.is_enabled() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (self.secret, id, version).hash(&mut hasher);
        let hash = hasher.finish().max(1);
        Some((((u128::from(hash) * self.len as u128) >> 64) as usize, hash))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cutover_store::{Ttl, spec::Spec};

    use super::*;

    fn id(at: u64) -> Id {
        Id::new("acme", &format!("record-{at}")).expect("it is valid")
    }

    fn held(cache: &SourceVersions, records: u64) -> u64 {
        (1..=records).filter(|at| cache.has(&id(*at), Version(*at))).count() as u64
    }

    #[test]
    fn it_holds_nearly_all_that_it_has_room_for_and_nothing_else() {
        let cache = SourceVersions::sized(2_500, 7);
        for at in 1..=10_000 {
            cache.add(&id(at), Version(at));
            // Again: it takes no more room.
            cache.add(&id(at), Version(at));
        }
        let held = held(&cache, 10_000);
        assert!(held > 9_800, "{held}");
        let other = (1..=10_000).filter(|at| cache.has(&id(*at), Version(at + 1))).count();
        assert_eq!(other, 0, "another version");
        let other = (10_001..20_000).filter(|at| cache.has(&id(*at), Version(at - 10_000))).count();
        assert_eq!(other, 0, "another record");
    }

    #[test]
    fn it_evicts_what_it_has_no_room_for() {
        let cache = SourceVersions::sized(100, 7);
        (1..=100_000).for_each(|at| cache.add(&id(at), Version(at)));
        assert_eq!(held(&cache, 100_000), 800, "all room is used");
    }

    #[test]
    fn it_never_holds_a_record_without_a_version() {
        let cache = SourceVersions::sized(100, 7);
        cache.add(&id(1), Version::ZERO);
        assert!(!cache.has(&id(1), Version::ZERO));
        cache.add(&id(1), Version(1));
        assert!(cache.has(&id(1), Version(1)));
        cache.clear_if(false);
        assert!(cache.has(&id(1), Version(1)));
        cache.clear_if(true);
        assert!(!cache.has(&id(1), Version(1)));
        let disabled = SourceVersions::disabled();
        disabled.add(&id(1), Version(1));
        assert!(!disabled.has(&id(1), Version(1)));
    }

    #[test]
    fn whatever_the_estimate_is_it_has_room() {
        let buckets = |records| SourceVersions::for_records(records).len as u64;
        assert_eq!(buckets(0), BUCKETS_MIN, "nobody knows, or the estimate is old");
        assert_eq!(buckets(8_000_000), 2_000_000);
        assert_eq!(buckets(400_000_000), BUCKETS_MAX);
    }

    #[test]
    fn only_passes_for_which_it_is_sound_have_one() {
        let spec: Spec = "migration = \"orders\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"t\"\n\
                          [target]\nurl = \"sqlite:b.db\"\ntable = \"t\"\n"
            .parse()
            .expect("it is whole");
        let plan = |kind| Plan { on_target: 1, segments: 2, ..Plan::of(&spec, kind, String::new()) };
        let is_enabled = |plan: &Plan| SourceVersions::of(plan, 0).is_enabled();
        for kind in [PassKind::Full, PassKind::Verify, PassKind::Sample] {
            let plan = plan(kind);
            assert!(is_enabled(&plan), "{kind:?}");
            let ttl = Ttl::new("expires_at", Duration::ZERO);
            for other in [
                Plan { source_wins: true, ..plan.clone() },
                Plan { source_first: false, ..plan.clone() },
                Plan { ttl: Some(ttl), ..plan.clone() },
                Plan { on_target: 0, ..plan.clone() },
                Plan { on_target: 2, ..plan.clone() },
            ] {
                assert!(!is_enabled(&other), "{other:?}");
            }
        }
        for kind in [PassKind::Reverse, PassKind::Sweep] {
            assert!(!is_enabled(&plan(kind)), "{kind:?}");
        }
    }
}
