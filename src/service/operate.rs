//! The only place that commits changes: for operators, the controller's own steps, plans and guards. It also takes
//! those steps, as soon as each may be taken.

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use cutover_clock::Instant;
use tokio::sync::{Mutex, Notify, OnceCell};
use tracing::Instrument as _;

pub use super::request::RequestMeta;
use super::{
    Instances, Registry,
    looked::{Basis, Looked},
};
pub use crate::telemetry::now_ms;
use crate::{
    domain::{Applied, Change, Context, Document, Event, Key, Refusal, Unmet, apply, change},
    store::{self, ChainPage, Commit, Dropped, HistoryQuery, Store},
};

/// Lost races in a row before a change gives up.
const ATTEMPTS_MAX: u32 = 16;
/// Minimum interval between looks for steps; many acknowledgements arrive at once.
const PAUSE: Duration = Duration::from_millis(10);
/// Maximum interval between looks for steps: leases end without any event.
const TICK: Duration = Duration::from_secs(1);

/// The result of a change.
#[derive(Debug)]
pub struct ChangeOutcome {
    /// The migration's revision afterwards.
    pub revision: u64,
    /// Its document afterwards; `None`: deleted.
    pub document: Option<Document>,
    /// What was done, one line each.
    pub changes: Vec<String>,
    /// What the rest of the request waits for.
    pub waiting: Vec<Unmet>,
    /// The whole way of everybody who is not at their goal, one line for each group.
    pub ways: Vec<String>,
    /// Where a rollback ends, and what becomes of acknowledged writes, one line each.
    pub consequences: Vec<String>,
    /// This is the first answer to a repeated request.
    pub repeated: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is malformed, or not legal now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The migration has changed since.
    #[error("the migration is at revision {actual}, not {expected}: look again, then repeat the change")]
    Stale {
        /// What the caller expected.
        expected: u64,
        /// The actual revision.
        actual: u64,
    },
    /// The request id belongs to another change.
    #[error("request id {0:?} was used for another change: draw a new one")]
    RequestIdReused(String),
    /// There is no such pass.
    #[error("job {0:?} is not under way: cutover jobs {migration} lists those that are", migration = migration_of(.0))]
    UnknownJob(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The migration in a job's id.
fn migration_of(job: &str) -> &str {
    job.split('/').next().unwrap_or_default()
}

/// Makes changes.
#[derive(Debug)]
pub struct Operate {
    pub(super) store: Arc<dyn Store>,
    pub(super) registry: Arc<Registry>,
    pub(super) instances: Arc<Instances>,
    /// Why the controller has to start anew.
    pub(super) put_back: Mutex<Option<String>>,
    pub(super) starts_anew: Notify,
    /// Histories whose events the store has.
    pub(super) ancestors: OnceCell<BTreeMap<String, u64>>,
}

/// A migration that can take a step.
struct Ready {
    key: Key,
    basis: Basis,
    /// Why the step last failed, so that the same reason is logged once. Empty: it did not.
    failed: String,
}

impl Operate {
    /// Commits changes to a store.
    pub fn new(store: Arc<dyn Store>, registry: Arc<Registry>, instances: Arc<Instances>) -> Self {
        let (put_back, starts_anew, ancestors) = (Mutex::default(), Notify::new(), OnceCell::new());
        Self { store, registry, instances, put_back, starts_anew, ancestors }
    }

    /// Loads, applies and commits; retries if another commit was first.
    #[tracing::instrument(name = "change", skip_all, fields(migration.key = %key, change = change.name(), actor = mutation.actor))]
    pub async fn change(
        &self,
        key: &Key,
        change: &Change,
        mutation: &RequestMeta,
    ) -> Result<ChangeOutcome, Error> {
        if let Some(answer) = self.first_answer(key, change, mutation).await? {
            return Ok(answer);
        }
        let mut attempts = 0;
        loop {
            let (commit, outcome) = self.apply(key, change, mutation)?;
            // After the state was read: if anything is committed in between, this is repeated.
            if let Change::Create { confirm, .. } = change {
                let query = HistoryQuery { key: Some(key.clone()), limit: 2, ..HistoryQuery::default() };
                change::may_use_again(key, confirm, &self.store.history(&query).await?)?;
                change::may_begin(key, confirm, &self.instances.routes(key))?;
            }
            if mutation.dry_run || outcome.changes.is_empty() {
                return Ok(outcome);
            }
            match self.commit(commit).await {
                Err(store::Error::Conflict) if attempts < ATTEMPTS_MAX => attempts += 1,
                committed => {
                    committed?;
                    tracing::info!(
                        migration.key = %key,
                        revision = outcome.revision,
                        actor = mutation.actor,
                        change = change.name(),
                        "{}",
                        outcome.changes.join("; ")
                    );
                    return Ok(outcome);
                }
            }
            self.registry.catch_up().await?;
            // A race may have been lost to the same request, sent twice.
            if let Some(answer) = self.first_answer(key, change, mutation).await? {
                return Ok(answer);
            }
        }
    }

    /// Commits and publishes. Both continue to their end if the caller is dropped: a call that was canceled
    /// in between delays nobody's streams.
    async fn commit(&self, commit: Commit) -> Result<(), store::Error> {
        let (store, registry) = (self.store.clone(), self.registry.clone());
        let under_way = registry.under_way().hold();
        let of = commit.event.revision;
        let both = async move {
            let _under_way = under_way;
            let mut committed = store.commit(&commit).await;
            if let Err(store::Error::Unknown(_)) = &committed {
                committed = resolve(&*store, &commit, committed).await;
            }
            // A commit is final, whatever happens to its publication: `follow` catches up.
            if committed.is_ok()
                && let Err(error) = registry.catch_up().await
            {
                tracing::warn!(%error, revision = commit.event.revision, "committed, but not published yet");
            }
            committed
        };
        let both = tokio::spawn(both.instrument(tracing::info_span!("commit", revision = of)));
        both.await.unwrap_or_else(|error| Err(store::Error::Unknown(format!("the commit {error}"))))
    }

    /// Takes the next step of every migration as soon as it may be taken, until the process ends. Its only state is
    /// in the migrations, so it continues after a restart.
    pub async fn take_steps(&self) {
        let mut revisions = self.registry.subscribe();
        let mut acknowledged = self.instances.acknowledged();
        let mut blocked: HashMap<Key, Looked<String>> = HashMap::new();
        loop {
            revisions.mark_unchanged();
            acknowledged.mark_unchanged();
            for Ready { key, basis, failed } in self.ready(&mut blocked) {
                let by = RequestMeta { actor: "controller".to_owned(), ..RequestMeta::default() };
                if let Err(error) = self.change(&key, &Change::Step, &by).await {
                    let why = error.to_string();
                    if why != failed {
                        tracing::warn!(migration.key = %key, %error, "cannot take the next step yet; retrying");
                    }
                    blocked.insert(key, Looked { basis, until: Some(Instant::now() + TICK), seen: why });
                }
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                _ = acknowledged.changed() => {}
                _ = revisions.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Migrations that can take a step. Copies nothing of those that could not and have not changed since.
    fn ready(&self, blocked: &mut HashMap<Key, Looked<String>>) -> Vec<Ready> {
        let (state, now, steady_ms) = (self.registry.state(), Instant::now(), self.registry.steady_ms());
        let mut ready = Vec::new();
        blocked.retain(|key, _| state.entry(key).is_some());
        for entry in state.entries().filter(|entry| entry.migration.has_more_to_do()) {
            let (migration, basis) = (&entry.migration, Basis::of(entry, &self.instances));
            let key = migration.key();
            if blocked.get(key).is_some_and(|looked| looked.holds(&basis, now)) {
                continue;
            }
            let last = blocked.remove(key);
            if change::has_step(migration, &self.instances.fleet(Some(entry)), steady_ms) {
                let failed = last.map_or_else(String::new, |looked| looked.seen);
                ready.push(Ready { key: key.clone(), basis, failed });
            } else {
                let soaked_ms = change::soaked_at_ms(migration, steady_ms);
                let until = soaked_ms.map(|at_ms| now + Duration::from_millis(at_ms - steady_ms));
                blocked.insert(key.clone(), Looked { basis, until, seen: String::new() });
            }
        }
        ready
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), store::Error> {
        self.store.ping().await
    }

    /// Past changes, newest first.
    pub async fn history(&self, query: &HistoryQuery) -> Result<Vec<Event>, store::Error> {
        self.store.history(query).await
    }

    /// Past changes after a revision, oldest first, from the first that is kept, with what proves them.
    pub async fn chain(&self, after: u64, limit: u32) -> Result<ChainPage, store::Error> {
        self.store.chain(after, limit).await
    }

    /// What of the history is not kept any more.
    pub async fn dropped(&self) -> Result<Dropped, store::Error> {
        self.store.dropped().await
    }

    fn apply(
        &self,
        key: &Key,
        change: &Change,
        mutation: &RequestMeta,
    ) -> Result<(Commit, ChangeOutcome), Error> {
        let state = self.registry.state();
        let entry = state.entry(key);
        let actual = entry.map(|entry| entry.migration.revision);
        if let (Some(expected), Some(actual)) = (mutation.expected_revision, actual)
            && expected != actual
        {
            return Err(Error::Stale { expected, actual });
        }
        let fleet = self.instances.fleet(entry.map(AsRef::as_ref));
        let context = Context {
            revision: state.revision + 1,
            now_ms: now_ms(),
            steady_ms: self.registry.steady_ms(),
            actor: &mutation.actor,
            identity: &mutation.identity,
            reason: &mutation.reason,
            fleet: &fleet,
        };
        let migration = entry.map(|entry| &entry.migration);
        let Applied { mut document, rows, summary, waiting, ways, consequences, .. } =
            apply(migration, key, change, &context)?;
        if let (Some(document), None) = (&mut document, migration) {
            document.key_free_since = Some(state.fences.deleted);
        }
        let nothing = summary.is_empty();
        let outcome = ChangeOutcome {
            revision: if nothing { actual.unwrap_or(0) } else { context.revision },
            document: document.clone(),
            changes: summary.clone(),
            waiting,
            ways,
            consequences,
            repeated: false,
        };
        let event = Event {
            revision: context.revision,
            key: key.clone(),
            at_ms: context.now_ms,
            actor: mutation.actor.clone(),
            reason: mutation.reason.clone(),
            request_id: mutation.request_id.clone(),
            change: change.name().to_owned(),
            summary,
            document,
            rows,
        };
        Ok((Commit { expected: actual, event }, outcome))
    }

    pub(super) async fn first_answer(
        &self,
        key: &Key,
        change: &Change,
        mutation: &RequestMeta,
    ) -> Result<Option<ChangeOutcome>, Error> {
        if mutation.request_id.is_empty() {
            return Ok(None);
        }
        let request_id = Some(mutation.request_id.clone());
        let query = HistoryQuery { request_id, limit: 1, ..HistoryQuery::default() };
        let Some(event) = self.store.history(&query).await?.pop() else { return Ok(None) };
        if event.key != *key || event.change != change.name() {
            return Err(Error::RequestIdReused(mutation.request_id.clone()));
        }
        let asked = event.document.as_ref().and_then(|document| document.asked_in(event.revision));
        Ok(Some(ChangeOutcome {
            revision: event.revision,
            document: event.document,
            changes: event.summary,
            // Or a retry would look as if the change had been made.
            waiting: asked.into_iter().collect(),
            ways: Vec::new(),
            consequences: Vec::new(),
            repeated: true,
        }))
    }
}

/// Finds out what happened to a commit whose answer was lost, if the store can tell.
async fn resolve(
    store: &dyn Store,
    commit: &Commit,
    unknown: Result<(), store::Error>,
) -> Result<(), store::Error> {
    let Some(before) = commit.event.revision.checked_sub(1) else { return unknown };
    match store.changes(before, 1).await.as_deref() {
        Ok([event]) if *event == commit.event => Ok(()),
        // The revision belongs to another commit, so this one can't appear any more.
        Ok([_]) => Err(store::Error::Conflict),
        _ => unknown,
    }
}
