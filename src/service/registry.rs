//! The only publisher of snapshots: follows the store, and keeps in memory what decisions, streams and
//! changes are made from. The controller's own commits and a restart take the same path.

mod entry;
mod met;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use cutover_core::routing::{Route, Snapshot, Table};
use tokio::sync::{Mutex, watch};

use super::{
    once::Once,
    seal::Seals,
    steady::{self, Steady},
    whole::UnderWay,
};
use crate::{
    domain::{Event, Key, Migration, Tenant},
    store::{CursorRecord, Error, HeardRecord, InstanceRecord, PassRecord, Store, Upkeep},
};
use entry::Asked;
pub use entry::{Callers, Entry};
use met::Met;

/// Deltas kept for streams that are behind.
const DELTAS_MAX: usize = 512;
/// Maximum overrides in all kept deltas; a stream that is further behind gets a snapshot.
const DELTA_OVERRIDES_MAX: usize = 200_000;
/// Events read from the store at a time.
const EVENTS_MAX: u32 = 256;

/// Everything at one revision.
#[derive(Debug)]
pub struct PublishedState {
    /// The newest revision.
    pub revision: u64,
    /// Distinguishes this history from another store's.
    pub history_id: Arc<str>,
    /// All routing tables, as an SDK would hold them.
    pub routing: Snapshot,
    /// Where the right to act expires.
    pub fences: Fences,
    entries: HashMap<Key, Arc<Entry>>,
    /// Of deleted migrations, for later ones with their keys.
    asked: HashMap<Key, Arc<Asked>>,
    deltas: VecDeque<Arc<Delta>>,
}

/// Where the right to act expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fences {
    /// The newest revision that makes it expire in some migration; `None`: it expires nowhere.
    pub newest: Option<u64>,
    /// Whoever is counted out and had received this revision may act in none of them; `None`: it may in some.
    pub harmless: Option<u64>,
    /// The revision that last deleted a migration, or that the controller started with: whoever has heard of nothing
    /// newer may route a migration that is not there any more.
    pub deleted: u64,
}

impl Fences {
    /// Who has heard of this revision routes nothing without its fence. 0: nobody has to hear of any.
    pub fn since(&self) -> u64 {
        self.newest.map_or(0, |newest| newest.max(self.deleted))
    }
}

/// What one revision changed in the routing tables.
#[derive(Debug)]
pub struct Delta {
    /// The revision.
    pub revision: u64,
    /// The migration.
    pub key: Key,
    /// The migration was deleted.
    pub removed: bool,
    /// Tenants whose override changed; `None`: it has none any more.
    pub overrides: Vec<(Tenant, Option<Route>)>,
}

/// What the store contains besides the migrations.
#[derive(Debug)]
pub struct Kept {
    /// Registered instances.
    pub instances: Vec<InstanceRecord>,
    /// Running passes.
    pub passes: Vec<PassRecord>,
    /// Positions of notification endpoints.
    pub cursors: Vec<CursorRecord>,
    /// For each instance, the last report that is in the windows.
    pub heard: Vec<HeardRecord>,
    /// How the store was restored from a backup. `None`: it was not.
    pub restored: Option<String>,
    /// Its files were put back by hand: see [`StoredState::put_back`](crate::store::StoredState::put_back).
    pub put_back: bool,
}

/// Keeps the newest [`PublishedState`] and announces each.
#[derive(Debug)]
pub struct Registry {
    store: Arc<dyn Store>,
    state: ArcSwap<PublishedState>,
    newest: watch::Sender<u64>,
    tail: Mutex<()>,
    steady: Arc<Steady>,
    under_way: UnderWay,
    seals: Seals,
    met: Met,
}

impl Registry {
    /// The histories of other stores by which somebody came.
    pub const fn met(&self) -> &Met {
        &self.met
    }

    /// Proves which states were sent.
    pub const fn seals(&self) -> &Seals {
        &self.seals
    }

