//! The effect of a guard's verdict: one stage back, a hold, or a line in the history.

use super::{Context, Draft, Refusal};
use crate::{
    Tenant, TenantRow,
    goal::{Cause, is_lower},
    guard::{Action, Scope, Verdict},
    trip::{Breach, Trip, TripOutcome},
};

/// Maximum trips in a document; older ones are in the history.
const TRIPS_MAX: usize = 10;

impl Draft {
    /// Commits a verdict. A verdict about an earlier stage has no effect: somebody was faster.
    pub(super) fn trip(&mut self, breach: &Breach, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        let Breach { stage_revision, verdict } = breach;
        if self.document.judged_since > *stage_revision {
            return Ok(());
        }
        let outcome = match (verdict.action, &verdict.scope) {
            (Action::Observe, _) => Some(TripOutcome::Observed),
            (Action::Hold, _) => self.held(verdict, context),
            (Action::Rollback, Scope::Tenant(tenant)) => {
                if self.row(tenant).placement.since > *stage_revision {
                    return Ok(());
                }
                self.trip_tenant(tenant, verdict, context)
            }
            (Action::Rollback, Scope::Migration) => {
                if self.document.bands.since() > *stage_revision {
                    return Ok(());
                }
                self.trip_everybody(verdict, context)
            }
        };
        let Some(outcome) = outcome else { return Ok(()) };
        let (revision, at_ms, verdict) = (context.revision, context.now_ms, verdict.clone());
        let trip = Trip { revision, at_ms, outcome, verdict };
        self.say(trip.told());
        let trips = &mut self.document.trips;
        trips.push(trip);
        trips.drain(..trips.len().saturating_sub(TRIPS_MAX));
        Ok(())
    }

    fn trip_tenant(
        &mut self,
        tenant: &Tenant,
        verdict: &Verdict,
        context: &Context<'_>,
    ) -> Option<TripOutcome> {
        let row = self.row(tenant);
        let Ok(ceiling) = Cause::Guard(verdict.guard.kind).ceiling(&row.placement) else {
            return self.held(verdict, context);
        };
        if !is_lower(ceiling, row.ceiling) {
            return None;
        }
        self.set_row(tenant, TenantRow { ceiling: Some(ceiling), overridden: 0, ..row });
        Some(TripOutcome::RolledBack(ceiling))
    }

    fn trip_everybody(&mut self, verdict: &Verdict, context: &Context<'_>) -> Option<TripOutcome> {
        let ceiling = Cause::Guard(verdict.guard.kind).ceiling_of_all(self.migration.placements());
        let Ok(ceiling) = ceiling else { return self.held(verdict, context) };
        if !is_lower(ceiling, self.document.ceiling) {
            return None;
        }
        self.document.ceiling = Some(ceiling);
        Some(TripOutcome::RolledBack(ceiling))
    }

    /// Stops steps up. Recorded once: while the migration is held or rolled back, further verdicts are not
    /// news.
    fn held(&mut self, verdict: &Verdict, context: &Context<'_>) -> Option<TripOutcome> {
        let is_latched = self.document.ceiling.is_some();
        let is_told = self.document.paused
            && self.document.trips.last().is_some_and(|trip| trip.verdict.guard == verdict.guard);
        if is_latched || is_told {
            return None;
        }
        self.stop_going_up(context);
        Some(TripOutcome::Held)
    }
}
