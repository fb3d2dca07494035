//! Records that expire. docs/protocol.md, "Records that expire", says why nothing is lost or comes back.

use super::{Cause, Inner, rules::Seen};
use crate::{
    clock::Instant,
    routing::Mutation,
    store::{Record, Ttl},
    watch::Operation,
};

impl Inner {
    /// What the rules see of a record: an expired one is like a tombstone of its version.
    pub(super) fn seen(&self, record: Option<&Record>) -> Option<Seen> {
        record.map(|record| Seen { tombstone: self.visible(Some(record)).is_none(), version: record.version })
    }

    /// The content that a caller gets. `None`: there is no record, or it was deleted or has expired.
    pub(super) fn visible<'a>(&self, record: Option<&'a Record>) -> Option<&'a [u8]> {
        let record = record.filter(|record| !self.is_expired(record))?;
        record.value.as_deref()
    }

    pub(super) fn is_expired(&self, record: &Record) -> bool {
        let is_expired = self.ttl.as_ref().is_some_and(|ttl| ttl.is_expired(record));
        is_expired && !Mutation::ExpiredIsAbsent.is_left_out()
    }

    /// Refuses a stamped record that a store could remove while an older put may still arrive.
    pub(super) fn check_expiry(&self, record: &Record) -> Result<(), Cause> {
        let Some(ttl) = self.ttl.as_ref().filter(|_| !Mutation::ExpiresLate.is_left_out()) else {
            return Ok(());
        };
        match ttl.too_soon(record) {
            None => Ok(()),
            Some(short) => Err(Cause::ExpiresTooSoon {
                attribute: ttl.attribute().to_owned(),
                least_s: ttl.least().as_secs(),
                short_ms: u64::try_from(short.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// When the last call of an operation that begins now may end. `None`: at any time.
    pub(super) fn calls_until(&self) -> Option<Instant> {
        self.ttl.as_ref().map(|_| Instant::now() + Ttl::CALLS_WITHIN)
    }

    /// Whether a read at target-first never asks the source. What the target lacks may have expired there, and the
    /// source may have what was there before.
    pub(super) fn reads_target_alone(&self, operation: &Operation) -> bool {
        let expires = self.ttl.is_some() && !Mutation::NoFallbackOfExpired.is_left_out();
        operation.decision.no_fallback || expires
    }

    /// The same for what a mutation starts from. While the local guard is on nobody writes the target alone, so the
    /// source has the newest record.
    pub(super) fn mutates_target_alone(&self, operation: &Operation) -> bool {
        operation.decision.no_fallback || self.reads_target_alone(operation) && !operation.policy.local_guard
    }
}
