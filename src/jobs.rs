//! The batch side: passes over the stores by any number of worker processes.
//!
//! A worker sees the controller over the wire, like any client, and the stores through the SDK's
//! adapters. It claims segments of a job ([`worker`]), goes through each page by page ([`segment`]),
//! copying or comparing ([`page`]), at a pace that its stores bear ([`pace`], [`pressure`]).
//! A worker is an instance: it holds an operation from reading a page to having written it, so that
//! no barrier settles in between.

mod beside;
mod compare;
mod identity;
pub mod pace;
pub mod page;
mod patience;
pub mod pressure;
mod quarantine;
pub mod sample;
pub mod segment;
mod unversioned;
pub mod worker;

use std::{sync::Arc, time::Duration};

use cutover_client::{
    ConnectError,
    spec::{Spec, StoreSpec, StoreUrl},
    store::{Id, Store, StoreError, Version},
};
use cutover_proto::v1;
use tonic::Status;

/// The stores of a migration.
#[derive(Clone)]
pub struct Stores {
    /// From where records move.
    pub source: Arc<dyn Store>,
    /// To where they move.
    pub target: Arc<dyn Store>,
    /// Where records are kept, with the reason, that do not fit. `None`: the first one ends the pass.
    pub quarantine: Option<Arc<dyn Store>>,
}

impl Stores {
    /// About how many records a pass looks at. `None`: a store does not tell.
    pub async fn expected(&self, kind: v1::PassKind) -> Option<u64> {
        let records = async |store: &Arc<dyn Store>| store.estimate().await.ok()?.records;
        match kind {
            v1::PassKind::Reverse | v1::PassKind::Sweep => records(&self.target).await,
            v1::PassKind::Verify | v1::PassKind::Sample => {
                Some(records(&self.source).await? + records(&self.target).await?)
            }
            _ => records(&self.source).await,
        }
    }

    /// What lies before a checkpoint is not looked at again: a store without what the pass has left in
    /// it is another one.
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

/// What is to be done, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose stores these are.
    pub migration: String,
    /// How the pass goes.
    pub kind: v1::PassKind,
    /// Write what a comparison finds missing or older in the target.
    pub repair: bool,
    /// Delete what only the target has and has no version: nobody knows who deleted it in the source.
    pub remove_extra: bool,
    /// Why; kept in the history.
    pub reason: String,
    /// Share of records that a [`v1::PassKind::Sample`] compares.
    pub sample_ppm: u32,
    /// Of stores, mapping and options: workers with another one don't join.
    pub fingerprint: String,
    /// Parts that are worked on at once, over all workers. At least 1.
    pub segments: u32,
    /// Those of them that scan the target, the first ones; the others scan the source. 0 of a
    /// [`v1::PassKind::Verify`]: both stores scan in one order, and are compared side by side. Of a
    /// [`v1::PassKind::Full`]: they look for what only the target has, which is little if it is empty yet.
    pub on_target: u32,
    /// Parts that this process works on at once. At least 1.
    pub parallel: u32,
    /// Statements of one page that are sent at once. At least 1.
    pub statements: u32,
    /// For which a put that timed out can still land.
    pub residual: Duration,
    /// Limits of all workers together, at the beginning.
    pub tuning: v1::Tuning,
    /// Limits of one statement and of the stores' pressure.
    pub limits: Limits,
    /// Who runs it.
    pub actor: String,
}

