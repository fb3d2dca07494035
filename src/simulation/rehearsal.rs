//! Runs a plan against generated or recorded traffic, and the guards. Nothing is real except the rules, which
//! are the controller's own.

use cutover_core::routing::{PPM, Rung};
use imbl::OrdMap;

use super::{Demand, Fault, SimulatedFleet, TICK_MS};
use crate::domain::{
    Applied, Breach, Change, Context, Cover, Gate, Identity, Key, Ledgers, Migration, NewPass, PassCounts,
    PassKind, PassTables, Policy, Refusal, change,
    guard::{GuardConfig, Verdict},
    plan::{self, Brought, Missing, Next, Observed, Plan, PlanMove, PlanState},
};

/// How long a fault, or a step that lacks something, is observed if all seconds are alike.
const PATIENCE_TICKS: u64 = 3_600;
/// A step that lacks something is given the whole recording, and a day at least.
const PATIENCE_LEAST_TICKS: u64 = 24 * 3_600;

/// The parameters of a rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// What fails.
    pub fault: Fault,
    /// From this step on, counted from 1.
    pub at_step: usize,
    /// This long after the step was taken, in ms; rounded to seconds.
    pub after_ms: u64,
    /// Reads and writes of all tenants.
    pub demand: Demand,
    /// Share of the reads that are compared with the target before target-first.
    pub shadow: f64,
    /// Number of reporting instances.
    pub instances: usize,
    /// The same seed gives the same result.
    pub seed: u64,
}

/// The result.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// When each step was taken, in ms of the plan's time since its beginning.
    pub taken_ms: Vec<u64>,
    /// What was waited for, except bake times, in order.
    pub waited: Vec<Waited>,
    /// How long it took, in ms of the plan's time.
    pub lasted_ms: u64,
    /// How it ended.
    pub end: End,
}

/// A period in which the next step lacked only what is listed here.
#[derive(Clone, Debug, PartialEq)]
pub struct Waited {
    /// The last step taken, counted from 1. 0: none.
    pub step: usize,
    /// Its beginning, in ms of the plan's time since its beginning.
    pub from_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// What was missing, as it was at the beginning.
    pub missing: Vec<String>,
    /// Only a time was waited for: the change window.
    by_time: bool,
}

/// How a rehearsal ended, and at which step, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A guard tripped.
    Tripped {
        /// The step.
        step: usize,
        /// Time since the beginning of the fault. `None`: before it; a false trip.
        after_ms: Option<u64>,
        /// What the effect would have been, one line each.
        told: Vec<String>,
    },
    /// A step lacks something that does not arrive within [`Rehearsal::patience_ms`].
    Waits {
        /// The step.
        step: usize,
        /// What is missing.
        missing: Vec<String>,
    },
    /// All steps were taken.
    Done {
        /// Whether the fault had begun by then.
        unnoticed: bool,
    },
}

/// One migration, and its traffic.
struct Play {
    key: Key,
    migration: Migration,
    fleet: SimulatedFleet,
    revision: u64,
    /// Unix time at which it begins.
    begins_ms: u64,
    /// How far the plan's time is ahead of the traffic's, because of time that only had to pass.
    skipped_ms: u64,
    taken_ms: Vec<u64>,
    waited: Vec<Waited>,
}

/// Runs a plan. Approvals are given, and passes succeed, as soon as they are needed.
pub fn rehearse(plan: &Plan, what: &Rehearsal) -> Result<Played, Refusal> {
    let mut play = Play::new(what)?;
    play.make(&Change::ApplyPlan(Box::new(plan.clone())))?;
    let end = play.play(what)?;
    let lasted_ms = play.plan_ms();
    let Play { taken_ms, waited, .. } = play;
    Ok(Played { taken_ms, waited, lasted_ms, end })
}

/// When time alone will have satisfied all of it.
fn only_time(missing: &[Missing]) -> Option<u64> {
    let until = missing.iter().map(|missing| missing.until_ms.filter(|_| missing.by == Brought::Time));
    until.collect::<Option<Vec<_>>>()?.into_iter().max()
}

