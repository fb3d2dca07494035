//! Passes over the stores by any number of worker processes.
//!
//! A worker sees the controller over the wire, like any client, and the stores through the SDK's adapters. It
//! claims segments of a job ([`worker`]) and goes through each page by page ([`segment`]), copying or
//! comparing ([`page`]), at a pace that its stores can bear ([`pace`], [`pressure`]). A worker is an
//! instance: it holds an operation from reading a page until that is written, so that no barrier settles in
//! between.

pub mod attributes;
mod beside;
mod bounded;
mod compare;
pub mod cost;
mod error;
mod expiring;
pub mod findings;
pub mod identity;
mod in_a_row;
mod insist;
pub mod pace;
pub mod page;
mod patience;
pub mod pressure;
pub mod quarantine;
mod reads;
pub mod retry;
pub mod sample;
pub mod segment;
pub mod side;
mod source_versions;
mod source_wins;
mod target_only;
mod unversioned;
pub mod worker;

use std::{sync::Arc, time::Duration};

use cutover_client::Access;
use cutover_proto::v1;
use cutover_store::{
    Id, ScanOrder, Scope, Segment, Store, Ttl, Version,
    spec::{Spec, StoreSpec, StoreUrl},
};
use sha2::{Digest as _, Sha256};

use attributes::Values;
pub use error::Error;
use side::Side;

/// A record's place, for people, and unique: tenant and key can't be confused.
fn place(tenant: &str, key: &str) -> String {
    format!("{tenant:?}/{key:?}")
}

/// The stores of a migration.
#[derive(Clone)]
pub struct Stores {
    /// The store that records come from.
    pub source: Arc<dyn Store>,
    /// The store that records go to.
    pub target: Arc<dyn Store>,
    /// Keeps records that do not fit, with the reason. `None`: the first one ends the pass.
    pub quarantine: Option<Arc<dyn Store>>,
}

impl Stores {
    /// The plan, with about how many records it reads, and which store's segments it prefers.
    ///
    /// An estimate may be missing, or hours old: of stores that have nearly the same records, the larger one counts for
    /// both.
    pub async fn measured(&self, plan: Plan) -> Plan {
        let records = async |side| match plan.reads(side) {
            true => self.side(side).estimate().await.ok()?.records,
            false => None,
        };
        let (source, target) = futures::join!(records(Side::Source), records(Side::Target));
        let reads_both = plan.reads(Side::Source) && plan.reads(Side::Target);
        let small = if reads_both { self.small_target(plan.limits.chunk_bytes).await } else { None };
        let expected = match small {
            Some(target) => source.map(|source| source + target),
            None if reads_both => source.max(target).map(|larger| 2 * larger),
            None => source.or(target),
        };
        let source_first = plan.kind != v1::PassKind::Full || small.is_none();
        Plan { expected, source_first, ..plan }
    }

    /// How many records the target has, if they are in one page: it is yet to be filled, or is a small table. `None`:
    /// there are more, or nobody knows.
    async fn small_target(&self, limit_bytes: usize) -> Option<u64> {
        let all = Segment { index: 0, of: 1 };
        let page = self.target.scan(&Scope::All, all, None, limit_bytes).await.ok()?;
        page.next.is_none().then(|| page::records_of(&page))
    }

