//! What holds at every moment, whatever callers read later: docs/protocol.md says why.
//!
//! - **Rungs**: nothing is acknowledged, and nothing returned, by a rung that must not be live beside the
//!   committed one.
//! - **Records**: what was acknowledged is where the committed rung reads.
//! - Those of docs/ARCHITECTURE.md about events, shares and telemetry.

#[cfg(test)]
mod example;
pub mod raised;
pub mod replay;
pub mod telemetry;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use cutover::domain::Placement;
use cutover_client::{
    routing::{Rung, coexist},
    store::{Id, Record, Version},
    watch::Current,
};

use crate::{
    cast::{
        KEY,
        traffic::{self, name},
    },
    data::DataStore,
    expiring,
    linear::Value,
    oracle, world,
};

#[derive(Default)]
struct Known {
    stores: Option<[DataStore; 2]>,
    /// Where tenants are by the newest commit.
    committed: BTreeMap<String, Placement>,
    /// The newest revision that each service has acted under.
    held: BTreeMap<String, u64>,
    /// The newest acknowledged write of each record.
    newest: BTreeMap<Id, Newest>,
    /// When acknowledged writes expire.
    expires: BTreeMap<(Id, Version), u64>,
    /// The newest version that each store has removed because it had expired. Once a reverse pass has made the source
    /// what the target is, those of the target count for both.
    removed: [BTreeMap<Id, Version>; 2],
    /// The newest version that has expired in each store while that store decided which write is the newest. The source
    /// does, but for tenants with writes in the target alone.
    over: [BTreeMap<Id, Version>; 2],
    /// Told once.
    faults: BTreeSet<(&'static str, String)>,
}

impl Known {
    /// Everybody goes by a store from now on, and went by the other one before.
    fn turn_to(&mut self, store: usize, tenant: &str) {
        let before = 1 - store;
        let expired = self.expired_in(before, tenant);
        let over = of_tenant(&self.over[before], tenant);
        expired.into_iter().chain(over).for_each(|(id, version)| raise(&mut self.over[store], id, version));
    }

    /// The source has what the target has, and lacks what has expired there.
    fn reversed(&mut self, tenant: &str) {
        let mut gone = of_tenant(&self.removed[1], tenant);
        self.expired_in(1, tenant).into_iter().for_each(|(id, version)| raise(&mut gone, id, version));
        let source = &mut self.removed[0];
        // What the source alone has had was never the newest.
        source.retain(|id, version| id.tenant != tenant || gone.get(id).is_some_and(|gone| gone >= version));
        gone.into_iter().for_each(|(id, version)| raise(source, id, version));
    }

