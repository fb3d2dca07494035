//! What a request under the two-person rule was about, and whether that has changed.

use crate::{
    Document, PendingRequest,
    pending::{Basis, Reserved},
};

impl Basis {
    pub(super) fn of(document: &Document, change: &Reserved) -> Self {
        match change {
            Reserved::Update { policy, guards, .. } => Self::Settings {
                policy: policy.as_ref().map(|_| Box::new(document.policy.clone())),
                guards: (!guards.is_empty()).then(|| Box::new(document.guards.clone())),
            },
            _ => Self::Rollout {
                judged_since: document.judged_since,
                plan_at_ms: document.plan.as_ref().map(|state| state.applied_at_ms),
            },
        }
    }

    /// What has changed, if it is not the same any more.
    fn difference(&self, now: &Self) -> Option<&'static str> {
        match (self, now) {
            _ if self == now => None,
            (Self::Settings { policy, .. }, Self::Settings { policy: new, .. }) if policy != new => {
                Some("the policy was changed")
            }
            (Self::Settings { .. }, _) => Some("the guards were changed"),
            (Self::Rollout { plan_at_ms, .. }, Self::Rollout { plan_at_ms: new, .. })
                if plan_at_ms != new =>
            {
                Some("another plan was applied")
            }
            (Self::Rollout { .. }, _) => Some("the migration was rolled back or paused"),
        }
    }
}

impl PendingRequest {
    /// Whether it can still be approved, as far as can be said without trying.
    pub(in crate::change) fn is_open(&self, document: &Document, steady_ms: u64) -> bool {
        self.is_valid(steady_ms) && self.outlived(document).is_none()
    }

    /// What has changed since it was asked for, so that it is not about what is there now.
    pub(super) fn outlived(&self, document: &Document) -> Option<&'static str> {
        self.basis.difference(&Basis::of(document, &self.change))
    }
}
