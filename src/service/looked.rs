//! What a look at a blocked migration was made with: until that changes another look finds nothing new.

use cutover_clock::Instant;

use super::{Entry, Instances};
use crate::domain::Glance;

/// What a look was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    revision: u64,
    fleet: Glance,
}

/// A look that found nothing to do.
#[derive(Clone, Debug)]
pub(super) struct Looked<T> {
    pub(super) basis: Basis,
    /// Time alone may bring something by then. `None`: it brings nothing.
    pub(super) until: Option<Instant>,
    /// What was seen.
    pub(super) seen: T,
}

impl Basis {
    pub(super) fn of(entry: &Entry, instances: &Instances) -> Self {
        Self { revision: entry.migration.revision, fleet: instances.glance(entry) }
    }
}

impl<T> Looked<T> {
    /// Would a look find the same again?
    pub(super) fn holds(&self, basis: &Basis, now: Instant) -> bool {
        self.basis == *basis && self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_holds_until_its_basis_changes_or_its_time_is_over() {
        let basis = Basis { revision: 7, fleet: Glance::default() };
        let now = Instant::now();
        let looked = |until| Looked { basis, until, seen: () };
        assert!(looked(None).holds(&basis, now + Duration::from_secs(1_000_000)));
        let soon = looked(Some(now + Duration::from_secs(1)));
        assert!(soon.holds(&basis, now) && !soon.holds(&basis, now + Duration::from_secs(1)));
        assert!(!looked(None).holds(&Basis { revision: 8, ..basis }, now));
        let mut fleet = Glance::default();
        fleet.add("api", 7, 7, false);
        assert!(!looked(None).holds(&Basis { fleet, ..basis }, now));
    }
}