    /// Records before a checkpoint are not read again. So a store that lacks what the pass left in it is
    /// another store.
    async fn check(&self, plan: &Plan, job: &v1::Job) -> Result<(), Error> {
        let store = plan.writes();
        let id = |it: &v1::Witness| Id { tenant: it.tenant.clone(), key: it.key.clone() };
        let ids: Vec<Id> = job.witnesses.iter().map(id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let versions = self.side(store).get_versions(&ids).await;
        let versions = versions.map_err(|error| Error::Store { store: store.name(), error })?;
        let is_missing = |witness: &v1::Witness, version: Option<Version>| {
            version.is_none_or(|version| version.0 < witness.version)
        };
        match job.witnesses.iter().zip(versions).find(|(witness, version)| is_missing(witness, *version)) {
            None => Ok(()),
            Some((witness, _)) => Err(Error::Replaced {
                job: job.id.clone(),
                store: store.name(),
                place: format!("{:?}/{:?}", witness.tenant, witness.key),
            }),
        }
    }
}

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The migration's key.
    pub migration: String,
    /// The kind of the pass.
    pub kind: v1::PassKind,
    /// Write records that a comparison finds missing or older in the target.
    pub repair: bool,
    /// Delete records that only the target has if they have no version: it is unknown who deleted them in the
    /// source.
    pub remove_extra: bool,
    /// Make the target what the source has, whatever it has instead.
    pub source_wins: bool,
    /// Sides whose tables are other ones than in earlier passes: what those showed no longer counts.
    pub new_tables: Vec<Side>,
    /// Why; kept in the history.
    pub reason: String,
    /// Keeps the values of records that differ, for who may see them. `None`: values are not shown.
    pub values: Option<Values>,
    /// Share of records that a [`v1::PassKind::Sample`] compares.
    pub sample_ppm: u32,
    /// Of stores, mapping, key order, segments and options: workers with another fingerprint do not join.
    pub fingerprint: String,
    /// What the keys of each record type begin with that has a table of its own, in source and target. Empty: there is one
    /// table.
    pub prefixes: [Vec<String>; 2],
    /// Segments, over all workers. At least 1.
    pub segments: u32,
    /// How many of the segments scan the target, the first ones; the others scan the source. 0 in a
    /// [`v1::PassKind::Verify`]: both stores scan in the same order, and are compared side by side. In a
    /// [`v1::PassKind::Full`] they look for records that only the target has, which is little work while it
    /// is empty.
    pub on_target: u32,
    /// Segments that this process works on at a time. At least 1.
    pub parallel: u32,
    /// Concurrent statements for one page. At least 1.
    pub statements: u32,
    /// How long a put that timed out can still land.
    pub residual: Duration,
    /// Initial limits of all workers together.
    pub tuning: v1::Tuning,
    /// Limits of one statement and of the stores' load.
    pub limits: Limits,
    /// Who runs it.
    pub actor: String,
    /// About how many records it reads. `None`: nobody knows.
    pub expected: Option<u64>,
    /// Whether segments of the source are claimed before those of the target. Not for a full pass into a target that
    /// is still empty: later it would be as large as the source.
    pub source_first: bool,
    /// What to show the controller.
    pub access: Access,
    /// The store that is scanned, if it may hold records that its own columns, as the spec has them, would not take
    /// back. `None`: it can't, its server sees to that.
    pub way_back: Option<Arc<StoreSpec>>,
    /// When records expire; `None`: they never do.
    pub ttl: Option<Ttl>,
}

impl Plan {
    /// The same for these stores, as they are. Tables whose keys are not compared byte by byte have an order of their
    /// own: a comparison can't go through both side by side, but looks each store's records up in the other one.
    ///
    /// A checkpoint means something only in the same order and the same segments, so both are part of the fingerprint.
    #[must_use]
    pub fn for_stores(mut self, stores: &Stores) -> Self {
        let orders = [&stores.source, &stores.target].map(|store| store.scan_order());
        let is_beside = self.kind == v1::PassKind::Verify && self.on_target == 0;
        if is_beside && orders.iter().any(|order| *order != ScanOrder::Bytes) {
            self = Self { on_target: 1, segments: 2, statements: (self.parallel / 2).max(1), ..self };
        }
        let orders = orders.map(|order| match order {
            ScanOrder::Bytes => None,
            ScanOrder::Own(order) => Some(order),
        });
        let shape = serde_json::json!([orders, self.segments, self.on_target]).to_string();
        let shape = u64::from_be_bytes(*Sha256::digest(shape).first_chunk().expect("it has 32 bytes"));
        self.fingerprint.push_str(&format!("+{shape:016x}"));
        self
    }