    /// What continues without its caller.
    pub const fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    /// Loads everything; also returns what the store contains besides the migrations.
    pub async fn load(store: Arc<dyn Store>) -> Result<(Self, Kept), Error> {
        let stored = store.snapshot().await?;
        let mut routing = Snapshot::empty(stored.revision);
        let mut entries = HashMap::new();
        let (histories, instances): (Vec<_>, Vec<_>) =
            stored.instances.into_iter().partition(|record| record.history_of().is_some());
        let (callers, instances): (Vec<_>, Vec<_>) =
            instances.into_iter().partition(|record| record.callers_of().is_some());
        let of_none = forget_callers_of_none(&*store, &callers, &stored.migrations).await?;
        let asked: HashSet<&str> = callers.iter().filter_map(InstanceRecord::callers_of).collect();
        for migration in stored.migrations {
            // Of a restored store nobody knows who asked since the backup.
            let was_asked = stored.restored.is_some()
                || migration.document.restored.is_some()
                || asked.contains(migration.key().as_str());
            routing.insert(migration.key().as_str(), Ok(Arc::new(migration.table())));
            entries.insert(migration.key().clone(), Arc::new(Entry::loaded(migration, was_asked)));
        }
        let steady = Arc::new(Steady::from(stored.steady_ms));
        let state = PublishedState {
            revision: stored.revision,
            history_id: stored.history_id.into(),
            routing,
            fences: fences(&entries, stored.revision),
            entries,
            asked: of_none.into_iter().map(|key| (key, Arc::new(Asked::before(false)))).collect(),
            deltas: VecDeque::new(),
        };
        let newest = watch::Sender::new(state.revision);
        let registry = Self {
            store,
            state: ArcSwap::from_pointee(state),
            newest,
            tail: Mutex::default(),
            steady,
            under_way: UnderWay::default(),
            seals: Seals::new(stored.seal_key),
            met: histories.iter().filter_map(InstanceRecord::history_of).collect(),
        };
        let kept = Kept {
            instances,
            passes: stored.passes,
            cursors: stored.cursors,
            heard: stored.heard,
            restored: stored.restored,
            put_back: stored.put_back,
        };
        Ok((registry, kept))
    }

    /// The newest state; one atomic load.
    pub fn state(&self) -> arc_swap::Guard<Arc<PublishedState>> {
        self.state.load()
    }

    /// The clock of waits that safety relies on, in milliseconds: no jump of the wall clock affects it.
    pub fn steady_ms(&self) -> u64 {
        self.steady.now_ms()
    }

    pub(super) fn steady(&self) -> Arc<Steady> {
        self.steady.clone()
    }

    /// Stores that clock regularly until the process ends.
    pub async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(steady::EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            ticks.tick().await;
            let saved = self.save_time().await;
            if once.is_news(&saved)
                && let Err(error) = saved
            {
                tracing::warn!(%error, "could not persist how long waits have lasted; retrying");
            }
        }
    }

    /// Stores that clock now.
    pub async fn save_time(&self) -> Result<(), Error> {
        self.store.keep(&Upkeep { steady_ms: Some(self.steady_ms()), ..Upkeep::default() }).await
    }

    /// Announces each newer revision after it was published.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Publishes everything that the store has committed since.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let _tail = self.tail.lock().await;
        loop {
            let before = self.state.load_full();
            let events = self.store.changes(before.revision, EVENTS_MAX).await?;
            if events.is_empty() {
                return Ok(());
            }
            let keys: HashSet<Key> = events.iter().map(|event| event.key.clone()).collect();
            let mut after = events.into_iter().fold(PublishedState::clone_of(&before), PublishedState::with);
            after.fences = fences(&after.entries, after.fences.deleted);
            let revision = after.revision;
            let after = Arc::new(after);
            self.state.store(after.clone());
            keys.iter().filter_map(|key| after.entry(key)).for_each(|entry| entry.note_published());
            self.newest.send_replace(revision);
        }
    }

    /// Looks for commits made elsewhere until the process ends.
    pub async fn follow(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut once = Once::default();
        loop {
            ticks.tick().await;
            let caught_up = self.catch_up().await;
            if once.is_news(&caught_up)
                && let Err(error) = caught_up
            {
                tracing::error!(%error, "could not read new commits from the store; retrying");
            }
        }
    }
}

