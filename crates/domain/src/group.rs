//! Tenants that stand together and have the same goal.

use cutover_core::routing::Rung;

use super::{Document, Passes, Placement, Whom};

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
    /// Every step from here up to `wanted`: the group before the step, and the rung that it leads to.
    pub(super) fn steps_up(&self, document: &Document) -> Vec<(Self, Rung)> {
        let mut steps = Vec::new();
        let mut at = self.placement;
        while let Some(next) = at.next(self.wanted, document.policy.level)
            && next > at.rung
        {
            steps.push((Self { placement: at, ..self.clone() }, next));
            // Since 0: a step that has not happened can't have evidence yet.
            let stepped = at.stepped(next, 0, 0);
            at = Placement { since: at.since, ..stepped };
        }
        steps
    }

    /// Returns the override if these tenants, standing at `rung`, are still on the way up that it covers.
    pub(super) fn is_overridden_at(&self, rung: Rung) -> Option<&Passes> {
        self.passes.as_ref().filter(|passes| rung < self.wanted && rung < passes.upto)
    }
}
