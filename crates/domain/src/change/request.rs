//! What can be asked of a migration, and what comes of it.

use cutover_core::routing::Rung;

use crate::{
    Attribution, Breach, Conditions, Cover, Document, Fleet, Gate, GuardEdit, Identity, Key, Ledgers,
    NewTables, PassCounts, PassKind, PassTables, Policy, Shares, Tenant, TenantRow, Unmet, Violation,
    finding::Finding,
    guard::Action,
    plan::{Plan, PlanMove},
};

/// What can be asked of a migration.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Creates a migration with everybody at source-only.
    Create {
        /// The salt with which tenants are hashed; empty: the key.
        salt: String,
        /// For people.
        source: String,
        /// For people.
        target: String,
        /// For people.
        description: String,
        /// The migration's policy.
        policy: Policy,
        /// The key, typed again; needed if a finished migration had it.
        confirm: String,
    },
    /// Changes description, policy or guards.
    Update {
        /// `None`: unchanged.
        description: Option<String>,
        /// `None`: unchanged.
        policy: Option<Policy>,
        /// The guards to change.
        guards: Vec<GuardEdit>,
    },
    /// Deletes a migration that is finished, abandoned or never started.
    Delete(Deletion),
    /// Changes the shares.
    SetRollout {
        /// The requested shares.
        shares: Shares,
        /// Whether to wait, and what to override.
        ask: Ask,
    },
    /// Pins tenants.
    SetPins {
        /// Tenants and rungs; if a tenant is named twice, the last one counts.
        pins: Vec<(Tenant, Rung)>,
        /// Whether to wait, and what to override.
        ask: Ask,
    },
    /// Lets a tenant follow the rollout again.
    ClearPin {
        /// The tenant.
        tenant: Tenant,
        /// Whether to wait, and what to override.
        ask: Ask,
    },
    /// Goes one stage back at once, and latches.
    Rollback {
        /// `None`: everybody.
        tenant: Option<Tenant>,
    },
    /// A guard's verdict.
    Trip(Box<Breach>),
    /// Ends the latch of every rollback; tenants that were rolled back stay until asked up.
    Acknowledge,
    /// Stops steps up.
    Pause,
    /// Allows steps up again.
    Resume,
    /// The controller takes the next steps of an earlier request.
    Step,
    /// Starts a plan; it replaces an earlier one.
    ApplyPlan(Box<Plan>),
    /// Ends the plan; everybody stays where they are.
    StopPlan,
    /// Approves the next step that needs approval.
    ApprovePlan {
        /// Only if it is this step, counted from 0. `None`: whichever is next.
        step: Option<usize>,
    },
    /// Waives what the last step taken still lacks.
    SkipPlanStep {
        /// Only if it is this step, counted from 0. `None`: whichever is the last.
        step: Option<usize>,
    },
    /// Approves what somebody else asked for under the two-person rule.
    ApproveRequest {
        /// The revision that asked for it.
        revision: u64,
        /// Which calls services have made lately, for people: as in [`Deletion`].
        calls: String,
    },
    /// Withdraws what somebody asked for under the two-person rule.
    WithdrawRequest {
        /// The revision that asked for it.
        revision: u64,
    },
    /// The plan's own move. Does nothing if the move was already made, or is not allowed.
    MovePlan(PlanMove),
    /// The target's table is missing, and somebody is about to make one.
    MakeTarget,
    /// Begins a pass.
    BeginJob(NewPass),
    /// Lets a waiting sweep proceed, if it may: to its second barrier, then to its beginning.
    DrainJob {
        /// The sweep's id.
        id: String,
    },
    /// Keeps the tables that the workers of a pass have, if nobody had said them.
    KnowTables {
        /// The pass's id.
        id: String,
        /// A worker's tables.
        tables: PassTables,
    },
    /// Changes the limits of a pass while it runs. They are stored with its progress; the history records who
    /// changed them.
    TuneJob {
        /// The pass's id.
        id: String,
        /// Nobody reads or writes while true.
        paused: bool,
        /// 0: no limit.
        records_per_s: u64,
        /// 0: no limit.
        bytes_per_s: u64,
    },
    /// Ends a pass.
    FinishJob {
        /// The pass's id.
        id: String,
        /// Its counts.
        counts: PassCounts,
        /// Some differences, values redacted.
        findings: Vec<Finding>,
        /// Whether it ran to its end.
        complete: bool,
        /// Those of the tables that its workers had.
        ledgers: Ledgers,
    },
    /// Holds everybody: the store was restored from a backup, or appears to be, until that is confirmed.
    SuspectRestore {
        /// How it was noticed.
        why: String,
        /// The store has served as it is: instances may hold what it says.
        put_back: bool,
    },
    /// An operator says what the restored store can't know.
    ConfirmRestore(Confirmation),
    /// An operator asserts that instances are dead. It changes no routing; the history keeps it.
    Evict {
        /// Their ids.
        instances: Vec<String>,
    },
    /// The end of a migration that was rolled back: everybody stays at source-only for good.
    Abandon,
    /// Finishes the migration: everybody is at target-only for good.
    Finish {
        /// The migration's key, typed again.
        confirm: String,
        /// Gates to pass without evidence.
        overrides: Vec<Gate>,
    },
}

/// A request to delete a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The migration's key, typed again; needed if it is finished.
    pub confirm: String,
    /// Which calls services have made lately, for people. Empty: none.
    pub calls: String,
}