impl Plan {
    /// What a spec asks for, for a pass of this kind that repairs nothing.
    pub fn of(spec: &Spec, kind: v1::PassKind, actor: String) -> Self {
        let limits = &spec.limits;
        // A part of a SQLite file is read by reading all of it: more than one part is only more work.
        let is_file = |store: &StoreSpec| matches!(store.url, StoreUrl::Sqlite { .. });
        let parts = |store: &StoreSpec| if is_file(store) { 1 } else { limits.segments };
        // So it is of a server's table, but for what its copies cost. A comparison looks each page up in
        // the other store, which takes neighbours in one go: a part of many would have none.
        let in_order = |store: &StoreSpec| store.url.dialect().is_some();
        let whole = |store: &StoreSpec| if in_order(store) { 1 } else { limits.segments };
        let (on_source, on_target) = match kind {
            v1::PassKind::Reverse | v1::PassKind::Sweep => (0, parts(&spec.target)),
            v1::PassKind::Verify if in_order(&spec.source) && in_order(&spec.target) => (1, 0),
            v1::PassKind::Verify | v1::PassKind::Sample => (whole(&spec.source), whole(&spec.target)),
            _ => (parts(&spec.source), whole(&spec.target)),
        };
        let segments = on_source + on_target;
        // Workers that have no segment of their own would be idle. A file has one writer at a time. What is
        // looked for in the target is soon done, where it matters.
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
            reason: String::new(),
            sample_ppm: 0,
            fingerprint: spec.fingerprint(),
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
                ..Limits::default()
            },
            actor,
        }
    }
}

/// What one statement and the stores should bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A chunk is made so large that it is written in about this time.
    pub chunk: Duration,
    /// And no larger than this.
    pub chunk_bytes: usize,
    /// A trivial read of the target that takes longer pauses the copy.
    pub latency: Duration,
    /// A replica that is further behind pauses the copy.
    pub replica_lag: Duration,
    /// A store that fails, but does not say that it is overloaded, may do so for this long.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: Duration::from_millis(250),
            chunk_bytes: 4 << 20,
            latency: Duration::from_millis(500),
            replica_lag: Duration::from_secs(5),
            patience: Duration::from_secs(60),
        }
    }
}

/// Why a pass did not end. What it did stays; run it again and it goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The worker could not register.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The controller would not have it, or is gone for too long.
    #[error("{}", .0.message())]
    Controller(Box<Status>),
    /// A store failed for too long, or for good.
    #[error("the {store}: {error}; what was done stays, run it again and it goes on")]
    Store {
        /// `source`, `target` or `quarantine`.
        store: &'static str,
        /// What it said.
        error: StoreError,
    },
    /// A record does not move, and there is no place to keep it apart.
    #[error(
        "the {store}: record {place}: {error}; correct it, or let --create-tables make a quarantine table \
         for such records, then run it again"
    )]
    NoQuarantine {
        /// `source` or `target`: where it can't be read or written.
        store: &'static str,
        /// Tenant and key.
        place: String,
        /// What is wrong.
        error: StoreError,
    },
    /// Somebody made its table anew, or emptied it, or went back to a backup.
    #[error(
        "{job} left {place} in the {store}, which lacks it or has it older now: was its table made anew, or a \
         backup restored? End that pass with cutover cancel {job}, then run this again"
    )]
    Replaced {
        /// The pass.
        job: String,
        /// `source` or `target`: the one that it writes.
        store: &'static str,
        /// Tenant and key of what is missing.
        place: String,
    },
    /// Its table is another one than the other workers have.
    #[error(
        "{job} {verb} {pass}, but this worker has {has}: give all workers the same region, account and address. \
         If the table was made anew, end the pass with cutover cancel {job}, then run this again"
    )]
    OtherTable {
        /// The pass.
        job: String,
        /// `scans` or `writes`: what it does with that table.
        verb: &'static str,
        /// This worker's table.
        has: String,
        /// The pass's.
        pass: String,
    },
    /// Both urls lead to one table.
    #[error("the source and the target are the same table, {0}: correct the spec")]
    SameTable(String),
    /// The controller had taken this worker for dead: what it did since is not vouched for.
    #[error("the controller had removed this worker (evicted, or cut off for too long): run it again")]
    Overtaken,
    /// Ctrl-C, or the like.
    #[error("stopped; run it again and it goes on where it was")]
    Stopped,
}

// Not as its source: the message says all of it.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Controller(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use cutover_client::store::{MemoryStore, Record};

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
