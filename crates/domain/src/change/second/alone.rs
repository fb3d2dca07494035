//! What one person may not do at all under the two-person rule: nobody else could tell what they approve.

use cutover_core::routing::Rung;

use super::{check_other, check_proven, is_without_account};
use crate::{
    Document, Gate, Migration, Tenant, TenantRow, Unmet,
    change::{Change, Context, Refusal},
    is_proven,
    plan::{PlanState, PlanStatus},
};

impl Document {
    /// The first step of its plan that still needs approval, counted from 0; also of a plan that ended before it.
    pub(super) fn unapproved_step(&self) -> Option<usize> {
        let state = self.plan.as_ref().filter(|state| state.status != PlanStatus::Done)?;
        let first = state.taken.len().max(state.approved);
        (first..state.plan.steps().len()).find(|at| state.plan.steps()[*at].approval)
    }

    /// Refuses what one person may not do at all under the rule.
    pub(super) fn check_persons(
        &self,
        migration: &Migration,
        change: &Change,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        if let Change::Update { policy: Some(policy), .. } = change
            && policy.two_persons
            && !self.policy.two_persons
        {
            return check_proven(context, &self.key);
        }
        if !self.policy.two_persons {
            return Ok(());
        }
        match change {
            Change::ApprovePlan { .. } | Change::SkipPlanStep { .. } => {
                check_proven(context, &self.key)?;
                self.plan.as_ref().map_or(Ok(()), |state| self.check_applied(state, context))
            }
            Change::SetRollout { shares, .. } => {
                let goal = self.goal.with(shares).map_err(Refusal::Invalid)?;
                let mut raised = goal.shares().into_iter().zip(self.goal.shares());
                self.check_raise(raised.any(|((_, new), (_, old))| new > old))
            }
            Change::SetPins { pins, .. } => {
                let is_raised = |(tenant, rung): &(Tenant, Rung)| *rung > migration.wanted(tenant).rung;
                self.check_raise(pins.iter().any(is_raised))
            }
            Change::ClearPin { tenant, .. } => {
                let row = migration.tenants.get(tenant).map(|row| TenantRow { pin: None, ..*row });
                let (bucket, floor) = (migration.bucket(tenant), migration.placement(tenant).floor);
                let unpinned = self.caps(row.as_ref()).wanted(bucket, floor);
                self.check_raise(unpinned.rung > migration.wanted(tenant).rung)
            }
            _ => Ok(()),
        }
    }

    /// Whoever applied a plan does not approve its steps.
    fn check_applied(&self, state: &PlanState, context: &Context<'_>) -> Result<(), Refusal> {
        let PlanState { applied_by, applied_identity, .. } = state;
        if is_proven(applied_by) && !is_without_account(applied_by, applied_identity) {
            return check_other((applied_by, applied_identity), context, "applied the plan");
        }
        let message = format!("{applied_by} applied the plan, and nobody proved who that is");
        let action = format!("cutover plan stop {0}, then apply the plan again", self.key);
        Err(Unmet::of_change(Gate::SecondPerson, message, action).into())
    }

    /// Nobody goes past a step that waits for approval by going up by hand.
    fn check_raise(&self, is_raised: bool) -> Result<(), Refusal> {
        let Some(step) = self.unapproved_step().filter(|_| is_raised) else { return Ok(()) };
        let message = format!("step {} of the plan is not approved: nobody goes up by hand before", step + 1);
        let action = format!(
            "cutover plan approve {0} --step {1}, or cutover plan apply {0} FILE, which a second person approves",
            self.key,
            step + 1
        );
        Err(Unmet::of_change(Gate::SecondPerson, message, action).into())
    }
}