impl Play {
    fn new(what: &Rehearsal) -> Result<Self, Refusal> {
        let key = Key::parse("rehearsal")?;
        let create = Change::Create {
            salt: String::new(),
            source: "source".to_owned(),
            target: "target".to_owned(),
            description: String::new(),
            policy: Policy::default(),
            confirm: String::new(),
        };
        let fleet = crate::domain::Fleet::default();
        let context = Context {
            revision: 1,
            now_ms: 0,
            steady_ms: 0,
            actor: "plan",
            identity: &Identity::Unproven,
            reason: "",
            fleet: &fleet,
        };
        let applied = crate::domain::apply(None, &key, &create, &context)?;
        let Some(document) = applied.document else { return Err(Refusal::NotFound(key)) };
        let migration = Migration::new(1, document, OrdMap::new());
        let fleet = SimulatedFleet::new(GuardConfig::default(), what.instances, what.seed);
        let begins_ms = what.demand.begins_ms();
        let (taken_ms, waited) = (Vec::new(), Vec::new());
        Ok(Self { key, migration, fleet, revision: 1, begins_ms, skipped_ms: begins_ms, taken_ms, waited })
    }

    fn play(&mut self, what: &Rehearsal) -> Result<End, Refusal> {
        let is_recorded = matches!(what.demand, Demand::Recorded(_));
        let patience_ticks = what.patience_ms() / TICK_MS;
        let mut fault_ms = None;
        // Ticks in which the last step lacked something, and ticks since the step of the fault was taken.
        let (mut lacked, mut watched) = (0, 0);
        loop {
            let next = self.next();
            let step = self.taken_ms.len();
            let missing = match next {
                Some(Next::Move(going)) => {
                    self.make(&Change::MovePlan(going))?;
                    self.settle()?;
                    if let PlanMove::Take(_) = going {
                        self.taken_ms.push(self.plan_ms());
                        lacked = 0;
                    }
                    continue;
                }
                Some(Next::Done) | None => return Ok(End::Done { unnoticed: fault_ms.is_some() }),
                Some(Next::Held(why)) => return Ok(End::Waits { step, missing: vec![why] }),
                Some(Next::Wait(missing)) => missing,
            };
            let is_at_fault = step >= what.at_step && what.fault != Fault::None;
            // In a recording no two seconds are alike. Otherwise a fault gets its hour, and all other time
            // only has to pass.
            let is_played = is_recorded || (is_at_fault && watched < PATIENCE_TICKS);
            let until_ms = only_time(&missing);
            let skip_ms = until_ms.filter(|_| !is_played).map(|ms| ms.saturating_sub(self.now_ms()));
            self.wait(&missing, skip_ms.unwrap_or(TICK_MS));
            if let Some(skip_ms) = skip_ms {
                self.skipped_ms += skip_ms;
                continue;
            }
            if lacked >= patience_ticks {
                let missing = missing.into_iter().map(|missing| missing.what).collect();
                return Ok(End::Waits { step, missing });
            }
            lacked += u64::from(until_ms.is_none());
            if is_at_fault {
                watched += 1;
                if watched * TICK_MS > what.after_ms {
                    // What an instance reports in a tick is about the second before.
                    fault_ms = fault_ms.or(Some(self.fleet.ticks() * TICK_MS));
                }
            }
            let well = what.demand.traffic(self.now_ms(), what.shadow, &self.migration);
            let traffic = if fault_ms.is_some() { what.fault.strike(well) } else { well };
            if let Some(verdict) = self.fleet.step(&traffic) {
                let after_ms = fault_ms.map(|since_ms| verdict.evidence.now_ms.saturating_sub(since_ms));
                let told = self.trip(verdict)?;
                return Ok(End::Tripped { step, after_ms, told });
            }
        }
    }

