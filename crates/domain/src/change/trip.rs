//! The effect of a guard's verdict: one stage back, a hold, or a line in the history.

use cutover_core::routing::Rung;

use super::{Context, Draft, Refusal};
use crate::{
    Placement, Tenant, TenantRow,
    guard::{Action, GuardKind, Scope, Verdict},
    trip::{Breach, Trip, TripOutcome},
};

/// Maximum trips in a document; older ones are in the history.
const TRIPS_MAX: usize = 10;

/// The rung to which a guard rolls back, where a failing target does no harm. `None`: it already does none.
///
/// At dual callers do not see the target's errors, but they do see its slowness.
const fn harmless_below(rung: Rung, kind: GuardKind) -> Option<Rung> {
    match (rung, kind) {
        (Rung::SourceOnly, _) => None,
        (Rung::Dual, GuardKind::SlowRelative) => Some(Rung::SourceOnly),
        (Rung::Dual, _) => None,
        (Rung::Mirrored | Rung::Hold | Rung::TargetFirst | Rung::TargetOnly, _) => Some(Rung::Dual),
    }
}

impl Draft {
    /// Commits a verdict. A verdict about an earlier stage has no effect: somebody was faster.
    pub(super) fn trip(&mut self, breach: &Breach, context: &Context<'_>) -> Result<(), Refusal> {
        self.refuse_if_finished()?;
        let Breach { stage_revision, verdict } = breach;
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
        let Some(ceiling) = Self::guarded_ceiling(&row.placement, verdict.guard.kind) else {
            return self.held(verdict, context);
        };
        if row.ceiling.is_some_and(|has| has <= ceiling) {
            return None;
        }
        self.set_row(tenant, TenantRow { ceiling: Some(ceiling), overridden: 0, ..row });
        Some(TripOutcome::RolledBack(ceiling))
    }

    fn trip_everybody(&mut self, verdict: &Verdict, context: &Context<'_>) -> Option<TripOutcome> {
        let bands = self.document.bands.pieces(&[]).map(|(_, _, placement)| placement);
        let rows = self.migration.tenants.values().map(|row| row.placement);
        let ceiling = bands
            .chain(rows)
            .filter_map(|placement| Self::guarded_ceiling(&placement, verdict.guard.kind))
            .max();
        let Some(ceiling) = ceiling else { return self.held(verdict, context) };
        if self.document.ceiling.is_some_and(|has| has <= ceiling) {
            return None;
        }
        self.document.ceiling = Some(ceiling);
        Some(TripOutcome::RolledBack(ceiling))
    }

    /// `None`: there is nothing to go back for, or going back would lose writes.
    fn guarded_ceiling(placement: &Placement, kind: GuardKind) -> Option<Rung> {
        harmless_below(placement.rung, kind).filter(|ceiling| *ceiling >= placement.floor)
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
