//! The one table of legal changes: what may be asked, what it does, and everything that stands
//! against it.

mod draft;
mod lifecycle;
mod overrides;
mod passes;
mod pins;
mod plan;
mod restored;
mod rollback;
mod rollout;
mod trip;

use cutover_client::routing::Rung;
use draft::Draft;
pub use passes::NewPass;

use super::{
    Breach, Document, Fleet, Gate, Group, GuardEdit, Key, Migration, PassCounts, Policy, Shares, Tenant,
    TenantRow, Unmet, Violation, Whom, advance,
    gate::Sight,
    guard::Action,
    plan::{Plan, PlanMove},
};

/// What can be asked of a migration.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new migration, everybody at source-only.
    Create {
        /// What tenants are hashed with; empty: the key.
        salt: String,
        /// For people.
        source: String,
        /// For people.
        target: String,
        /// For people.
        description: String,
        /// What it promises and asks for.
        policy: Policy,
    },
    /// Another description or policy, or other guards.
    Update {
        /// `None`: unchanged.
        description: Option<String>,
        /// `None`: unchanged.
        policy: Option<Policy>,
        /// Those that are set otherwise.
        guards: Vec<GuardEdit>,
    },
    /// The end of a migration that is finished or never started.
    Delete,
    /// Other shares.
    SetRollout {
        /// Which.
        shares: Shares,
        /// How to go about what can't be done at once.
        ask: Ask,
    },
    /// Tenants are pinned.
    SetPins {
        /// Who and where; of a tenant named twice the last counts.
        pins: Vec<(Tenant, Rung)>,
        /// How to go about what can't be done at once.
        ask: Ask,
    },
    /// A tenant follows the rollout again.
    ClearPin {
        /// Who.
        tenant: Tenant,
        /// How to go about what can't be done at once.
        ask: Ask,
    },
    /// One stage back at once, latched.
    Rollback {
        /// `None`: everybody.
        tenant: Option<Tenant>,
    },
    /// A guard has concluded something.
    Trip(Box<Breach>),
    /// Ends the latch of every rollback; who was rolled back stays until asked up.
    Acknowledge,
    /// Stops going up.
    Pause,
    /// Goes on.
    Resume,
    /// The controller goes on with what was asked.
    Step,
    /// A plan ramps from here on; it takes the place of an earlier one.
    ApplyPlan(Box<Plan>),
    /// The plan ends; everybody stays where they are.
    StopPlan,
    /// The next step that needs it may be taken.
    ApprovePlan {
        /// Only if it is this one, counted from 0. `None`: whichever it is.
        step: Option<usize>,
    },
    /// What the last step taken still lacks is not waited for.
    SkipPlanStep {
        /// Only if it is this one, counted from 0. `None`: whichever it is.
        step: Option<usize>,
    },
    /// The plan goes on by itself. Nothing happens if it has already, or may not.
    MovePlan(PlanMove),
    /// A pass begins.
    BeginJob(NewPass),
    /// A sweep that waits goes on, if it may: to its second barrier, then to its beginning.
    DrainJob {
        /// Its id.
        id: String,
    },
    /// The limits of a pass change while it runs. They are kept with its progress; the history keeps who
    /// changed them.
    TuneJob {
        /// Its id.
        id: String,
        /// Nobody reads or writes.
        paused: bool,
        /// 0: no limit.
        records_per_s: u64,
        /// 0: no limit.
        bytes_per_s: u64,
    },
    /// A pass has ended.
    FinishJob {
        /// Its id.
        id: String,
        /// What it did.
        counts: PassCounts,
        /// Some differences, values redacted.
        samples: Vec<String>,
        /// It went to its end.
        complete: bool,
    },
    /// The store was restored from a backup, or looks like it: nobody moves until that is confirmed.
    SuspectRestore {
        /// How it was noticed.
        why: String,
    },
    /// An operator says what the restored store can't know.
    ConfirmRestore {
        /// Buckets below this have been at target-only since the backup.
        target_only_ppm: u32,
        /// These tenants besides.
        tenants: Vec<Tenant>,
    },
    /// An operator asserts that instances are dead. It changes no routing; the history keeps it.
    Evict {
        /// Their ids.
        instances: Vec<String>,
    },
    /// The end: everybody is at target-only for good.
    Finish {
        /// The migration's key, typed again.
        confirm: String,
        /// Gates passed without evidence.
        overrides: Vec<Gate>,
    },
}

/// How to go about what can't be done at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Take the request on and go on as soon as it can be; else refuse it.
    pub wait: bool,
    /// Gates to pass without evidence.
    pub overrides: Vec<Gate>,
}

/// What a change is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The revision that the commit will make.
    pub revision: u64,
    /// Unix time, for people.
    pub now_ms: u64,
    /// The controller's steady clock, for waits: it never jumps.
    pub steady_ms: u64,
    /// Who asks.
    pub actor: &'a str,
    /// Why; empty when nobody said.
    pub reason: &'a str,
    /// Who is live.
    pub fleet: &'a Fleet,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// The request is not legal now. All unmet conditions.
    #[error("{}", .0.iter().map(|unmet| unmet.message.as_str()).collect::<Vec<_>>().join("; "))]
    Unmet(Vec<Unmet>),
    /// There is no such migration.
    #[error("migration {0} does not exist: cutover list shows those that do")]
    NotFound(Key),
    /// There is one already.
    #[error("migration {0} exists already: choose another key (cutover show {0} shows it)")]
    AlreadyExists(Key),
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl From<Unmet> for Refusal {
    fn from(unmet: Unmet) -> Self {
        Self::Unmet(vec![unmet])
    }
}