    /// What a store still has of a tenant although it may have expired.
    fn expired_in(&self, store: usize, tenant: &str) -> BTreeMap<Id, Version> {
        let stored = self.stores.as_ref().map(|stores| stores[store].dump()).unwrap_or_default();
        let expired = stored.into_iter().filter(|(id, it)| id.tenant == tenant && expiring::has_expired(it));
        expired.map(|(id, record)| (id, record.version)).collect()
    }
}

fn of_tenant(versions: &BTreeMap<Id, Version>, tenant: &str) -> BTreeMap<Id, Version> {
    let of_tenant = versions.iter().filter(|(id, _)| id.tenant == tenant);
    of_tenant.map(|(id, version)| (id.clone(), *version)).collect()
}

/// Keeps the newest version of a record.
fn raise(versions: &mut BTreeMap<Id, Version>, id: Id, version: Version) {
    let newest = versions.entry(id).or_default();
    *newest = version.max(*newest);
}

/// A write that was acknowledged.
#[derive(Clone, Copy)]
enum Newest {
    /// Of the service without the SDK, which was the only writer then.
    Unversioned(Value),
    Version(Version),
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Forgets everything.
pub fn begin(stores: [DataStore; 2]) {
    KNOWN.set(Known { stores: Some(stores), ..Known::default() });
    replay::begin();
    telemetry::begin();
}

/// Tenants are here from now on.
pub fn committed(placements: impl Iterator<Item = (String, Placement)>) {
    KNOWN.with_borrow_mut(|known| {
        for (tenant, placement) in placements {
            let before = known.committed.insert(tenant.clone(), placement);
            let had_floor = before.is_some_and(|before| before.floor > Rung::SourceOnly);
            let reads_target = |at: Rung| read_at(at) == Some(1);
            if reads_target(placement.rung) && before.is_some_and(|before| !reads_target(before.rung)) {
                known.turn_to(1, &tenant);
            }
            if had_floor && placement.floor == Rung::SourceOnly {
                known.turn_to(0, &tenant);
                known.reversed(&tenant);
            }
        }
    });
    let written: Vec<_> = KNOWN.with_borrow(|known| known.newest.keys().cloned().collect());
    written.iter().for_each(check);
}

/// Where a tenant is by the newest commit.
pub fn placement(tenant: &str) -> Option<Placement> {
    KNOWN.with_borrow(|known| known.committed.get(tenant).copied())
}

/// Is a tenant at a rung by the newest commit?
pub fn is_at(tenant: &str, rung: Rung) -> bool {
    placement(tenant).is_some_and(|placement| placement.rung == rung)
}

/// Is everybody at a rung by the newest commit?
pub fn is_everybody_at(rung: Rung) -> bool {
    KNOWN.with_borrow(|known| known.committed.values().all(|placement| placement.rung == rung))
}

/// Are there writes in the target alone, and is everybody where they can be copied back?
pub fn needs_reverse() -> bool {
    KNOWN.with_borrow(|known| {
        let is_raised = |placement: &&Placement| placement.floor > Rung::SourceOnly;
        let raised: Vec<_> = known.committed.values().filter(is_raised).collect();
        !raised.is_empty() && raised.iter().all(|placement| placement.rung != Rung::TargetOnly)
    })
}

/// The newest revision that a service has acted under. 0: it has not begun anything.
pub fn held(service: &str) -> u64 {
    KNOWN.with_borrow(|known| known.held.get(service).copied().unwrap_or(0))
}

/// Another process takes the place of a service.
pub fn forget_held(service: &str) {
    KNOWN.with_borrow_mut(|known| _ = known.held.remove(service));
}

/// A write without a version was acknowledged.
pub fn acknowledged_unversioned(id: &Id, value: Value) {
    KNOWN.with_borrow_mut(|known| _ = known.newest.insert(id.clone(), Newest::Unversioned(value)));
}

/// When a write that was acknowledged expires, in milliseconds.
pub fn expires(id: &Id, version: Version, at_ms: Option<u64>) {
    KNOWN.with_borrow_mut(|known| known.expires.extend(at_ms.map(|at_ms| ((id.clone(), version), at_ms))));
}

/// A store has removed a record that had expired. Nobody need have acknowledged that write.
pub fn removed(store: usize, id: &Id, version: Version) {
    KNOWN.with_borrow_mut(|known| {
        raise(&mut known.removed[store], id.clone(), version);
        let is_target_alone = |at: &Placement| at.floor > Rung::SourceOnly || at.rung == Rung::TargetOnly;
        let decides = store == 1 || !known.committed.get(&id.tenant).is_some_and(is_target_alone);
        if decides {
            raise(&mut known.over[store], id.clone(), version);
        }
    });
    check(id);
}

/// Which store readers ask first. `None`: nobody reads.
const fn read_at(rung: Rung) -> Option<usize> {
    match rung {
        Rung::Hold => None,
        Rung::SourceOnly | Rung::Dual | Rung::Mirrored => Some(0),
        Rung::TargetFirst | Rung::TargetOnly => Some(1),
    }
}

/// A write was acknowledged.
pub fn acknowledged(id: &Id, version: Version) {
    KNOWN.with_borrow_mut(|known| {
        let newest = known.newest.entry(id.clone()).or_insert(Newest::Version(version));
        match newest {
            Newest::Version(newest) => *newest = version.max(*newest),
            Newest::Unversioned(_) => *newest = Newest::Version(version),
        }
    });
    check(id);
}

/// Is what was acknowledged of a record where the committed rung reads?
pub fn check(id: &Id) {
    let seen = KNOWN.with_borrow(|known| {
        let placement = *known.committed.get(&id.tenant)?;
        let newest = *known.newest.get(id)?;
        let [source, target] = known.stores.as_ref()?.each_ref().map(|store| store.peek(id));
        let removed = known.removed.each_ref().map(|removed| removed.get(id).copied().unwrap_or_default());
        // Of unknown outcome, perhaps: it has replaced what was acknowledged, and has expired.
        let gone = read_at(placement.rung).map(|store| {
            let stored = [&source, &target][store].as_ref();
            let expired = stored.filter(|record| expiring::has_expired(record));
            let over = known.over[store].get(id).copied().unwrap_or_default();
            expired.map_or(over, |record| record.version.max(over))
        });
        let gone = gone.unwrap_or_default();
        let is_over = match newest {
            Newest::Version(version) => {
                let expires_ms = known.expires.get(&(id.clone(), version)).copied();
                gone >= version || expiring::may_be_over(expires_ms, world::now() / world::MS)
            }
            Newest::Unversioned(_) => gone > Version::ZERO,
        };
        Some((placement, newest, [source, target], is_over, removed))
    });
    let Some((placement, newest, [source, target], is_over, removed)) = seen else { return };
    let read =
        read_at(placement.rung).and_then(|store| Some(([&source, &target][store].as_ref()?, removed[store])));
    // What a store has removed is the newest that it had.
    if let Some((older, removed)) =
        read.filter(|(record, removed)| record.version < *removed && !expiring::is_gone(record))
    {
        let what =
            format!("{:?} is there after {removed:?} had expired: {:?}", older.version, placement.rung);
        tell_once("resurrected", name(&id.tenant, &id.key), what);
    }
    let is_there = |record: &Option<Record>| match (newest, record) {
        (_, record) if is_over && record.as_ref().is_none_or(expiring::is_gone) => true,
        (Newest::Version(version), Some(record)) => record.version >= version,
        (Newest::Version(_), None) => false,
        // The SDK replaces it with a version.
        (Newest::Unversioned(value), Some(record)) => {
            record.version > Version::ZERO || value_of(record) == value
        }
        (Newest::Unversioned(value), None) => value.is_none(),
    };
    let falls_back = placement.floor == Rung::SourceOnly && target.is_none() && expiring::ttl().is_none();
    let is_readable = match placement.rung {
        Rung::Hold => true,
        Rung::SourceOnly | Rung::Dual | Rung::Mirrored => is_there(&source),
        Rung::TargetFirst if falls_back => is_there(&source),
        Rung::TargetFirst | Rung::TargetOnly => is_there(&target),
    };
    if !is_readable {
        let shown = |record: &Option<Record>| {
            let shown = record.as_ref().map(|record| (record.version, value_of(record)));
            format!("{shown:?}")
        };
        let newest = match newest {
            Newest::Version(version) => format!("{version:?}"),
            Newest::Unversioned(value) => format!("{value:?} without a version"),
        };
        let what = format!(
            "{} is at {:?}, {newest} was acknowledged; source {}, target {}",
            id.tenant,
            placement.rung,
            shown(&source),
            shown(&target)
        );
        tell_once("unreachable", name(&id.tenant, &id.key), what);
    }
}

fn value_of(record: &Record) -> Value {
    record.value.as_deref().map(traffic::value)
}

/// An operation as far as rungs go.
pub struct Watched<'a> {
    tenant: &'a str,
    by: &'a str,
    current: &'a Current,
    /// The rung that it goes by, and the revision. `None`: it waits for another one.
    goes_by: Option<(Rung, u64)>,
    committed: Option<Rung>,
    began_at_target_only: bool,
}

impl<'a> Watched<'a> {
    /// Call it right before the operation begins.
    pub fn new(tenant: &'a str, by: &'a str, current: &'a Current) -> Self {
        replay::acts(by, tenant, current);
        let committed = placement(tenant).map(|placement| placement.rung);
        let goes_by = goes_by(tenant, current);
        let service = by.split('#').next().unwrap_or_default().to_owned();
        KNOWN.with_borrow_mut(|known| known.held.insert(service, current.received_revision()));
        Self { tenant, by, current, goes_by, committed, began_at_target_only: is_at_target_only(tenant) }
    }

