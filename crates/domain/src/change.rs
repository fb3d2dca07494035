//! A change from top to bottom: what it does, and every reason to refuse it. `apply_now` is the table of legal
//! changes; requests for shares and rollbacks are here in full.

mod abandon;
mod acknowledge;
mod deletion;
mod draft;
mod ledgers;
mod lifecycle;
mod new_target;
mod overrides;
mod passes;
mod pins;
mod plan;
mod request;
mod restored;
mod reverse;
mod rollback;
mod second;
mod tables;
mod trip;

pub use acknowledge::LOWERED_PIN;
use cutover_core::routing::Rung;
pub use deletion::may_use_again;
use draft::Draft;
pub use passes::{RESIDUAL_MS, SEGMENTS_MAX};
pub use request::{Applied, Ask, Change, Confirmation, Context, Deletion, NewPass, Refusal};
pub use restored::{HeldRoutes, may_begin};
use rollback::Latched;

use super::{
    Conditions, Fleet, Group, Key, Migration, PassKind, Shares, Tenant, TenantRow, Unmet, Whom, advance,
    goal::{Cause, is_lower},
    percent,
};

/// Maximum unmet conditions in a refusal.
const UNMET_MAX: usize = 100;
/// Maximum moves that an event lists individually.
const MOVES_TOLD_MAX: usize = 50;

/// Applies a change to a migration, or returns every reason against it.
pub fn apply(
    migration: Option<&Migration>,
    key: &Key,
    change: &Change,
    context: &Context<'_>,
) -> Result<Applied, Refusal> {
    if let Change::Create { salt, source, target, description, policy, .. } = change {
        if migration.is_some() {
            return Err(Refusal::AlreadyExists(key.clone()));
        }
        return lifecycle::create(key, salt, [source, target, description], policy, context);
    }
    let migration = migration.ok_or_else(|| Refusal::NotFound(key.clone()))?;
    match second::asked(migration, change, context) {
        Some(asked) => asked,
        None => apply_now(migration, change, context),
    }
}

/// Applies a change that needs no second person, or has one.
fn apply_now(migration: &Migration, change: &Change, context: &Context<'_>) -> Result<Applied, Refusal> {
    let mut draft = Draft::of(migration);
    draft.refuse_if_abandoned(change)?;
    match change {
        Change::Create { .. } | Change::ApproveRequest { .. } | Change::WithdrawRequest { .. } => {
            unreachable!("handled by `apply`")
        }
        Change::Update { description, policy, guards } => {
            draft.update(description.as_deref(), policy.as_ref(), guards, context)?;
        }
        Change::Delete(deletion) => return deletion::delete(migration, deletion),
        Change::SetRollout { shares, ask } => draft.set_rollout(shares, ask, context)?,
        Change::SetPins { pins, ask } => draft.set_pins(pins, ask, context)?,
        Change::ClearPin { tenant, ask } => draft.clear_pin(tenant, ask, context)?,
        Change::Rollback { tenant } => {
            draft.rollback(tenant.as_ref())?;
            draft.stop_plan_if_tripped();
        }
        Change::Trip(breach) => {
            draft.trip(breach, context)?;
            draft.stop_plan_if_tripped();
        }
        Change::Acknowledge => draft.acknowledge(context)?,
        Change::Pause => draft.pause(context)?,
        Change::Resume => {
            draft.resume(context)?;
            draft.resume_plan(context)?;
            draft.explain_not_resumed()?;
        }
        Change::Step => {}
        Change::ApplyPlan(plan) => draft.apply_plan(plan, context)?,
        Change::StopPlan => draft.stop_plan()?,
        Change::ApprovePlan { step } => draft.approve_plan(*step)?,
        Change::SkipPlanStep { step } => draft.skip_plan_step(*step, context)?,
        Change::MovePlan(going) => draft.move_plan(*going, context)?,
        Change::Evict { instances } => {
            instances.iter().for_each(|instance| draft.say(format!("evicted instance {instance}")));
        }
        Change::SuspectRestore { why, put_back } => draft.suspect_restore(why, *put_back),
        Change::ConfirmRestore(confirmation) => draft.confirm_restore(confirmation, context)?,
        Change::MakeTarget => draft.make_target(context)?,
        Change::BeginJob(pass) => draft.begin_job(pass, context)?,
        Change::DrainJob { id } => draft.drain_job(id, context),
        Change::KnowTables { id, tables } => draft.know_tables(id, tables)?,
        Change::TuneJob { id, paused, records_per_s, bytes_per_s } => {
            draft.tune_job(id, *paused, [*records_per_s, *bytes_per_s])?;
        }
        Change::FinishJob { id, counts, findings, complete, ledgers } => {
            let is_reverse =
                draft.document.jobs.iter().any(|job| job.id == *id && job.kind == PassKind::Reverse);
            draft.finish_job(id, counts, findings, *complete, context)?;
            if *complete {
                draft.document.ledgers.learn(ledgers, is_reverse);
            }
        }
        Change::Abandon => {
            draft.abandon(context)?;
            draft.end_plan();
        }
        Change::Finish { confirm, overrides } => {
            draft.finish(confirm, overrides, context)?;
            draft.end_plan();
        }
    }
    Ok(draft.advanced(context))
}

