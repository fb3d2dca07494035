//! How the records of two stores differ, and which differences are more than a moment between two writes.

use std::time::Duration;

use cutover_core::{outcome::ErrorClass, routing::Mutation};
use cutover_proto::v1;
use cutover_store::{Id, Record, Store, StoreError, Unreadable, Version};
use futures::future::{self, BoxFuture};
use sha2::{Digest as _, Sha256};

use super::{
    Error, Plan, Stores, attributes,
    page::Done,
    place,
    quarantine::{JoinedPass, is_misfit},
    side::Side,
};

/// Interval between re-reads of a difference, and how many of them it has to persist through.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const AGAIN_TIMES: u32 = 3;
/// A record that changes in more re-reads than this is not different but frequently written.
const HOT_AFTER: u32 = 10;

/// How two records differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Only the source has it.
    Missing,
    /// The target's record is older.
    Stale,
    /// The target's record is newer.
    Ahead,
    /// Only the target has it.
    Extra,
    /// Same version, different content.
    Different,
}

/// A question to a store about many ids, and its answer for each.
type Question<T> = for<'a> fn(&'a dyn Store, &'a [Id]) -> BoxFuture<'a, Result<Vec<Option<T>>, StoreError>>;
type Answer<T> = Result<Option<T>, StoreError>;
type Read = Answer<Record>;
pub(super) type Pair = (Option<Record>, Option<Record>);

/// A possible difference: the target's record, and in how many looks it did not change.
pub(super) struct Suspect {
    target: Option<Record>,
    times: u32,
}

impl Suspect {
    /// Seen once, which does not count yet.
    pub(super) const fn new(target: Option<Record>) -> Self {
        Self { target, times: 0 }
    }
}

impl Stores {
    pub(super) async fn compare(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        scanned: Side,
        page: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let wanted = |id: &Id| plan.kind != v1::PassKind::Sample || is_sampled(id, plan.sample_ppm);
        let mut page: Vec<&(Id, Record)> = page.iter().filter(|(id, _)| wanted(id)).collect();
        // A comparison of both stores meets records that both have from the source's side.
        let both = plan.kind != v1::PassKind::Sweep;
        if both && scanned == Side::Target {
            page = self.met_from_target(plan, page).await?;
        }
        let (ids, here): (Vec<Id>, Vec<Read>) =
            page.into_iter().map(|(id, record)| (id.clone(), Ok(Some(record.clone())))).unzip();
        let (source, target) = match scanned {
            Side::Source => {
                let target = self.read(plan, Side::Target, &ids).await?;
                let is_outdated = plan.source_wins && !Mutation::RepairReadsTargetFirst.is_left_out();
                (if is_outdated { self.read(plan, Side::Source, &ids).await? } else { here }, target)
            }
            Side::Target => (self.read(plan, Side::Source, &ids).await?, here),
        };
        let mut done = Done::default();
        let ids = ids.into_iter().map(|id| (id, ()));
        let mut pairs = done.readable(both && scanned == Side::Target, ids, source, target);
        pairs.retain(|(_, (), (source, target))| {
            !both || (scanned == Side::Target) == is_met_from_target(source.as_ref(), target.as_ref())
        });
        done.counts.compared += pairs.len() as u64;
        let suspects = pairs
            .into_iter()
            .filter(|(_, (), (source, target))| Difference::of(source.as_ref(), target.as_ref()).is_some())
            .map(|(id, (), (_, target))| (id, Suspect::new(target)))
            .collect();
        self.settle(plan, pass, &mut done, suspects).await?;
        Ok(done)
    }

    /// Reports persistent differences, and repairs those that the plan covers.
    pub(super) async fn settle(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        done: &mut Done,
        suspects: Vec<(Id, Suspect)>,
    ) -> Result<(), Error> {
        let mut newer = Vec::new();
        let repairs = plan.repair || plan.kind == v1::PassKind::Sweep;
        for (id, pair, difference) in self.persisting(plan, done, suspects).await? {
            if !pass.differs(plan, done, &id, &pair, difference).await? {
                continue;
            }
            match pair {
                (Some(source), _) if repairs && difference.is_repaired(&source) => newer.push((id, source)),
                (None, Some(ref target)) if plan.remove_extra && target.version == Version::ZERO => {
                    if self.remove_extra(plan, pass, &id, done).await? {
                        done.counts.copied += 1;
                    } else {
                        done.remains(&pair, difference);
                    }
                }
                _ if plan.source_wins && self.overwrite(plan, pass, &id, done).await? => {}
                _ => done.remains(&pair, difference),
            }
        }
        let mut copied = self.copy(plan, pass, Side::Target, &newer).await?;
        let mut behind = std::mem::take(&mut copied.behind);
        done.add(copied);
        if plan.source_wins {
            // A ledger keeps out what is older than an entry whose row another program has deleted.
            for id in std::mem::take(&mut behind) {
                if !self.overwrite(plan, pass, &id, done).await? {
                    behind.push(id);
                }
            }
        }
        self.report_kept_out(plan, pass, Side::Target, done, behind).await
    }