/// A request to begin a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPass {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: PassKind,
    /// Whom it covers.
    pub cover: Cover,
    /// Identifies stores, mapping and options; empty: unknown.
    pub fingerprint: String,
    /// Number of segments for workers. 0: none.
    pub segments: u32,
    /// Longest time that a put can still land after it timed out.
    pub residual_ms: u64,
    /// It deletes records that only the target has, if they have no version.
    pub removes_extra: bool,
    /// It makes the target what the source has, whatever the target has instead.
    pub source_wins: bool,
    /// Its tables. Both `None`: its workers will say them.
    pub tables: PassTables,
    /// About how many records it reads, for people. 0: unknown.
    pub expected: u64,
    /// An operator asserts that these tables are other ones: what earlier passes showed no longer counts.
    pub new_tables: NewTables,
}

/// What an operator says about a restored migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// Tenants in buckets below this have writes in the target alone.
    pub target_only_ppm: u32,
    /// These tenants have, too.
    pub tenants: Vec<Tenant>,
    /// These tenants have none, whatever their bucket.
    pub except: Vec<Tenant>,
    /// Those that have such writes according to the backup, and are not named here, have none any more: a
    /// clean reverse pass has copied them back.
    pub reversed: bool,
}

/// How to handle what can't be done at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Accept the request and proceed as soon as possible; otherwise refuse it.
    pub wait: bool,
    /// Gates to pass without evidence.
    pub overrides: Vec<Gate>,
}

/// The circumstances by which a change is judged.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The revision that the commit would make.
    pub revision: u64,
    /// Unix time, for people.
    pub now_ms: u64,
    /// The controller's steady clock, for waits; it never jumps.
    pub steady_ms: u64,
    /// Who asks.
    pub actor: &'a str,
    /// What proves that.
    pub identity: &'a Identity,
    /// Why; empty if no reason was given.
    pub reason: &'a str,
    /// The current instances.
    pub fleet: &'a Fleet,
}

impl Context<'_> {
    /// What the steps of a migration are judged by.
    pub(super) fn conditions<'a>(&'a self, document: &'a Document) -> Conditions<'a> {
        Conditions { document, fleet: self.fleet, steady_ms: self.steady_ms }
    }

    pub(super) fn attribution(&self) -> Attribution {
        Attribution {
            by: self.actor.to_owned(),
            reason: self.reason.to_owned(),
            at_ms: self.now_ms,
            revision: self.revision,
        }
    }
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// The request is not legal now. Contains all unmet conditions.
    #[error("{}", .0.iter().map(|unmet| unmet.message.as_str()).collect::<Vec<_>>().join("; "))]
    Unmet(Vec<Unmet>),
    /// There is no such migration.
    #[error("migration {0} does not exist: cutover list shows those that do")]
    NotFound(Key),
    /// A migration with this key already exists.
    #[error("migration {0} exists already: choose another key (cutover show {0} shows it)")]
    AlreadyExists(Key),
}

impl Refusal {
    /// Refuses unless every condition is met.
    pub(crate) fn unless_met(unmet: impl IntoIterator<Item = Unmet>) -> Result<(), Self> {
        let unmet: Vec<Unmet> = unmet.into_iter().collect();
        if unmet.is_empty() { Ok(()) } else { Err(Self::Unmet(unmet)) }
    }
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

/// The effect of a legal change.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The document afterwards. `None`: deleted.
    pub document: Option<Document>,
    /// Rows written or (`None`) removed.
    pub rows: Vec<(Tenant, Option<TenantRow>)>,
    /// What it does, one line each. Empty: nothing, so there is nothing to commit.
    pub summary: Vec<String>,
    /// How many of these lines say what was asked for. Those after them are the steps that could be taken at once.
    pub asked_lines: usize,
    /// What the rest of the request waits for.
    pub waiting: Vec<Unmet>,
    /// The whole way of everybody who is not at their goal, one line for each group.
    pub ways: Vec<String>,
    /// Where a rollback ends, and what becomes of acknowledged writes; of another change what else to know, and why it
    /// changes nothing. One line each.
    pub consequences: Vec<String>,
}

impl Applied {
    /// A change that moves nobody.
    pub(super) const fn at_once(document: Option<Document>, summary: Vec<String>) -> Self {
        Self {
            document,
            rows: Vec::new(),
            asked_lines: summary.len(),
            summary,
            waiting: Vec::new(),
            ways: Vec::new(),
            consequences: Vec::new(),
        }
    }
}

impl Change {
    /// Its kind, as the history shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete(_) => "delete",
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
            Self::ApproveRequest { .. } => "approve",
            Self::WithdrawRequest { .. } => "withdraw",
            Self::MovePlan(PlanMove::Take(_)) => "plan-step",
            Self::MovePlan(PlanMove::Settle(_)) => "plan-settled",
            Self::MovePlan(PlanMove::Show(_)) => "plan-shown",
            Self::MovePlan(PlanMove::Pause(_)) => "plan-pause",
            Self::MovePlan(PlanMove::Finish) => "plan-done",
            Self::SuspectRestore { .. } => "restored",
            Self::ConfirmRestore(_) => "confirm",
            Self::Evict { .. } => "evict",
            Self::MakeTarget => "make-target",
            Self::BeginJob(_) => "job-begin",
            Self::DrainJob { .. } => "job-drain",
            Self::KnowTables { .. } => "job-tables",
            Self::TuneJob { .. } => "job-tune",
            Self::FinishJob { .. } => "job-finish",
            Self::Abandon => "abandon",
            Self::Finish { .. } => "finish",
        }
    }
}
