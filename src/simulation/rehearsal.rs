//! A plan played against synthetic traffic and the guards: nothing of it is real, but the rules are
//! those that a controller runs.

use std::{fmt, str::FromStr};

use cutover_client::routing::{PPM, Rung};
use imbl::OrdMap;

use super::{Fleet, TICK_MS, Traffic};
use crate::domain::{
    Applied, Breach, Change, Context, Cover, Gate, Key, Migration, NewPass, PassCounts, PassKind, Policy,
    Refusal, change,
    guard::{GuardConfig, Verdict},
    plan::{self, Missing, Next, Plan, PlanMove, Seen},
};

/// A fault, or a step that lacks something, is watched for so long.
const PATIENCE_TICKS: u64 = 3_600;
/// Of the calls: reads.
const READS: f64 = 0.75;
/// Share of the calls that a tenant has which goes by its name.
const NAMED: f64 = 0.01;
/// Errors of both stores when all is well.
const BASE_ERRORS: f64 = 1e-4;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This share of all calls to the target fails.
    TargetErrors(f64),
    /// This share of the writes to the target fails.
    TargetWrites(f64),
    /// This share of all calls to both stores fails.
    BothErrors(f64),
    /// This share of the reads misses in the target.
    Misses(f64),
    /// One instance fails all its calls to the target.
    SickInstance,
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsal {
    /// What goes wrong.
    pub fault: Fault,
    /// From this step on, counted from 1.
    pub at_step: usize,
    /// So long after it was taken, in ms; to the second.
    pub after_ms: u64,
    /// Reads and writes of all tenants.
    pub calls_per_s: f64,
    /// Share of the reads that are compared with the target before target-first.
    pub shadow: f64,
    /// That report.
    pub instances: usize,
    /// The same one plays the same.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// When each step was taken, in ms of the plan's time since its beginning.
    pub taken_ms: Vec<u64>,
    /// How it ended.
    pub end: End,
}

/// How a rehearsal ended, and at which step, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A guard tripped.
    Tripped {
        /// At which step.
        step: usize,
        /// After the fault's beginning. `None`: before it; a false trip.
        after_ms: Option<u64>,
        /// What would have come of it, a line each.
        told: Vec<String>,
    },
    /// It lacks something that does not come within an hour.
    Waits {
        /// At which step.
        step: usize,
        /// What.
        missing: Vec<String>,
    },
    /// It went to its end.
    Done {
        /// The fault was there by then.
        unnoticed: bool,
    },
}

/// One migration, and its traffic.
struct Play {
    key: Key,
    migration: Migration,
    fleet: Fleet,
    revision: u64,
    /// The plan's time is ahead of the traffic's by what only had to pass.
    skipped_ms: u64,
}

/// Plays a plan. Approvals are given and passes are made as soon as they are wanted.
pub fn rehearse(plan: &Plan, what: &Rehearsal) -> Result<Played, Refusal> {
    let mut play = Play::new(what)?;
    play.make(&Change::ApplyPlan(Box::new(plan.clone())))?;
    let mut played = Played { taken_ms: Vec::new(), end: End::Done { unnoticed: false } };
    let mut fault_ms = None;
    // Ticks since the last step was taken, and since the one of the fault was.
    let (mut waited, mut watched) = (0, 0);
    loop {
        let next = play.next();
        let step = played.taken_ms.len();
        match next {
            Some(Next::Move(going)) => {
                play.make(&Change::MovePlan(going))?;
                play.settle()?;
                if let PlanMove::Take(_) = going {
                    played.taken_ms.push(play.now_ms());
                    waited = 0;
                }
                continue;
            }
            Some(Next::Done) | None => {
                played.end = End::Done { unnoticed: fault_ms.is_some() };
                return Ok(played);
            }
            Some(Next::Held(why)) => {
                played.end = End::Waits { step, missing: vec![why] };
                return Ok(played);
            }
            Some(Next::Wait(missing)) => {
                // A fault gets its hour; else time only has to pass.
                let is_watched =
                    step >= what.at_step && what.fault != Fault::None && watched < PATIENCE_TICKS;
                if let Some(until_ms) = only_time(&missing).filter(|_| !is_watched) {
                    play.skipped_ms += until_ms.saturating_sub(play.now_ms());
                    continue;
                }
                if waited >= PATIENCE_TICKS {
                    let missing = missing.into_iter().map(|missing| missing.what).collect();
                    played.end = End::Waits { step, missing };
                    return Ok(played);
                }
            }
        }
        waited += 1;
        if what.fault != Fault::None && step >= what.at_step {
            watched += 1;
            if watched * TICK_MS > what.after_ms {
                // What an instance reports in a tick is of the second before.
                fault_ms = fault_ms.or(Some(play.fleet.ticks() * TICK_MS));
            }
        }
        let traffic = what.traffic(&play.migration, fault_ms.is_some());
        if let Some(verdict) = play.fleet.step(&traffic) {
            let after_ms = fault_ms.map(|since_ms| verdict.evidence.now_ms.saturating_sub(since_ms));
            let told = play.trip(verdict)?;
            played.end = End::Tripped { step, after_ms, told };
            return Ok(played);
        }
    }
}