    /// The differences that are still there after several re-reads during which the target did not change.
    pub(super) async fn persisting(
        &self,
        plan: &Plan,
        done: &mut Done,
        mut suspects: Vec<(Id, Suspect)>,
    ) -> Result<Vec<(Id, Pair, Difference)>, Error> {
        let mut persisting = Vec::new();
        for _ in 0..HOT_AFTER {
            if suspects.is_empty() {
                break;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
            done.waited += AGAIN_AFTER;
            let ids: Vec<Id> = suspects.iter().map(|(id, _)| id.clone()).collect();
            // The target first: a write in between is then newer in the source, not ahead.
            let target = self.read(plan, Side::Target, &ids).await?;
            let source = self.read(plan, Side::Source, &ids).await?;
            let before = std::mem::take(&mut suspects).into_iter();
            for (id, was, (source, target)) in done.readable(false, before, source, target) {
                let Some(difference) = Difference::of(source.as_ref(), target.as_ref()) else { continue };
                let times = if was.target == target { was.times + 1 } else { 1 };
                if times >= AGAIN_TIMES {
                    persisting.push((id, (source, target), difference));
                } else {
                    suspects.push((id, Suspect { target, times }));
                }
            }
        }
        Ok(persisting)
    }

    /// Those of `pairs`, which looked equal, that differ from what the source has now that the target was read.
    pub(super) async fn outdated(
        &self,
        plan: &Plan,
        done: &mut Done,
        equal: Vec<(Id, Record)>,
    ) -> Result<Vec<(Id, Suspect)>, Error> {
        let (ids, target): (Vec<Id>, Vec<Read>) =
            equal.into_iter().map(|(id, record)| (id, Ok(Some(record)))).unzip();
        let source = self.read(plan, Side::Source, &ids).await?;
        let pairs = done.readable(false, ids.into_iter().map(|id| (id, ())), source, target);
        let differ = pairs
            .into_iter()
            .filter(|(_, (), (source, target))| Difference::of(source.as_ref(), target.as_ref()).is_some());
        Ok(differ.map(|(id, (), (_, target))| (id, Suspect::new(target))).collect())
    }

    /// The target's records that its own half of a comparison has to judge, and those for which this is unknown.
    async fn met_from_target<'a>(
        &self,
        plan: &Plan,
        page: Vec<&'a (Id, Record)>,
    ) -> Result<Vec<&'a (Id, Record)>, Error> {
        let ids: Vec<Id> = page.iter().map(|(id, _)| id.clone()).collect();
        let there = self.ask(plan, Side::Source, &ids, |store, ids| store.get_versions(ids)).await?;
        let asked = page.into_iter().zip(there);
        let is_met = |record: &Record, there: &Answer<Version>| {
            there.as_ref().map_or(true, |version| *version < Some(record.version))
        };
        Ok(asked.filter(|((_, record), there)| is_met(record, there)).map(|(record, _)| record).collect())
    }

    /// Whether the source's half of a comparison meets what can't be read in the target.
    pub(super) async fn is_met_from_source(
        &self,
        plan: &Plan,
        scanned: Side,
        it: &Unreadable,
    ) -> Result<bool, Error> {
        if plan.kind == v1::PassKind::Sweep || scanned == Side::Source {
            return Ok(false);
        }
        // What has no valid id is in no other store.
        let Ok(id) = Id::new(&it.tenant, &it.key) else { return Ok(false) };
        Ok(self.read(plan, Side::Source, &[id]).await?.pop() != Some(Ok(None)))
    }

    /// Each record, or why it alone can't be read.
    pub(super) async fn read(&self, plan: &Plan, side: Side, ids: &[Id]) -> Result<Vec<Read>, Error> {
        self.ask(plan, side, ids, |store, ids| store.get_many(ids)).await
    }

    /// In as many concurrent statements as the plan has.
    pub(super) async fn ask<T>(
        &self,
        plan: &Plan,
        side: Side,
        ids: &[Id],
        question: Question<T>,
    ) -> Result<Vec<Answer<T>>, Error> {
        let parts = plan.parts(ids).map(|part| self.ask_part(side, part, question));
        Ok(future::try_join_all(parts).await?.into_iter().flatten().collect())
    }

    async fn ask_part<T>(
        &self,
        side: Side,
        ids: &[Id],
        question: Question<T>,
    ) -> Result<Vec<Answer<T>>, Error> {
        let mut read = Vec::with_capacity(ids.len());
        // Halves of a batch that could not be read, in order, down to the record at fault.
        let mut left = vec![ids];
        while let Some(part) = left.pop() {
            match question(self.side(side), part).await {
                Ok(records) => read.extend(records.into_iter().map(Ok)),
                Err(error) if !is_misfit(&error) => {
                    return Err(Error::Store { store: side.name(), error });
                }
                Err(error) if part.len() <= 1 => read.push(Err(error)),
                Err(_) => {
                    let (one, other) = part.split_at(part.len() / 2);
                    left.extend([other, one]);
                }
            }
        }
        Ok(read)
    }
}

