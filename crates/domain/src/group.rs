//! Tenants that stand together and have the same goal.

use cutover_core::routing::Rung;

use super::{Passes, Placement, Whom};

/// A group of tenants: where it stands, and its goal.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which tenants.
    pub whom: Whom,
    /// Where they stand.
    pub placement: Placement,
    /// Their goal.
    pub wanted: Rung,
    /// The gates overridden for them.
    pub passes: Option<Passes>,
}

impl Group {
    /// Returns the override if these tenants, standing at `rung`, are still on the way up that it covers.
    pub(super) fn is_overridden_at(&self, rung: Rung) -> Option<&Passes> {
        self.passes.as_ref().filter(|passes| rung < self.wanted && rung < passes.upto)
    }
}