    /// Records what is waited for, unless the step is still baking.
    fn wait(&mut self, missing: &[Missing], for_ms: u64) {
        let now_ms = self.now_ms();
        let plan = self.migration.document.plan.as_ref();
        let is_over = |since_ms: u64, bake_ms: u64| now_ms >= since_ms.saturating_add(bake_ms);
        if let Some((step, taken)) = plan.and_then(PlanState::current)
            && !taken.settled_at_ms.is_some_and(|since_ms| is_over(since_ms, step.bake_ms))
        {
            return;
        }
        let (step, from_ms, by_time) = (self.taken_ms.len(), self.plan_ms(), only_time(missing).is_some());
        let goes_on =
            |last: &&mut Waited| (last.step, last.until_ms, last.by_time) == (step, from_ms, by_time);
        match self.waited.last_mut().filter(goes_on) {
            Some(last) => last.until_ms += for_ms,
            None => {
                let missing = missing.iter().map(|missing| missing.what.clone()).collect();
                self.waited.push(Waited { step, from_ms, until_ms: from_ms + for_ms, missing, by_time });
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.fleet.ticks() * TICK_MS + self.skipped_ms
    }

    fn plan_ms(&self) -> u64 {
        self.now_ms() - self.begins_ms
    }

    fn next(&mut self) -> Option<Next> {
        let now_ms = self.now_ms();
        let mut standing = self.fleet.judge.standing(self.fleet.tick * TICK_MS + TICK_MS - 1);
        standing.certificates.iter_mut().for_each(|shown| {
            shown.expected_ms = shown.expected_ms.map(|at_ms| at_ms + self.skipped_ms);
        });
        let mut state = self.migration.document.plan.clone()?;
        state.approved = usize::MAX;
        let seen = Observed {
            settled: !self.migration.has_more_to_do(),
            in_place: state.plan.in_place(&self.migration),
            standing: Some(standing),
            miss_max: GuardConfig::default().advance_miss_max,
            steady_ms: now_ms,
            ..Observed::default()
        };
        Some(plan::decide(&state, &seen, now_ms))
    }

    fn make(&mut self, change: &Change) -> Result<Vec<String>, Refusal> {
        let fleet = crate::domain::Fleet::default();
        let (revision, now_ms) = (self.revision + 1, self.now_ms());
        let context = Context {
            revision,
            now_ms,
            steady_ms: now_ms,
            actor: "plan",
            identity: &Identity::Unproven,
            reason: "a rehearsal",
            fleet: &fleet,
        };
        let before = self.migration.document.bands.clone();
        let Applied { document, rows, summary, .. } =
            crate::domain::apply(Some(&self.migration), &self.key, change, &context)?;
        let Some(document) = document.filter(|_| !summary.is_empty()) else { return Ok(summary) };
        self.migration.replay(revision, document, &rows);
        self.revision = revision;
        let is_stage =
            self.migration.document.bands != before || matches!(change, Change::MovePlan(PlanMove::Take(_)));
        if is_stage {
            let after = &self.migration.document.bands;
            let is_more = after.at_least_ppm(Rung::TargetFirst) > before.at_least_ppm(Rung::TargetFirst);
            let stage = self.migration.stage(is_more);
            self.fleet.revision = stage.revision;
            self.fleet.judge.restage(stage, self.fleet.tick * TICK_MS + TICK_MS - 1);
        }
        self.fleet.judge.newest(revision);
        Ok(summary)
    }

    /// Takes the steps from rung to rung, and makes the passes that they need.
    fn settle(&mut self) -> Result<(), Refusal> {
        for _ in 0..16 {
            if !self.migration.has_more_to_do() {
                return Ok(());
            }
            let fleet = crate::domain::Fleet::default();
            let waiting = change::waiting(&self.migration, &fleet, self.now_ms());
            if waiting.iter().any(|unmet| unmet.gate == Gate::FullPass) {
                let id = format!("pass-{}", self.revision);
                self.make(&Change::BeginJob(NewPass {
                    removes_extra: false,
                    source_wins: false,
                    tables: PassTables::default(),
                    new_tables: Default::default(),
                    id: id.clone(),
                    kind: PassKind::Full,
                    cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
                    fingerprint: String::new(),
                    segments: 0,
                    residual_ms: 0,
                    expected: 0,
                }))?;
                let counts = PassCounts::default();
                self.make(&Change::FinishJob {
                    id,
                    counts,
                    findings: Vec::new(),
                    complete: true,
                    ledgers: Ledgers::default(),
                })?;
            }
            self.make(&Change::Step)?;
        }
        Ok(())
    }

    fn trip(&mut self, verdict: Verdict) -> Result<Vec<String>, Refusal> {
        let stage_revision = self.revision;
        self.make(&Change::Trip(Box::new(Breach { stage_revision, verdict })))
    }
}

impl Rehearsal {
    /// How long a step may lack something before it is reported as waiting.
    pub fn patience_ms(&self) -> u64 {
        let ticks = match &self.demand {
            Demand::MadeUp { .. } => PATIENCE_TICKS,
            Demand::Recorded(recording) => recording.period_s().max(PATIENCE_LEAST_TICKS),
        };
        ticks * TICK_MS
    }
}
