//! Requests for shares.

use super::{Ask, Context, Draft, Refusal};
use crate::{Gate, Group, Shares, Unmet, Whom, percent};

impl Draft {
    pub(super) fn set_rollout(
        &mut self,
        shares: &Shares,
        ask: &Ask,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        let goal = self.document.goal.with(shares).map_err(Refusal::Invalid)?;
        let raised =
            goal.shares().into_iter().zip(self.document.goal.shares()).any(|((_, new), (_, old))| new > old);
        if raised && let Some(ceiling) = self.document.ceiling {
            return Err(Unmet::of_change(
                Gate::Tripped,
                format!("rolled back to {ceiling}, and not acknowledged"),
                format!("cutover ack {} --reason ..", self.document.key),
            )
            .into());
        }
        if goal != self.document.goal {
            self.document.goal = goal;
            let percents = goal.shares().map(|(rung, ppm)| format!("{rung} {} %", percent(ppm)));
            self.say(format!("asked for {}", percents.join(", ")));
        }
        let named = |group: &Group| {
            let bucket = match group.whom {
                Whom::Buckets { from, .. } => from,
                Whom::Tenant { bucket, .. } => bucket,
            };
            shares.named_rung(bucket)
        };
        self.take_on(ask, named, context)
    }

    pub(super) fn refuse_if_finished(&self) -> Result<(), Refusal> {
        match self.document.finished_at_ms {
            Some(_) => Err(Unmet::of_change(
                Gate::Finished,
                "the migration is finished: its tenants stay at target-only",
                format!("cutover delete {}, or create another one", self.document.key),
            )
            .into()),
            None => Ok(()),
        }
    }
}