/// When time alone has brought all of it.
fn only_time(missing: &[Missing]) -> Option<u64> {
    let until = missing.iter().map(|missing| missing.until_ms.filter(|_| missing.by_time));
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
        };
        let fleet = crate::domain::Fleet::default();
        let context = Context { revision: 1, now_ms: 0, actor: "plan", reason: "", fleet: &fleet };
        let applied = crate::domain::apply(None, &key, &create, &context)?;
        let Some(document) = applied.document else { return Err(Refusal::NotFound(key)) };
        let migration = Migration::new(1, document, OrdMap::new());
        let fleet = Fleet::new(GuardConfig::default(), what.instances, what.seed);
        Ok(Self { key, migration, fleet, revision: 1, skipped_ms: 0 })
    }

    fn now_ms(&self) -> u64 {
        self.fleet.ticks() * TICK_MS + self.skipped_ms
    }

    fn next(&mut self) -> Option<Next> {
        let now_ms = self.now_ms();
        let mut standing = self.fleet.judge.standing(self.fleet.tick * TICK_MS + TICK_MS - 1);
        standing.certificates.iter_mut().for_each(|shown| {
            shown.expected_ms = shown.expected_ms.map(|at_ms| at_ms + self.skipped_ms);
        });
        let mut state = self.migration.document.plan.clone()?;
        state.approved = usize::MAX;
        let seen = Seen {
            settled: !self.migration.has_more_to_do(),
            in_place: state.plan.in_place(&self.migration),
            standing: Some(standing),
            miss_max: GuardConfig::default().advance_miss_max,
            ..Seen::default()
        };
        Some(plan::decide(&state, &seen, now_ms))
    }

    fn make(&mut self, change: &Change) -> Result<Vec<String>, Refusal> {
        let fleet = crate::domain::Fleet::default();
        let (revision, now_ms) = (self.revision + 1, self.now_ms());
        let context = Context { revision, now_ms, actor: "plan", reason: "a rehearsal", fleet: &fleet };
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

    /// Takes the ladder's steps, and makes the passes that they want.
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
                    id: id.clone(),
                    kind: PassKind::Full,
                    cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
                    fingerprint: String::new(),
                    segments: 0,
                    residual_ms: 0,
                }))?;
                let counts = PassCounts::default();
                self.make(&Change::FinishJob { id, counts, samples: Vec::new(), complete: true })?;
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
    /// A second of traffic, by where tenants stand.
    fn traffic(&self, migration: &Migration, is_faulty: bool) -> Traffic {
        let share = |rung| {
            let by_bucket = f64::from(migration.document.bands.at_least_ppm(rung)) / f64::from(PPM);
            let named = migration.tenants.values().filter(|row| row.placement.rung >= rung).count();
            (by_bucket + named as f64 * NAMED).min(1.0)
        };
        let (both, target_first) = (share(Rung::Dual), share(Rung::TargetFirst));
        let reads = self.calls_per_s * READS;
        let well = Traffic {
            target: reads * target_first,
            source: reads * (1.0 - target_first),
            target_errors: BASE_ERRORS,
            source_errors: BASE_ERRORS,
            compared: reads * (both - target_first) * self.shadow,
            writes: self.calls_per_s * (1.0 - READS) * both,
            write_target_errors: BASE_ERRORS / 10.0,
            write_source_errors: BASE_ERRORS / 10.0,
            ..Traffic::default()
        };
        match self.fault {
            Fault::None => well,
            _ if !is_faulty => well,
            Fault::TargetErrors(rate) => Traffic { target_errors: rate, write_target_errors: rate, ..well },
            Fault::TargetWrites(rate) => Traffic { write_target_errors: rate, ..well },
            Fault::BothErrors(rate) => Traffic {
                target_errors: rate,
                source_errors: rate,
                write_target_errors: rate,
                write_source_errors: rate,
                ..well
            },
            Fault::Misses(rate) => Traffic { misses: rate, ..well },
            Fault::SickInstance => Traffic { sick: true, ..well },
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rate) = match self {
            Self::None => ("none", None),
            Self::TargetErrors(rate) => ("target-errors", Some(rate)),
            Self::TargetWrites(rate) => ("target-writes", Some(rate)),
            Self::BothErrors(rate) => ("both-errors", Some(rate)),
            Self::Misses(rate) => ("misses", Some(rate)),
            Self::SickInstance => ("sick-instance", None),
        };
        match rate {
            Some(rate) => write!(f, "{name}={} %", rate * 100.0),
            None => f.write_str(name),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// A name, and for most a percentage; 100 % unless told.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rate) = text.split_once('=').unwrap_or((text, "100"));
        let percent = rate.trim_end_matches('%').trim().parse::<f64>();
        let rate =
            percent.ok().filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
        let rate = rate.ok_or_else(|| format!("{text:?} has no percentage: give one like {name}=20%"))?;
        match name {
            "none" => Ok(Self::None),
            "target-errors" => Ok(Self::TargetErrors(rate)),
            "target-writes" => Ok(Self::TargetWrites(rate)),
            "both-errors" => Ok(Self::BothErrors(rate)),
            "misses" => Ok(Self::Misses(rate)),
            "sick-instance" => Ok(Self::SickInstance),
            _ => Err(format!(
                "{name:?} is no fault: give none, target-errors, target-writes, both-errors, misses or sick-instance"
            )),
        }
    }
}