impl Done {
    /// Counts a persistent difference.
    pub(super) fn differs(&mut self, plan: &Plan, id: &Id, pair: &Pair, difference: Difference) {
        let (source, target) = (pair.0.as_ref(), pair.1.as_ref());
        add(self.counts.found.get_or_insert_default(), target, difference);
        let (name, names) = (difference.name(), attributes::names(source, target));
        let place = format!("{name} {}", place(&id.tenant, &id.key));
        if let Some(values) = &plan.values {
            values.keep(&place, source, target);
        }
        let mut example = format!("{place}: source {}, target {}", shown(source), shown(target));
        if !names.is_empty() {
            example.push_str(&format!(", which differ{names}"));
        }
        // An older record differs in whatever was written since.
        let what =
            if difference == Difference::Different { format!("{name}{names}") } else { name.to_owned() };
        self.findings.add(what, example);
    }

    /// Counts one that is not repaired.
    pub(super) fn remains(&mut self, (_, target): &Pair, difference: Difference) {
        add(self.counts.remaining.get_or_insert_default(), target.as_ref(), difference);
    }

    /// Both records of each pair; reports pairs of which one can't be read. `met`: what is in the source is
    /// met from there.
    fn readable<T>(
        &mut self,
        met: bool,
        given: impl Iterator<Item = (Id, T)>,
        source: Vec<Read>,
        target: Vec<Read>,
    ) -> Vec<(Id, T, Pair)> {
        let mut readable = Vec::with_capacity(source.len());
        for ((id, more), pair) in given.zip(source.into_iter().zip(target)) {
            match pair {
                (Ok(source), Ok(target)) => readable.push((id, more, (source, target))),
                // It is there. Any other class means that there is no such place.
                (Err(error), _) if met && error.class() == ErrorClass::Serialization => {}
                (Err(error), _) => self.unreadable(Side::Source, &id.tenant, &id.key, &error),
                (_, Err(error)) => self.unreadable(Side::Target, &id.tenant, &id.key, &error),
            }
        }
        readable
    }
}

impl Difference {
    /// Compares what both stores have. A tombstone that only the target has is no difference: neither side
    /// has a record. One that only the source has is: a late copy could bring the deleted record back.
    pub(super) fn of(source: Option<&Record>, target: Option<&Record>) -> Option<Self> {
        match (source, target) {
            (None, None) => None,
            (Some(_), None) => Some(Self::Missing),
            (None, Some(target)) => (!target.is_tombstone()).then_some(Self::Extra),
            (Some(source), Some(target)) if source.version > target.version => Some(Self::Stale),
            (Some(source), Some(target)) if source.version < target.version => Some(Self::Ahead),
            (Some(source), Some(target)) => (source.value != target.value).then_some(Self::Different),
        }
    }

    /// Whether a repair writes the source's record. If neither has a version, only passes wrote the target's.
    fn is_repaired(self, source: &Record) -> bool {
        match self {
            Self::Missing | Self::Stale => true,
            Self::Different => source.version == Version::ZERO,
            Self::Ahead | Self::Extra => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Ahead => "ahead",
            Self::Extra => "extra",
            Self::Different => "different",
        }
    }
}

fn add(differences: &mut v1::Differences, target: Option<&Record>, difference: Difference) {
    if difference == Difference::Extra && target.is_some_and(|it| it.version == Version::ZERO) {
        differences.unversioned += 1;
    }
    let count = match difference {
        Difference::Missing => &mut differences.missing,
        Difference::Stale => &mut differences.stale,
        Difference::Ahead => &mut differences.ahead,
        Difference::Extra => &mut differences.extra,
        Difference::Different => &mut differences.different,
    };
    *count += 1;
}

/// Whether the target's half of a comparison of both stores judges a pair. It has to judge what the target has newer,
/// too: the source may have got its record only after its own half had passed that place.
fn is_met_from_target(source: Option<&Record>, target: Option<&Record>) -> bool {
    source.map(|it| it.version) < target.map(|it| it.version)
}

/// The same records in every pass, so that a difference is found again.
fn is_sampled(id: &Id, sample_ppm: u32) -> bool {
    let mut hash = Sha256::new();
    hash.update((id.tenant.len() as u64).to_be_bytes());
    hash.update(&id.tenant);
    hash.update(&id.key);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    (u64::from(u32::from_be_bytes([a, b, c, d])) * 1_000_000) >> 32 < u64::from(sample_ppm)
}

/// A record without its content.
fn shown(record: Option<&Record>) -> String {
    match record {
        None => "has none".to_owned(),
        Some(Record { version, value: None }) => format!("deleted at version {version}"),
        Some(record) => format!("version {} ({} bytes)", record.version, record.bytes()),
    }
}