    /// Whether somebody may be at target-only, beside others at target-first.
    pub fn is_at_target_only(&self) -> bool {
        self.began_at_target_only || is_at_target_only(self.tenant)
    }

    /// It was acknowledged, or returned something. `left_behind`: steps down did not wait for its process.
    ///
    /// A read may have been made anew under a later revision.
    pub fn counts(self, is_read: bool, left_behind: bool) {
        let Some((rung, revision)) = self.goes_by else { return };
        let now = placement(self.tenant).map(|placement| placement.rung);
        let is_outdated = |committed: Rung| !coexist(rung, committed) && (committed > rung || !left_behind);
        if let Some(then) = self.committed.filter(|then| is_outdated(*then)) {
            return self.fault("outdated", format!("began at {rung:?} when {then:?} was committed"));
        }
        // Steps down do not wait for what is under way.
        let may_be_anew = is_read && goes_by(self.tenant, self.current) != Some((rung, revision));
        if let Some(now) = now.filter(|now| *now > rung && !coexist(rung, *now) && !may_be_anew) {
            self.fault("outlived", format!("ended at {rung:?} when {now:?} was committed"));
        }
    }

    /// Whether a read may be stale: its process does not know that steps down were taken without it.
    pub fn may_be_stale(&self) -> bool {
        let known = goes_by(self.tenant, self.current).map(|(rung, _)| rung);
        let committed = placement(self.tenant).map(|placement| placement.rung);
        known.zip(committed).is_some_and(|(known, committed)| !coexist(known, committed))
    }

    fn fault(&self, kind: &'static str, what: String) {
        tell_once(kind, self.tenant.to_owned(), format!("{} {what}: {}", self.by, self.tenant));
    }
}

fn is_at_target_only(tenant: &str) -> bool {
    placement(tenant).is_some_and(|at| at.rung == Rung::TargetOnly || at.was == Rung::TargetOnly)
}

fn goes_by(tenant: &str, current: &Current) -> Option<(Rung, u64)> {
    let decision = current.decide(KEY, tenant).ok()?;
    (decision.rung != Rung::Hold).then(|| (decision.rung, current.received_revision()))
}

fn tell_once(kind: &'static str, of: String, what: String) {
    let what = format!("{what} ({} ms)", world::now() / world::MS);
    if KNOWN.with_borrow_mut(|known| known.faults.insert((kind, of.clone()))) {
        oracle::fault_of(kind, of, what);
    }
}
