//! A migration during a change.

use cutover_core::routing::Rung;
use imbl::OrdMap;

use super::{Applied, Ask, Context, Refusal};
use crate::{
    Document, Group, Migration, Tenant, TenantRow, Whom,
    advance::{self, groups_on_the_way},
    sight::Sight,
};

/// Maximum unmet conditions in a refusal.
const UNMET_MAX: usize = 100;
/// Maximum moves that an event lists individually.
const MOVES_TOLD_MAX: usize = 50;

/// A migration during a change.
pub(super) struct Draft {
    pub(super) migration: Migration,
    pub(super) document: Document,
    rows: OrdMap<Tenant, Option<TenantRow>>,
    pub(super) summary: Vec<String>,
}

impl Draft {
    pub(super) fn of(migration: &Migration) -> Self {
        Self {
            migration: migration.clone(),
            document: (*migration.document).clone(),
            rows: OrdMap::new(),
            summary: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.summary.push(line.into());
    }

    /// A tenant's row in the draft; a new one from its placement if it has none.
    pub(super) fn row(&self, tenant: &Tenant) -> TenantRow {
        let row = match self.rows.get(tenant) {
            Some(row) => *row,
            None => self.migration.tenants.get(tenant).copied(),
        };
        row.unwrap_or_else(|| TenantRow {
            pin: None,
            ceiling: None,
            placement: self.migration.placement(tenant),
            overridden: 0,
        })
    }

    pub(super) fn set_row(&mut self, tenant: &Tenant, row: TenantRow) {
        let before = self.row(tenant);
        let count = |counter: &mut u64, was: bool, is: bool| match (was, is) {
            (false, true) => *counter += 1,
            (true, false) => *counter -= 1,
            _ => {}
        };
        count(&mut self.document.pins, before.pin.is_some(), row.pin.is_some());
        count(&mut self.document.rolled_back, before.ceiling.is_some(), row.ceiling.is_some());
        self.rows.insert(tenant.clone(), Some(row));
    }

    /// The draft as a migration.
    pub(super) fn drafted(&self) -> Migration {
        let rows: Vec<_> = self.rows.iter().map(|(tenant, row)| (tenant.clone(), *row)).collect();
        let mut drafted = self.migration.clone();
        drafted.replay(drafted.revision, self.document.clone(), &rows);
        drafted
    }

    /// Accepts a request: overrides its gates for the tenants that it moves. Without `wait` it refuses the
    /// request for anything that prevents these from moving now, and for evidence that a later step of theirs
    /// lacks.
    ///
    /// `named`: how far up the request names a group, whether or not it was asked up before.
    pub(super) fn take_on(
        &mut self,
        ask: &Ask,
        named: impl Fn(&Group) -> Option<Rung>,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.override_gates(ask, named, context)?;
        if self.summary.is_empty() || ask.wait {
            return Ok(());
        }
        let drafted = self.drafted();
        let sight = Sight { document: &self.document, fleet: context.fleet, steady_ms: context.steady_ms };
        let mut unmet = Vec::new();
        for group in groups_on_the_way(&drafted).iter().filter(|group| self.is_moved(group)) {
            let Some(first) = group.placement.next(group.wanted, self.document.policy.level) else {
                continue;
            };
            unmet.extend(sight.unmet(group, first));
            for (group, next) in group.steps_up(&self.document).into_iter().skip(1) {
                unmet.extend(sight.evidence_missing(&group, next));
            }
            if unmet.len() >= UNMET_MAX {
                break;
            }
        }
        if unmet.is_empty() { Ok(()) } else { Err(Refusal::Unmet(unmet)) }
    }

    /// Whether these tenants are on the way because of this change, not an earlier one.
    pub(super) fn is_moved(&self, group: &Group) -> bool {
        let before = &self.migration;
        let floor = group.placement.floor;
        match &group.whom {
            Whom::Tenant { tenant, .. } => before.wanted(tenant).rung != group.wanted,
            // Shares nest: what holds at both ends also holds between them.
            Whom::Buckets { from, upto } => [*from, upto - 1]
                .into_iter()
                .any(|bucket| before.document.caps(None).wanted(bucket, floor).rung != group.wanted),
        }
    }

    /// Takes one step for everybody who may, and ends the draft.
    pub(super) fn advanced(mut self, context: &Context<'_>) -> Applied {
        if !self.summary.is_empty() {
            self.document.asked_by = context.actor.to_owned();
        }
        let drafted = self.drafted();
        let sight = Sight { document: &drafted.document, fleet: context.fleet, steady_ms: context.steady_ms };
        let look = advance::look(&drafted, &sight, context.revision);
        for (tenant, row) in look.rows {
            if row.is_none() && !self.migration.tenants.contains_key(&tenant) {
                self.rows.remove(&tenant);
            } else {
                self.rows.insert(tenant, row);
            }
        }
        self.document.bands = look.bands;
        self.document.ramping = look.ramping;
        self.document.overrides = look.overrides;
        if self.document.state() != self.migration.document.state() {
            self.document.state_since = Some(context.attribution());
        }
        let untold = look.moves.len().saturating_sub(MOVES_TOLD_MAX);
        self.summary.extend(look.moves.into_iter().take(MOVES_TOLD_MAX));
        if untold > 0 {
            self.say(format!("and {untold} more"));
        }
        if self.summary.is_empty() && (!self.rows.is_empty() || self.document != *self.migration.document) {
            self.say("tenants follow their bucket again");
        }
        let rows = self.rows.into_iter().collect();
        Applied { document: Some(self.document), rows, summary: self.summary, waiting: look.unmet }
    }
}