/// What a legal change does.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The document afterwards. `None`: deleted.
    pub document: Option<Document>,
    /// Rows written or (`None`) removed.
    pub rows: Vec<(Tenant, Option<TenantRow>)>,
    /// What it does, a line each. Empty: nothing at all, so that there is nothing to commit.
    pub summary: Vec<String>,
    /// What the rest of the request waits for.
    pub waiting: Vec<Unmet>,
}

/// Applies a change to a migration, or says everything that stands against it.
pub fn apply(
    migration: Option<&Migration>,
    key: &Key,
    change: &Change,
    context: &Context<'_>,
) -> Result<Applied, Refusal> {
    if let Change::Create { salt, source, target, description, policy } = change {
        if migration.is_some() {
            return Err(Refusal::AlreadyExists(key.clone()));
        }
        return lifecycle::create(key, salt, [source, target, description], policy, context);
    }
    let migration = migration.ok_or_else(|| Refusal::NotFound(key.clone()))?;
    let mut draft = Draft::of(migration);
    match change {
        Change::Create { .. } => unreachable!("handled above"),
        Change::Update { description, policy, guards } => {
            draft.update(description.as_deref(), policy.as_ref(), guards, context)?;
        }
        Change::Delete => return lifecycle::delete(migration),
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
        Change::Pause => draft.pause()?,
        Change::Resume => {
            draft.resume()?;
            draft.resume_plan(context)?;
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
        Change::SuspectRestore { why } => draft.suspect_restore(why),
        Change::ConfirmRestore { target_only_ppm, tenants } => {
            draft.confirm_restore(*target_only_ppm, tenants, context)?;
        }
        Change::BeginJob(pass) => draft.begin_job(pass, context)?,
        Change::DrainJob { id } => draft.drain_job(id, context),
        Change::TuneJob { id, paused, records_per_s, bytes_per_s } => {
            draft.tune_job(id, *paused, [*records_per_s, *bytes_per_s])?;
        }
        Change::FinishJob { id, counts, samples, complete } => {
            draft.finish_job(id, counts, samples, *complete, context)?;
        }
        Change::Finish { confirm, overrides } => {
            draft.finish(confirm, overrides, context)?;
            draft.end_plan();
        }
    }
    Ok(draft.advanced(context))
}

impl Change {
    /// What kind, as the history shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete => "delete",
            Self::SetRollout { .. } => "rollout",
            Self::SetPins { .. } => "pin",
            Self::ClearPin { .. } => "unpin",
            Self::Rollback { .. } => "rollback",
            Self::Trip(breach) => match breach.verdict.action {
                Action::Rollback => "rollback",
                Action::Hold => "hold",
                Action::Observe => "observe",
            },
            Self::Acknowledge => "acknowledge",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Step => "step",
            Self::ApplyPlan(_) => "plan-apply",
            Self::StopPlan => "plan-stop",
            Self::ApprovePlan { .. } => "plan-approve",
            Self::SkipPlanStep { .. } => "plan-skip",
            Self::MovePlan(PlanMove::Take(_)) => "plan-step",
            Self::MovePlan(PlanMove::Settle(_)) => "plan-settled",
            Self::MovePlan(PlanMove::Show(_)) => "plan-shown",
            Self::MovePlan(PlanMove::Pause(_)) => "plan-pause",
            Self::MovePlan(PlanMove::Finish) => "plan-done",
            Self::SuspectRestore { .. } => "restored",
            Self::ConfirmRestore { .. } => "confirm",
            Self::Evict { .. } => "evict",
            Self::BeginJob(_) => "job-begin",
            Self::DrainJob { .. } => "job-drain",
            Self::TuneJob { .. } => "job-tune",
            Self::FinishJob { .. } => "job-finish",
            Self::Finish { .. } => "finish",
        }
    }
}

/// What the migration waits for right now, without changing anything.
pub fn waiting(migration: &Migration, fleet: &Fleet, steady_ms: u64) -> Vec<Unmet> {
    let sight = Sight { document: &migration.document, fleet, steady_ms };
    advance::look(migration, &sight, migration.revision).unmet
}

/// Would [`Change::Step`] do anything? It copies neither the document nor the rows.
pub fn has_step(migration: &Migration, fleet: &Fleet, steady_ms: u64) -> bool {
    advance::has_step(migration, &Sight { document: &migration.document, fleet, steady_ms })
}

/// What one tenant's next step waits for.
pub fn waiting_of(migration: &Migration, tenant: &Tenant, fleet: &Fleet, steady_ms: u64) -> Vec<Unmet> {
    let sight = Sight { document: &migration.document, fleet, steady_ms };
    let bucket = migration.bucket(tenant);
    let group = Group {
        whom: Whom::Tenant { tenant: tenant.clone(), bucket },
        placement: migration.placement(tenant),
        wanted: migration.wanted(tenant).rung,
        passes: migration.document.passes_of(bucket, migration.tenants.get(tenant)),
    };
    match group.placement.next(group.wanted, migration.document.policy.level) {
        Some(next) => sight.unmet(&group, next),
        None => Vec::new(),
    }
}
