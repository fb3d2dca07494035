//! Running passes: who works on which segment, and how far each has got.
//!
//! A pass begins and ends with a change of its migration. Its progress is not a change: it is kept in memory
//! with every checkpoint, and stored every few seconds. So a worker that dies loses a chunk. A controller
//! that dies loses some seconds of work, which are harmless to repeat.

mod claim;
mod committed;
mod joining;
mod keeping;
mod tables;
mod witnesses;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_clock::Instant;

use super::{
    Operate, Registry,
    operate::{self, RequestMeta},
};
use crate::{
    domain::{
        Change, Evidence, Finding, Gate, Job, Key, NewPass, PassCounts, PassTables, Refusal, Unmet, Violation,
    },
    store::{PassRecord, SegmentRecord, Store, Tuning},
};

/// A worker that is silent for longer loses its segment.
const CLAIM_LEASE: Duration = Duration::from_secs(15);
/// Maximum bytes of a cursor, and of a note.
const CURSOR_MAX_BYTES: usize = 64 << 10;
const NOTE_MAX_BYTES: usize = 512;

pub use claim::{Checkpoint, Claim, Claimed, Progress};

/// How a pass ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassEnd {
    /// It went over everything.
    Complete,
    /// Early; refused while workers are working on it.
    Canceled,
    /// Early, whoever is working on it.
    Forced,
}

/// The passes of this controller.
#[derive(Debug)]
pub struct Passes {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    operate: Arc<Operate>,
    claim_lease: Duration,
    live: Mutex<HashMap<String, LivePass>>,
    keeping: tokio::sync::Mutex<()>,
}

/// One running pass.
#[derive(Debug)]
struct LivePass {
    record: PassRecord,
    /// For each segment.
    claims: Vec<Option<Claim>>,
    /// The store has an older record, or none.
    unkept: bool,
    /// The store does not know yet which tables it is about.
    unkept_tables: bool,
    /// Its job is committed, and not in the registry yet.
    unpublished: bool,
}

impl LivePass {
    fn new(record: PassRecord, unkept: bool) -> Self {
        let claims = vec![None; record.segments.len()];
        Self { record, claims, unkept, unkept_tables: false, unpublished: false }
    }
}