    /// The plan of a spec, for a pass of this kind that repairs nothing.
    pub fn of(spec: &Spec, kind: v1::PassKind, actor: String) -> Self {
        let limits = &spec.limits;
        // Reading one part of a SQLite file reads all of it: more than one part is only more work.
        let is_file = |store: &StoreSpec| matches!(store.url, StoreUrl::Sqlite { .. });
        let parts = |store: &StoreSpec| if is_file(store) { 1 } else { limits.segments };
        // The same holds for a server's table, except for the cost of copying. A comparison looks each page
        // up in the other store, which reads neighbours together; a part of many would have none.
        let in_order = |store: &StoreSpec| store.url.dialect().is_some();
        let whole = |store: &StoreSpec| if in_order(store) { 1 } else { limits.segments };
        let (on_source, on_target) = match kind {
            // What the target has no more is looked for in the source.
            v1::PassKind::Reverse if spec.ttl.is_some() => (whole(&spec.source), parts(&spec.target)),
            v1::PassKind::Reverse | v1::PassKind::Sweep => (0, parts(&spec.target)),
            v1::PassKind::Verify if in_order(&spec.source) && in_order(&spec.target) => (1, 0),
            v1::PassKind::Verify | v1::PassKind::Sample => (whole(&spec.source), whole(&spec.target)),
            _ => (parts(&spec.source), whole(&spec.target)),
        };
        let segments = on_source + on_target;
        // Workers without a segment would be idle. A file has one writer at a time. Searching the target is
        // soon done where it matters.
        let shared = if kind == v1::PassKind::Full { on_source } else { segments };
        let idle = (limits.workers / shared).max(1);
        let statements = match kind {
            v1::PassKind::Reverse if is_file(&spec.source) => 1,
            v1::PassKind::Full if is_file(&spec.target) => 1,
            _ => idle,
        };
        let unless_zero = |ms: u64| if ms == 0 { Duration::MAX } else { Duration::from_millis(ms) };
        Self {
            migration: spec.migration.clone(),
            kind,
            repair: false,
            remove_extra: false,
            source_wins: false,
            new_tables: Vec::new(),
            reason: String::new(),
            values: None,
            sample_ppm: 0,
            fingerprint: spec.fingerprint(),
            prefixes: [&spec.source, &spec.target]
                .map(|store| store.types.iter().map(|it| it.key_prefix.clone()).collect()),
            segments,
            on_target,
            parallel: limits.workers,
            statements,
            residual: Duration::from_millis(spec.residual_ms),
            tuning: v1::Tuning {
                paused: false,
                records_per_s: limits.rows_per_s,
                bytes_per_s: limits.bytes_per_s,
            },
            limits: Limits {
                chunk: Duration::from_millis(limits.chunk_ms),
                chunk_bytes: usize::try_from(limits.chunk_bytes).unwrap_or(usize::MAX),
                latency: unless_zero(limits.latency_ms),
                replica_lag: unless_zero(limits.lag_ms),
                call: if spec.ttl.is_some() { Ttl::CALLS_WITHIN } else { Limits::default().call },
                ..Limits::default()
            },
            actor,
            expected: None,
            source_first: true,
            access: Access::default(),
            // A file takes what its declared types would not, and services and other programs write to it. Whole
            // records come back as they are.
            way_back: (kind == v1::PassKind::Full
                && is_file(&spec.source)
                && spec.source.tables().any(|(_, table)| table.mapping.is_some()))
            .then(|| Arc::new(spec.source.clone())),
            ttl: spec.ttl.clone(),
        }
    }
}

/// How much one statement and the stores should bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A chunk is sized so that writing it takes about this long.
    pub chunk: Duration,
    /// Maximum bytes of a chunk.
    pub chunk_bytes: usize,
    /// The copy pauses while a trivial read of the target takes longer.
    pub latency: Duration,
    /// The copy pauses while a replica lags by more.
    pub replica_lag: Duration,
    /// How long one call to a store may take. The adapters bound each attempt to some seconds.
    pub call: Duration,
    /// How long a store may fail, without saying that it is overloaded, before the pass ends.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: Duration::from_millis(250),
            chunk_bytes: 4 << 20,
            latency: Duration::from_millis(500),
            replica_lag: Duration::from_secs(5),
            call: Duration::from_secs(300),
            patience: Duration::from_secs(60),
        }
    }
}

/// The limits of all workers together: `500 records/s`; empty: none.
pub fn limits(tuning: &v1::Tuning) -> String {
    let limits = [(tuning.records_per_s, "records/s"), (tuning.bytes_per_s, "bytes/s")];
    let limits = limits.into_iter().filter(|(limit, _)| *limit > 0);
    limits.map(|(limit, of)| format!("{limit} {of}")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use cutover_store::{MemoryStore, Record};

    use super::*;

    #[tokio::test]
    async fn a_pass_looks_for_its_witnesses_in_the_store_that_it_writes() {
        const SPEC: &str = "migration = \"orders\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"t\"\n\
                            [target]\nurl = \"sqlite:b.db\"\ntable = \"t\"\n";
        let spec: Spec = SPEC.parse().expect("it is whole");
        let (source, target) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let id = Id::new("acme", "order").expect("it is one");
        let there = |version| Record { version: Version(version), value: Some(Vec::new()) };
        source.insert(id.clone(), there(7));
        target.insert(id, there(6));
        let stores = Stores { source, target, quarantine: None };
        let witness = |version| v1::Witness { tenant: "acme".to_owned(), key: "order".to_owned(), version };
        let check = async |kind, version| {
            let job = v1::Job { witnesses: vec![witness(version)], ..Default::default() };
            match stores.check(&Plan::of(&spec, kind, String::new()), &job).await {
                Ok(()) => "there",
                Err(Error::Replaced { store, .. }) => store,
                Err(other) => panic!("{other:?}"),
            }
        };
        for (kind, store, has) in [
            (v1::PassKind::Full, "target", 6),
            (v1::PassKind::Sweep, "target", 6),
            (v1::PassKind::Reverse, "source", 7),
        ] {
            assert_eq!(check(kind, has - 1).await, "there", "newer by now");
            assert_eq!(check(kind, has).await, "there");
            assert_eq!(check(kind, has + 1).await, store, "older than it was");
        }
    }
}