impl PublishedState {
    /// One migration.
    pub fn entry(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// One migration, by the text of its key.
    pub fn entry_of(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// All migrations, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The changes after a revision, oldest first; `None` if they are no longer kept.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Delta>>> {
        let oldest = self.deltas.front().map_or(self.revision, |delta| delta.revision - 1);
        (oldest..=self.revision)
            .contains(&revision)
            .then(|| self.deltas.iter().skip_while(move |delta| delta.revision <= revision))
    }

    fn clone_of(state: &Self) -> Self {
        Self {
            revision: state.revision,
            history_id: state.history_id.clone(),
            routing: state.routing.clone(),
            fences: state.fences,
            entries: state.entries.clone(),
            asked: state.asked.clone(),
            deltas: state.deltas.clone(),
        }
    }

    /// The state after one more event.
    fn with(mut self, event: Event) -> Self {
        let Event { revision, key, document, rows, .. } = event;
        self.revision = revision;
        self.routing.set_revision(revision);
        let mut delta =
            Delta { revision, key: key.clone(), removed: document.is_none(), overrides: Vec::new() };
        match document {
            None => {
                self.fences.deleted = revision;
                self.asked.extend(self.entries.remove(&key).map(|entry| (key.clone(), entry.asked())));
                self.routing.remove(key.as_str());
            }
            Some(document) => {
                let known = self.entries.get(&key);
                let (migration, table) = match (known, self.routing.table(key.as_str())) {
                    (Some(entry), Ok(table)) => {
                        let mut migration = entry.migration.clone();
                        migration.replay(revision, document, &rows);
                        delta.overrides = changed_overrides(&entry.migration, &migration, table, &rows);
                        let head =
                            table.with_head(revision, &migration.table_bands(), migration.table_policy());
                        let changes = delta.overrides.iter().map(|(tenant, route)| (tenant.as_str(), *route));
                        let table =
                            if delta.overrides.is_empty() { head } else { head.with_overrides(changes) };
                        (migration, table)
                    }
                    _ => {
                        let rows =
                            rows.into_iter().filter_map(|(tenant, row)| Some((tenant, row?))).collect();
                        let migration = Migration::new(revision, document, rows);
                        let table = migration.table();
                        let keys = migration.tenants.keys();
                        delta.overrides =
                            keys.map(|tenant| (tenant.clone(), migration.table_override(tenant))).collect();
                        (migration, table)
                    }
                };
                let entry = match known {
                    Some(known) => known.next(migration),
                    None => Entry::new(migration, self.asked.remove(&key)),
                };
                self.entries.insert(key.clone(), Arc::new(entry));
                self.routing.insert(key.as_str(), Ok(Arc::new(table)));
            }
        }
        self.deltas.push_back(Arc::new(delta));
        let mut overrides: usize = self.deltas.iter().map(|delta| delta.overrides.len()).sum();
        while self.deltas.len() > DELTAS_MAX || overrides > DELTA_OVERRIDES_MAX {
            let dropped = self.deltas.pop_front();
            overrides -= dropped.map_or(0, |delta| delta.overrides.len());
        }
        self
    }
}

/// Records of callers go with their migration, at the next start. Returns the keys: some of these callers may still
/// use an answer.
async fn forget_callers_of_none(
    store: &dyn Store,
    callers: &[InstanceRecord],
    migrations: &[Migration],
) -> Result<Vec<Key>, Error> {
    let keys: HashSet<&str> = migrations.iter().map(|migration| migration.key().as_str()).collect();
    let of_none = callers.iter().filter(|record| record.callers_of().is_some_and(|key| !keys.contains(key)));
    let of_none: Vec<_> = of_none.collect();
    if !of_none.is_empty() {
        let remove_instances = of_none.iter().map(|record| record.label()).collect();
        store.keep(&Upkeep { remove_instances, ..Upkeep::default() }).await?;
    }
    Ok(of_none.iter().filter_map(|record| Key::parse(record.callers_of()?).ok()).collect())
}

fn fences(entries: &HashMap<Key, Arc<Entry>>, deleted: u64) -> Fences {
    let documents = || entries.values().map(|entry| &entry.migration.document);
    let newest = documents().filter_map(|document| document.fenced_since()).max();
    let harmless =
        documents().map(|document| document.harmless_since()).try_fold(0, |all, since| Some(all.max(since?)));
    Fences { newest, harmless: harmless.filter(|_| newest.is_some()), deleted }
}

/// Overrides that one event changed. Another goal or ceiling may give any tenant another reason.
fn changed_overrides(
    before: &Migration,
    after: &Migration,
    table: &Table,
    rows: &[(Tenant, Option<crate::domain::TenantRow>)],
) -> Vec<(Tenant, Option<Route>)> {
    let named: HashSet<&Tenant> = rows.iter().map(|(tenant, _)| tenant).collect();
    let mut changed: Vec<_> =
        named.iter().map(|tenant| ((*tenant).clone(), after.table_override(tenant))).collect();
    let (old, new) = (&before.document, &after.document);
    let same_rules = old.goal == new.goal
        && old.ceiling == new.ceiling
        && old.restored.is_some() == new.restored.is_some();
    if !same_rules {
        changed.extend(after.tenants.keys().filter(|tenant| !named.contains(tenant)).filter_map(|tenant| {
            let route = after.table_override(tenant);
            (route != Some(table.route(tenant.as_str()))).then(|| (tenant.clone(), route))
        }));
    }
    changed
}