impl Passes {
    /// Starts with the passes in the store.
    pub fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        operate: Arc<Operate>,
        known: Vec<PassRecord>,
    ) -> Self {
        let pass = |record: PassRecord| (record.id.clone(), LivePass::new(record, false));
        let live = Mutex::new(known.into_iter().map(pass).collect());
        Self { store, registry, operate, claim_lease: CLAIM_LEASE, live, keeping: Default::default() }
    }

    /// With another time after which a silent worker loses its segment.
    pub fn with_claim_lease(self, claim_lease: Duration) -> Self {
        Self { claim_lease, ..self }
    }

    /// Begins a pass, or joins the running one with its kind and fingerprint.
    pub async fn begin(
        self: &Arc<Self>,
        key: &Key,
        pass: &NewPass,
        tuning: Tuning,
        mutation: &RequestMeta,
    ) -> Result<(Progress, bool), operate::Error> {
        let (passes, key, pass, mutation) = (self.clone(), key.clone(), pass.clone(), mutation.clone());
        // A pass that has begun has its limits, even if the caller is gone by then.
        let begun = async move { passes.begin_or_join(&key, &pass, tuning, &mutation).await };
        self.registry.under_way().to_the_end(begun).await
    }

    async fn begin_or_join(
        &self,
        key: &Key,
        pass: &NewPass,
        tuning: Tuning,
        mutation: &RequestMeta,
    ) -> Result<(Progress, bool), operate::Error> {
        if let Some(joined) = self.joinable(key, pass)? {
            return Ok((self.progress(joined), true));
        }
        let begun = self.operate.change(key, &Change::BeginJob(pass.clone()), mutation).await;
        if let Err(operate::Error::Refused(Refusal::Unmet(_))) = &begun
            && let Some(joined) = self.joinable(key, pass)?
        {
            return Ok((self.progress(joined), true));
        }
        let job = committed::job(begun?, &pass.id)?;
        {
            let mut live = self.live();
            let live = Self::pass(&mut live, &job);
            live.record.tuning = tuning;
            (live.unkept, live.unpublished) = (true, true);
        }
        self.keep_soon().await;
        Ok((self.progress(job), false))
    }

    /// Whether a pass could begin now. `mutation` is a dry run.
    pub async fn check(
        &self,
        key: &Key,
        pass: &NewPass,
        mutation: &RequestMeta,
    ) -> Result<(), operate::Error> {
        self.operate.change(key, &Change::BeginJob(pass.clone()), mutation).await.map(drop)
    }

    /// The target's table is missing, and the caller is about to make one.
    pub async fn make_target(&self, key: &Key, mutation: &RequestMeta) -> Result<(), operate::Error> {
        self.operate.change(key, &Change::MakeTarget, mutation).await.map(drop)
    }

    /// Hands out an unfinished segment that nobody works on, to a worker with the pass's tables: one of those from
    /// `prefer_from` on, if there is any.
    pub async fn claim(
        &self,
        id: &str,
        instance_id: &str,
        tables: &PassTables,
        prefer_from: u32,
    ) -> Result<Claimed, operate::Error> {
        let mut job = self.job(id)?;
        if job.drains() {
            let by = RequestMeta { actor: "controller".to_owned(), ..RequestMeta::default() };
            let drain = Change::DrainJob { id: id.to_owned() };
            self.operate.change(&key_of(id)?, &drain, &by).await?;
            job = self.job(id)?;
        }
        self.check_tables(&job, instance_id, tables).await?;
        let waits = job.waits_for(self.registry.steady_ms());
        let (segment, all_done) = {
            let mut live = self.live();
            let pass = Self::pass(&mut live, &job);
            let free = |claim: &Option<Claim>| claim.as_ref().is_none_or(|claim| !self.holds(claim));
            let of = pass.claims.len();
            let from = (prefer_from as usize).min(of);
            let at = (from..of)
                .chain(0..from)
                .find(|at| !pass.record.segments[*at].done && free(&pass.claims[*at]));
            let segment = at.filter(|_| waits.is_none()).map(|at| {
                let token = rand::random();
                let (instance_id, note) = (instance_id.to_owned(), String::new());
                pass.claims[at] = Some(Claim { token, instance_id, at: Instant::now(), note });
                (at as u32, pass.record.segments[at].clone(), token)
            });
            (segment, pass.record.segments.iter().all(|segment| segment.done))
        };
        Ok(Claimed { segment, all_done, progress: self.progress(job) })
    }

    /// Records a segment's progress. `None`: another worker has it, or the pass has ended.
    pub async fn checkpoint(
        &self,
        id: &str,
        checkpoint: Checkpoint,
    ) -> Result<Option<Progress>, operate::Error> {
        let Checkpoint { segment, token, instance_id, record, mut note, findings, witness } = checkpoint;
        if record.cursor.len() > CURSOR_MAX_BYTES {
            let message = format!("has {} bytes: {CURSOR_MAX_BYTES} is the most", record.cursor.len());
            return Err(Refusal::from(Violation::new("cursor", message)).into());
        }
        note.truncate(note.floor_char_boundary(NOTE_MAX_BYTES));
        let Ok(job) = self.job(id) else { return Ok(None) };
        let done = record.done;
        {
            let mut live = self.live();
            let pass = Self::pass(&mut live, &job);
            let at = segment as usize;
            let Some(claim) = pass.claims.get_mut(at) else {
                let message =
                    format!("segment {segment} does not exist: the pass has {}", pass.record.segments.len());
                return Err(Refusal::from(Violation::new("segment", message)).into());
            };
            // After a restart of the controller nobody has a claim, and neither has an evicted worker that is
            // alive. If they continue, they get it back.
            if claim.as_ref().is_some_and(|claim| claim.token != token) || pass.record.segments[at].done {
                return Ok(None);
            }
            *claim = (!done).then(|| Claim { token, instance_id, at: Instant::now(), note });
            let is_repeated = pass.record.segments[at] == record;
            pass.record.segments[at] = record;
            if !is_repeated {
                findings.into_iter().for_each(|finding| Finding::add(&mut pass.record.findings, finding));
            }
            if let Some(witness) = witness {
                witnesses::keep(&mut pass.record, witness, |below| rand::random_range(0..below));
            }
            pass.unkept = true;
        }
        if done {
            self.keep_soon().await;
        }
        Ok(Some(self.progress(job)))
    }

    /// Takes its segments from a worker that has said goodbye, or that an operator asserts to be dead.
    pub fn goodbye(&self, instance_id: &str) {
        let mut live = self.live();
        let claims = live.values_mut().flat_map(|pass| &mut pass.claims);
        claims.for_each(|claim| _ = claim.take_if(|claim| claim.instance_id == instance_id));
    }

    /// Changes the limits of a running pass.
    pub async fn tune(
        self: &Arc<Self>,
        id: &str,
        tuning: Tuning,
        mutation: &RequestMeta,
    ) -> Result<Progress, operate::Error> {
        let (passes, id, mutation) = (self.clone(), id.to_owned(), mutation.clone());
        let tuned = async move { passes.tune_now(&id, tuning, &mutation).await };
        self.registry.under_way().to_the_end(tuned).await
    }

    async fn tune_now(
        &self,
        id: &str,
        tuning: Tuning,
        mutation: &RequestMeta,
    ) -> Result<Progress, operate::Error> {
        let job = self.job(id)?;
        let Tuning { paused, records_per_s, bytes_per_s } = tuning;
        let tune = Change::TuneJob { id: id.to_owned(), paused, records_per_s, bytes_per_s };
        self.operate.change(&key_of(id)?, &tune, mutation).await?;
        if mutation.dry_run {
            let progress = self.progress(job);
            return Ok(Progress { record: PassRecord { tuning, ..progress.record }, ..progress });
        }
        {
            let mut live = self.live();
            let pass = Self::pass(&mut live, &job);
            pass.record.tuning = tuning;
            pass.unkept = true;
        }
        self.keep_soon().await;
        Ok(self.progress(job))
    }

    /// Running passes of a migration, oldest first.
    pub fn list(&self, key: &Key) -> Result<Vec<Progress>, operate::Error> {
        let jobs = self.registry.state().entry(key).map(|entry| entry.migration.document.jobs.clone());
        let jobs = jobs.ok_or_else(|| Refusal::NotFound(key.clone()))?;
        Ok(jobs.into_iter().map(|job| self.progress(job)).collect())
    }

    /// Ends a pass and stores its evidence; returns the same evidence if it has already ended. `counts` are
    /// those of a pass without segments.
    pub async fn finish(
        &self,
        id: &str,
        counts: PassCounts,
        end: PassEnd,
        mutation: &RequestMeta,
    ) -> Result<Evidence, operate::Error> {
        let key = key_of(id)?;
        let complete = end == PassEnd::Complete;
        if let Some(evidence) = self.evidence(&key, id) {
            return Ok(evidence);
        }
        let job = self.job(id)?;
        let mut counts = counts;
        let (record, left) = {
            let mut live = self.live();
            let record = Self::pass(&mut live, &job).record.clone();
            let left = record.segments.iter().filter(|segment| !segment.done).count();
            (record, left)
        };
        if complete && left > 0 {
            let message = format!("{left} of {} segments of {id} are not done", record.segments.len());
            let unmet = Unmet::of_change(Gate::Stage, message, "let its workers end, or cancel it");
            return Err(Refusal::from(unmet).into());
        }
        if end == PassEnd::Canceled {
            self.refuse_while_worked_on(&job)?;
        }
        record.segments.iter().for_each(|segment| counts.add(&segment.counts));
        let tables = PassTables { source: record.source, target: record.target };
        if complete && job.segments > 0 {
            self.know_tables(&job, &tables).await?;
        }
        let (findings, ledgers) = (record.findings, tables.ledgers());
        let finish = Change::FinishJob { id: id.to_owned(), counts, findings, complete, ledgers };
        let finished = self.operate.change(&key, &finish, mutation).await;
        let published = self.evidence(&key, id);
        let evidence = published.map_or_else(|| committed::evidence(finished?, id), Ok)?;
        // Its record is of no more use.
        self.keep_soon().await;
        Ok(evidence)
    }

    fn refuse_while_worked_on(&self, job: &Job) -> Result<(), operate::Error> {
        let progress = self.progress(job.clone());
        let workers: BTreeSet<&str> =
            progress.claims.iter().map(|(_, claim)| claim.instance_id.as_str()).collect();
        if workers.is_empty() {
            return Ok(());
        }
        let names = workers.iter().copied().collect::<Vec<_>>().join(", ");
        let message = format!("{} is being worked on by {names}", job.id);
        let action = format!("stop them (Ctrl-C), or cutover cancel {} --force", job.id);
        Err(Refusal::from(Unmet::of_change(Gate::Stage, message, action)).into())
    }

    fn job(&self, id: &str) -> Result<Job, operate::Error> {
        let state = self.registry.state();
        let jobs = state.entry(&key_of(id)?).map(|entry| &entry.migration.document.jobs);
        jobs.into_iter().flatten().find(|job| job.id == id).cloned().ok_or_else(|| unknown(id))
    }

    fn evidence(&self, key: &Key, id: &str) -> Option<Evidence> {
        let state = self.registry.state();
        let evidence = &state.entry(key)?.migration.document.evidence;
        evidence.iter().find(|evidence| evidence.job.id == id).cloned()
    }

    /// Whether its worker was heard recently.
    fn holds(&self, claim: &Claim) -> bool {
        claim.at.elapsed() <= self.claim_lease
    }

    fn progress(&self, job: Job) -> Progress {
        let waiting = job.waits_for(self.registry.steady_ms()).unwrap_or_default();
        let state = self.registry.state();
        let entry = key_of(&job.id).ok().and_then(|key| state.entry(&key).cloned());
        let useless = entry
            .and_then(|entry| job.useless(&entry.migration, &self.operate.instances.fleet(Some(&entry))));
        let mut live = self.live();
        let pass = Self::pass(&mut live, &job);
        // A worker that died has no claim, and its reason for being slow no longer applies.
        let held = |claim: &Option<Claim>| claim.clone().filter(|claim| self.holds(claim));
        let claims = (0..).zip(&pass.claims).filter_map(|(at, claim)| Some((at, held(claim)?))).collect();
        Progress { record: pass.record.clone(), claims, waiting, useless, job }
    }

    /// The pass of a job; a new one if its record did not survive a crash.
    fn pass<'a>(live: &'a mut HashMap<String, LivePass>, job: &Job) -> &'a mut LivePass {
        live.entry(job.id.clone()).or_insert_with(|| {
            let segments = vec![SegmentRecord::default(); job.segments as usize];
            LivePass::new(PassRecord { id: job.id.clone(), segments, ..PassRecord::default() }, true)
        })
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, LivePass>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's id contains its migration.
fn key_of(id: &str) -> Result<Key, operate::Error> {
    id.split_once('/').and_then(|(key, _)| Key::parse(key).ok()).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> operate::Error {
    operate::Error::UnknownJob(id.to_owned())
}
