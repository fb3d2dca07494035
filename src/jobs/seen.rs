//! Versions that the source was seen to have, so that the scan of the target need not ask for them again.
//!
//! It forgets what it has no room for, so its size is fixed. Whatever it does not know is looked up. docs/protocol.md,
//! "What the scan of the target need not look up", says why it may be believed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use cutover_proto::v1::PassKind;
use cutover_store::{Id, Version};

use super::{Plan, Stores};

/// Slots of a bucket, which are one cache line.
const WAYS: usize = 8;
/// So small tables fit whole: 64 KiB.
const BUCKETS_MIN: u64 = 1 << 10;
/// 128 MiB.
const BUCKETS_MAX: u64 = 1 << 21;

/// Hashes of tenant, key and version.
pub(super) struct Seen {
    /// So that nobody can choose keys that collide.
    secret: u64,
    /// 0: free. Empty: it remembers nothing.
    buckets: Box<[[AtomicU64; WAYS]]>,
}

impl Seen {
    /// Remembers nothing.
    pub(super) fn nothing() -> Self {
        Self { secret: 0, buckets: Box::default() }
    }

    /// Room for about `records`.
    fn of(records: u64) -> Self {
        let buckets = (records / WAYS as u64 * 2).clamp(BUCKETS_MIN, BUCKETS_MAX);
        Self { secret: rand::random(), buckets: (0..buckets).map(|_| Default::default()).collect() }
    }

    /// Whether it can remember anything.
    pub(super) fn remembers(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// The source has this version. Version 0 is not remembered: a service without an SDK deletes such a record without
    /// a trace.
    pub(super) fn add(&self, id: &Id, version: Version) {
        let Some((bucket, hash)) = self.place(id, version) else { return };
        let free = bucket.iter().find(|slot| [0, hash].contains(&slot.load(Relaxed)));
        free.unwrap_or(&bucket[hash as usize % WAYS]).store(hash, Relaxed);
    }

    /// Whether the source was seen to have this version. False: unknown.
    pub(super) fn has(&self, id: &Id, version: Version) -> bool {
        self.place(id, version)
            .is_some_and(|(bucket, hash)| bucket.iter().any(|slot| slot.load(Relaxed) == hash))
    }

    fn place(&self, id: &Id, version: Version) -> Option<(&[AtomicU64; WAYS], u64)> {
        if version == Version::ZERO || !self.remembers() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (self.secret, id, version).hash(&mut hasher);
        let hash = hasher.finish().max(1);
        let at = (u128::from(hash) * self.buckets.len() as u128) >> 64;
        Some((&self.buckets[at as usize], hash))
    }
}

impl Stores {
    /// What a pass remembers of the source. It is worth while if the target has most of the records already, and if there
    /// is room for most of them.
    pub(super) async fn seen(&self, plan: &Plan) -> Seen {
        let has_halves = plan.on_target > 0 && plan.on_target < plan.segments;
        let looks_up = matches!(plan.kind, PassKind::Full | PassKind::Verify | PassKind::Sample);
        // The source may lose what has expired. A repair where the source wins looks at what the source has newer, too.
        if !has_halves || !looks_up || plan.ttl.is_some() || plan.source_wins {
            return Seen::nothing();
        }
        let (source, target) = futures::join!(self.source.estimate(), self.target.estimate());
        match (source.ok().and_then(|it| it.records), target.ok().and_then(|it| it.records)) {
            (Some(source), Some(target)) if source / 2 <= target && source / WAYS as u64 <= BUCKETS_MAX => {
                Seen::of(source)
            }
            _ => Seen::nothing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(at: u64) -> Id {
        Id::new("acme", &format!("record-{at}")).expect("it is valid")
    }

    #[test]
    fn it_remembers_nearly_all_that_it_has_room_for_and_nothing_else() {
        let seen = Seen::of(10_000);
        for at in 0..10_000 {
            seen.add(&id(at), Version(at + 1));
            // Again: it takes no more room.
            seen.add(&id(at), Version(at + 1));
        }
        let known = (0..10_000).filter(|at| seen.has(&id(*at), Version(at + 1))).count();
        assert!(known > 9_900, "{known}");
        let other = (0..10_000).filter(|at| seen.has(&id(*at), Version(at + 2))).count();
        assert_eq!(other, 0, "another version");
        let other = (10_000..20_000).filter(|at| seen.has(&id(*at), Version(at + 1))).count();
        assert_eq!(other, 0, "another record");
    }

    #[test]
    fn what_it_has_no_room_for_is_unknown() {
        let seen = Seen::of(0);
        (1..100_000).for_each(|at| seen.add(&id(at), Version(at)));
        let known = (1..100_000).filter(|at| seen.has(&id(*at), Version(*at))).count();
        assert_eq!(known, BUCKETS_MIN as usize * WAYS, "all room is used");
    }

    #[test]
    fn a_record_without_a_version_is_never_remembered() {
        let seen = Seen::of(100);
        seen.add(&id(1), Version::ZERO);
        assert!(!seen.has(&id(1), Version::ZERO));
        seen.add(&id(1), Version(1));
        assert!(seen.has(&id(1), Version(1)));
        let nothing = Seen::nothing();
        nothing.add(&id(1), Version(1));
        assert!(!nothing.has(&id(1), Version(1)));
    }
}