impl Draft {
    /// Accepts other shares as everybody's goal.
    fn set_rollout(&mut self, shares: &Shares, ask: &Ask, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        let goal = self.document.goal.with(shares).map_err(Refusal::Invalid)?;
        Refusal::unless_met(self.document.held_back(goal, shares))?;
        if goal != self.document.goal {
            let before = std::mem::replace(&mut self.document.goal, goal);
            let changed = goal.shares().into_iter().zip(before.shares()).filter(|(now, then)| now != then);
            let told = changed.map(|((rung, now), (_, then))| {
                let down =
                    if now < then { format!(", down from {} %", percent(then)) } else { String::new() };
                format!("{rung} {} %{down}", percent(now))
            });
            self.say(format!("asked for {}", told.collect::<Vec<_>>().join(", ")));
            match self.document.pins {
                0 => {}
                1 => self.remark(format!(
                    "1 pinned tenant does not move with the shares: cutover pins {}",
                    self.document.key
                )),
                pins => self.remark(format!(
                    "{pins} pinned tenants do not move with the shares: cutover pins {}",
                    self.document.key
                )),
            }
        } else {
            self.remark(shares.told_unchanged(&self.document.rollout()));
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

    /// Latches a ceiling one stage below, for a tenant or for everybody.
    fn rollback(&mut self, tenant: Option<&Tenant>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        let Some(tenant) = tenant else {
            let ceiling = Cause::Operator.ceiling_of_all(self.migration.placements());
            let ceiling = ceiling.map_err(|stuck| stuck.unmet("everybody"))?;
            if is_lower(ceiling, self.document.ceiling) {
                self.document.ceiling = Some(ceiling);
                self.say(match &self.document.restored {
                    None => format!("rolled back to {ceiling}"),
                    Some(_) => {
                        format!("asked to roll back to {ceiling}, once the restored store is confirmed")
                    }
                });
                self.latched = Some(Latched { tenant: None, ceiling });
            } else {
                self.remark(format!("it is rolled back already: cutover status {}", self.document.key));
            }
            return Ok(());
        };
        let row = self.row(tenant);
        let ceiling = Cause::Operator.ceiling(&row.placement);
        let ceiling = ceiling.map_err(|stuck| stuck.unmet(&format!("tenant {tenant}")))?;
        if is_lower(ceiling, row.ceiling) {
            self.set_row(tenant, TenantRow { ceiling: Some(ceiling), overridden: 0, ..row });
            self.say(match &self.document.restored {
                None => format!("rolled back tenant {tenant} to {ceiling}"),
                Some(_) => {
                    format!("asked to roll back tenant {tenant} to {ceiling}, once the restored store is confirmed")
                }
            });
            self.latched = Some(Latched { tenant: Some(tenant.clone()), ceiling });
        } else {
            self.remark(format!("tenant {tenant} is rolled back already"));
        }
        Ok(())
    }

    /// Accepts a request: overrides its gates for the tenants that it moves. Without `wait` it refuses the
    /// request for anything that prevents these from moving now, and for evidence that a later step of theirs
    /// lacks.
    ///
    /// `named`: how far up the request names a group, whether or not it was asked up before.
    fn take_on(
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
        let conditions = context.conditions(&self.document);
        let mut unmet = Vec::new();
        for group in advance::groups_on_the_way(&drafted).iter().filter(|group| self.is_moved(group)) {
            let Some(first) = group.placement.next(group.wanted, self.document.policy.level) else {
                continue;
            };
            unmet.extend(conditions.unmet(group, first));
            for (group, next) in group.steps_up(&self.document).into_iter().skip(1) {
                unmet.extend(conditions.evidence_missing(&group, next));
            }
            if unmet.len() >= UNMET_MAX {
                break;
            }
        }
        Refusal::unless_met(unmet)
    }

    /// Whether these tenants are on the way because of this change, not an earlier one.
    fn is_moved(&self, group: &Group) -> bool {
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
    fn advanced(mut self, context: &Context<'_>) -> Applied {
        if !self.summary.is_empty() {
            self.document.asked_by = context.actor.to_owned();
        }
        let drafted = self.drafted();
        let conditions = context.conditions(&drafted.document);
        let look = advance::look(&drafted, &conditions, context.revision);
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
        let before = &self.migration.document;
        // Going back further is news, too, by whoever did that.
        let is_lower = self.document.ceiling.is_some() && self.document.ceiling != before.ceiling
            || self.document.rolled_back > before.rolled_back;
        if is_lower || self.document.state() != before.state() {
            self.document.state_since = Some(context.attribution());
        }
        let asked_lines = self.summary.len();
        let untold = look.moves.len().saturating_sub(MOVES_TOLD_MAX);
        self.summary.extend(look.moves.into_iter().take(MOVES_TOLD_MAX));
        if untold > 0 {
            self.say(format!("and {untold} more"));
        }
        if self.summary.is_empty() && (!self.rows.is_empty() || self.document != *self.migration.document) {
            self.say("tenants follow their bucket again");
        }
        let kept = drafted.kept_by_floor();
        let consequences = self.consequences(&drafted, !kept.is_empty());
        let rows = self.rows.into_iter().collect();
        let waiting = look.unmet.into_iter().chain(kept).collect();
        let (document, summary, ways) = (Some(self.document), self.summary, look.ways);
        Applied { document, rows, summary, asked_lines, waiting, ways, consequences }
    }
}

/// What the migration waits for right now. Changes nothing.
pub fn waiting(migration: &Migration, fleet: &Fleet, steady_ms: u64) -> Vec<Unmet> {
    // Whether or not anybody is to move: until then nobody is routed.
    if let Some(unmet) = migration.document.restored() {
        return vec![unmet];
    }
    let conditions = Conditions { document: &migration.document, fleet, steady_ms };
    let mut unmet = advance::look(migration, &conditions, migration.revision).unmet;
    let document = &migration.document;
    let requests = document.requests.iter().filter(|request| request.is_open(document, steady_ms));
    unmet.extend(requests.map(|request| request.unmet(migration.key())));
    unmet
}

/// Whether [`Change::Step`] would do anything. Copies neither the document nor the rows.
pub fn has_step(migration: &Migration, fleet: &Fleet, steady_ms: u64) -> bool {
    advance::has_step(migration, &Conditions { document: &migration.document, fleet, steady_ms })
}

/// When time alone may let [`Change::Step`] do something, by the controller's steady clock. `None`: never.
pub fn soaked_at_ms(migration: &Migration, steady_ms: u64) -> Option<u64> {
    advance::soaked_at_ms(migration, steady_ms)
}

/// What one tenant's next step waits for.
pub fn waiting_of(migration: &Migration, tenant: &Tenant, fleet: &Fleet, steady_ms: u64) -> Vec<Unmet> {
    if let Some(unmet) = migration.document.restored() {
        return vec![unmet];
    }
    let conditions = Conditions { document: &migration.document, fleet, steady_ms };
    let bucket = migration.bucket(tenant);
    let group = Group {
        whom: Whom::Tenant { tenant: tenant.clone(), bucket },
        placement: migration.placement(tenant),
        wanted: migration.wanted(tenant).rung,
        passes: migration.document.passes_of(bucket, migration.tenants.get(tenant)),
    };
    match group.placement.next(group.wanted, migration.document.policy.level) {
        Some(next) => conditions.unmet(&group, next),
        None => Vec::new(),
    }
}
