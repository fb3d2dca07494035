//! How the records of two stores differ, and which differences are more than a moment between two writes.

use std::{
    cmp::Ordering,
    time::{Duration, UNIX_EPOCH},
};

use cutover_core::{outcome::ErrorClass, routing::Mutation};
use cutover_proto::v1;
use cutover_store::{EPOCH_UNIX_MS, Id, Record, StoreError, Unreadable, Version};
use sha2::{Digest as _, Sha256};

use super::{
    Error, Plan, Stores, attributes, page::Done, place, quarantine::JoinedPass, reads::Read, side::Side,
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
        let half = both.then_some(scanned);
        let mut behind = Vec::new();
        if half == Some(Side::Target) {
            page.retain(|(id, record)| !pass.source_versions.has(id, record.version));
            (page, behind) = self.met_from_target(plan, page).await?;
        }
        let (ids, here): (Vec<Id>, Vec<Read>) =
            page.into_iter().map(|(id, record)| (id.clone(), Ok(Some(record.clone())))).unzip();
        let (source, target) = match scanned {
            Side::Source => {
                let target = self.read(plan, Side::Target, &ids).await?;
                (self.read_again(plan, &ids, here, &target).await?, target)
            }
            Side::Target => (self.read(plan, Side::Source, &ids).await?, here),
        };
        let mut done = Done::default();
        let ids = ids.into_iter().map(|id| (id, ()));
        let mut pairs = done.readable(half, ids, source, target);
        pairs.retain(|(_, (), (source, target))| {
            let from_target = is_met_from_target(source.as_ref(), target.as_ref());
            half.is_none_or(|half| from_target == (half == Side::Target))
        });
        done.counts.compared += pairs.len() as u64;
        let suspects = suspects(plan, pairs);
        self.settle(plan, pass, &mut done, suspects).await?;
        self.settle_behind(plan, pass, &mut done, behind).await?;
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
        let mut counted = Vec::new();
        for (id, pair, difference) in self.persisting(plan, done, suspects).await? {
            if pass.differs(plan, done, &id, &pair, difference).await? {
                counted.push((id, pair, difference));
            }
        }
        self.repair(plan, pass, done, counted).await
    }

    /// Repairs those differences that the plan covers, and counts the others as left.
    pub(super) async fn repair(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        done: &mut Done,
        persisting: Vec<(Id, Pair, Difference)>,
    ) -> Result<(), Error> {
        let mut newer = Vec::new();
        let repairs = plan.repair || plan.kind == v1::PassKind::Sweep;
        for (id, pair, difference) in persisting {
            match pair {
                (Some(source), target) if repairs && difference.is_repaired(&source) => {
                    if target.is_some() || pass.may_add(plan, &id, &source).await? {
                        newer.push((id, source));
                    } else {
                        done.remains(&(Some(source), None), difference);
                    }
                }
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
            for (id, was, (source, target)) in done.readable(None, before, source, target) {
                let Some(difference) = plan.difference(source.as_ref(), target.as_ref()) else { continue };
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

    /// Those of `equal` that differ from what the source has now that the target was read.
    pub(super) async fn outdated(
        &self,
        plan: &Plan,
        done: &mut Done,
        equal: Vec<(Id, Record)>,
    ) -> Result<Vec<(Id, Suspect)>, Error> {
        let (ids, target): (Vec<Id>, Vec<Read>) =
            equal.into_iter().map(|(id, record)| (id, Ok(Some(record)))).unzip();
        let source = self.read(plan, Side::Source, &ids).await?;
        let pairs = done.readable(None, ids.into_iter().map(|id| (id, ())), source, target);
        Ok(suspects(plan, pairs))
    }

    /// The target's records that its own half of a comparison has to judge, and those for which this is unknown; and
    /// in a repair those that the source has newer.
    async fn met_from_target<'a>(
        &self,
        plan: &Plan,
        page: Vec<&'a (Id, Record)>,
    ) -> Result<(Vec<&'a (Id, Record)>, Vec<(Id, Suspect)>), Error> {
        let ids: Vec<Id> = page.iter().map(|(id, _)| id.clone()).collect();
        let there = self.ask(plan, Side::Source, &ids, |store, ids| store.get_versions(ids)).await?;
        let (mut met, mut behind) = (Vec::new(), Vec::new());
        for (place @ (id, record), there) in page.into_iter().zip(there) {
            match there.map(|there| there.cmp(&Some(record.version))) {
                Err(_) | Ok(Ordering::Less) => met.push(place),
                Ok(Ordering::Greater) if plan.source_wins || plan.ttl.is_some() => {
                    behind.push((id.clone(), Suspect::new(Some(record.clone()))));
                }
                Ok(Ordering::Greater | Ordering::Equal) => {}
            }
        }
        Ok((met, behind))
    }

    /// What the source has, once more where it was read too early: before the target, which is newer or, in a repair,
    /// may have got what the source had.
    async fn read_again(
        &self,
        plan: &Plan,
        ids: &[Id],
        mut source: Vec<Read>,
        target: &[Read],
    ) -> Result<Vec<Read>, Error> {
        let all = plan.source_wins && !Mutation::RepairReadsTargetFirst.is_left_out();
        let is_early = |source: &Read, target: &Read| match (source, target) {
            (Ok(source), Ok(target)) => all || is_met_from_target(source.as_ref(), target.as_ref()),
            _ => false,
        };
        let pairs = source.iter().zip(target).enumerate();
        let early: Vec<usize> =
            pairs.filter(|(_, (source, target))| is_early(source, target)).map(|(at, _)| at).collect();
        let of: Vec<Id> = early.iter().map(|at| ids[*at].clone()).collect();
        for (at, again) in early.into_iter().zip(self.read(plan, Side::Source, &of).await?) {
            source[at] = again;
        }
        Ok(source)
    }

    /// Whether a pass that copies meets what can't be read in the target.
    pub(super) async fn is_met_from_source(&self, plan: &Plan, it: &Unreadable) -> Result<bool, Error> {
        // What has no valid id is in no other store.
        let Ok(id) = Id::new(&it.tenant, &it.key) else { return Ok(false) };
        Ok(self.read(plan, Side::Source, &[id]).await?.pop() != Some(Ok(None)))
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

    /// Both records of each pair; reports pairs of which one can't be read. `half`: of a comparison that scans both
    /// stores; the other half reports what is there.
    fn readable<T>(
        &mut self,
        half: Option<Side>,
        given: impl Iterator<Item = (Id, T)>,
        source: Vec<Read>,
        target: Vec<Read>,
    ) -> Vec<(Id, T, Pair)> {
        let mut readable = Vec::with_capacity(source.len());
        for ((id, more), pair) in given.zip(source.into_iter().zip(target)) {
            match pair {
                (Ok(source), Ok(target)) => readable.push((id, more, (source, target))),
                (Err(error), _) if half == Some(Side::Target) && is_there(&error) => {}
                (_, Err(error)) if half == Some(Side::Source) && is_there(&error) => {}
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

/// Pairs that differ, at the first look.
fn suspects(plan: &Plan, pairs: Vec<(Id, (), Pair)>) -> Vec<(Id, Suspect)> {
    let differ = |(source, target): &Pair| plan.difference(source.as_ref(), target.as_ref()).is_some();
    let suspects = pairs.into_iter().filter(|(_, (), pair)| differ(pair));
    suspects.map(|(id, (), (_, target))| (id, Suspect::new(target))).collect()
}

/// Whether a record that can't be read is there. Any other class means that there is no such place.
fn is_there(error: &StoreError) -> bool {
    error.class() == ErrorClass::Serialization
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
        Some(Record { version, value: None }) => match stamped(*version) {
            Some(at) => format!("deleted {at}"),
            None => format!("deleted at version {version}"),
        },
        Some(record) => match stamped(record.version) {
            Some(at) => format!("written {at} ({} bytes)", record.bytes()),
            None => format!("version {} ({} bytes)", record.version, record.bytes()),
        },
    }
}

/// When a version was stamped. `None`: by no SDK.
fn stamped(version: Version) -> Option<String> {
    let ms = version.ms_since_2025();
    let at = UNIX_EPOCH + Duration::from_millis(EPOCH_UNIX_MS + ms);
    (ms > 0).then(|| humantime::format_rfc3339_millis(at).to_string())
}
