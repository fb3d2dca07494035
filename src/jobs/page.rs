//! What is done with one page of a scan: copied, or compared and perhaps repaired.
//!
//! Everything here may be repeated: a page that failed half-way is given again as a whole.

use std::time::Duration;

use cutover_client::{
    report::ErrorClass,
    store::{Copied, Id, Record, Segment, Store, StoreError},
};
use cutover_proto::v1;

use super::{Error, Plan, Stores};

/// Between re-reads of a difference, and how often it has to be seen again to count.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const AGAIN_TIMES: u32 = 3;
/// A record that changes faster than this many re-reads is not different, it is hot.
const HOT_AFTER: u32 = 10;
/// Most differences that one page shows.
const SAMPLES_MAX: usize = 10;

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From where records move.
    Source,
    /// To where they move.
    Target,
}

/// How two records differ; `None` of either: it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the source has it.
    Missing,
    /// The target's is older.
    Stale,
    /// The target's is newer.
    Ahead,
    /// Only the target has it.
    Extra,
    /// One version, two contents.
    Different,
}

/// What came of a page.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// In records.
    pub counts: v1::PassCounts,
    /// Differences, values redacted.
    pub samples: Vec<String>,
}

impl Side {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

impl Plan {
    /// Which store a segment of the job scans, and which part of it. A comparison goes over both
    /// stores: its first half of segments over the source, the second over the target.
    pub(super) fn scans(&self, segment: u32, of: u32) -> (Side, Segment) {
        match self.kind {
            v1::PassKind::Verify | v1::PassKind::Sample if of > 1 => {
                let half = of / 2;
                match segment < half {
                    true => (Side::Source, Segment { index: segment, of: half }),
                    false => (Side::Target, Segment { index: segment - half, of: of - half }),
                }
            }
            v1::PassKind::Reverse | v1::PassKind::Sweep => (Side::Target, Segment { index: segment, of }),
            _ => (Side::Source, Segment { index: segment, of }),
        }
    }
}

impl Stores {
    /// One of them.
    pub(super) fn side(&self, side: Side) -> &dyn Store {
        match side {
            Side::Source => &*self.source,
            Side::Target => &*self.target,
        }
    }

    /// Does to a page what the plan says.
    pub(super) async fn page(
        &self,
        plan: &Plan,
        scanned: Side,
        records: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let mut done = match plan.kind {
            v1::PassKind::Verify | v1::PassKind::Sweep | v1::PassKind::Sample => {
                self.compare(plan, scanned, records).await?
            }
            _ => {
                self.copy(if scanned == Side::Source { Side::Target } else { Side::Source }, records).await?
            }
        };
        done.counts.scanned = records.len() as u64;
        done.counts.bytes = records.iter().map(|(id, record)| (id.bytes() + record.bytes()) as u64).sum();
        Ok(done)
    }

    /// Writes what is newer. What does not fit is quarantined, one by one.
    async fn copy(&self, to: Side, records: &[(Id, Record)]) -> Result<Done, Error> {
        let mut done = Done::default();
        // Halves of a refused batch, down to the one record that does not fit.
        let mut left = vec![records];
        while let Some(batch) = left.pop() {
            let error = match self.side(to).put_many_if_newer(batch).await {
                Ok(copied) => {
                    copied.iter().for_each(|copied| match copied {
                        Copied::Written => done.counts.copied += 1,
                        Copied::Present => done.counts.present += 1,
                        Copied::Stale(_) => done.counts.stale += 1,
                    });
                    continue;
                }
                Err(error) if is_misfit(&error) => error,
                Err(error) => return Err(Error::Store { store: to.name(), error }),
            };
            match batch {
                [] => {}
                [(id, record)] => {
                    self.quarantine(to, id, record, &error).await?;
                    done.counts.quarantined += 1;
                    done.show(format!("quarantined {}: {error}", named(id)));
                }
                more => {
                    let (one, other) = more.split_at(more.len() / 2);
                    left.extend([other, one]);
                }
            }
        }
        Ok(done)
    }

    /// Keeps a record that does not fit, with the reason; without such a place the pass ends.
    async fn quarantine(&self, to: Side, id: &Id, record: &Record, error: &StoreError) -> Result<(), Error> {
        let Some(quarantine) = &self.quarantine else {
            return Err(Error::Store { store: to.name(), error: error.clone() });
        };
        let value = record.value.as_ref().map(|value| String::from_utf8_lossy(value));
        let kept = serde_json::json!({ "reason": error.to_string(), "value": value });
        let record = Record { version: record.version, value: Some(kept.to_string().into_bytes()) };
        let put = quarantine.put_if_newer(id, &record).await;
        put.map_err(|error| Error::Store { store: "quarantine", error })?;
        Ok(())
    }

    async fn compare(&self, plan: &Plan, scanned: Side, page: &[(Id, Record)]) -> Result<Done, Error> {
        let wanted = |id: &Id| plan.kind != v1::PassKind::Sample || is_sampled(id, plan.sample_ppm);
        let (ids, here): (Vec<Id>, Vec<Option<Record>>) = page
            .iter()
            .filter(|(id, _)| wanted(id))
            .map(|(id, record)| (id.clone(), Some(record.clone())))
            .unzip();
        let (source, target) = match scanned {
            Side::Source => (here, self.read(Side::Target, &ids).await?),
            Side::Target => (self.read(Side::Source, &ids).await?, here),
        };
        let pairs = ids.into_iter().zip(source.into_iter().zip(target));
        // A comparison over both stores meets what both have from the source's side.
        let met = |source: &Option<Record>| {
            plan.kind == v1::PassKind::Sweep || scanned == Side::Source || source.is_none()
        };
        let suspects = pairs
            .filter(|(_, (source, target))| {
                met(source) && Difference::of(source.as_ref(), target.as_ref()).is_some()
            })
            .map(|(id, (_, target))| (id, target))
            .collect();
        let mut done = Done::default();
        for (id, source, target, difference) in self.persisting(suspects).await? {
            add(done.counts.found.get_or_insert_default(), difference);
            done.show(format!(
                "{} {}: source {}, target {}",
                difference.name(),
                named(&id),
                shown(source.as_ref()),
                shown(target.as_ref())
            ));
            let repairs = plan.repair || plan.kind == v1::PassKind::Sweep;
            let newer = matches!(difference, Difference::Missing | Difference::Stale);
            if let Some(record) = source.filter(|_| repairs && newer) {
                let repaired = self.copy(Side::Target, &[(id, record)]).await?;
                done.counts.copied += repaired.counts.copied;
                done.counts.quarantined += repaired.counts.quarantined;
            } else {
                add(done.counts.remaining.get_or_insert_default(), difference);
            }
        }
        Ok(done)
    }

    /// Those that are different still when read again and again, while the target did not move.
    async fn persisting(
        &self,
        mut suspects: Vec<(Id, Option<Record>)>,
    ) -> Result<Vec<(Id, Option<Record>, Option<Record>, Difference)>, Error> {
        let mut persisting = Vec::new();
        let mut seen = vec![0; suspects.len()];
        for _ in 0..HOT_AFTER {
            if suspects.is_empty() {
                break;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
            let ids: Vec<Id> = suspects.iter().map(|(id, _)| id.clone()).collect();
            // The target first: a write that comes between is newer in the source then, not ahead.
            let target = self.read(Side::Target, &ids).await?;
            let source = self.read(Side::Source, &ids).await?;
            let before = std::mem::take(&mut suspects).into_iter().zip(std::mem::take(&mut seen));
            for (((id, was), times), (source, target)) in before.zip(source.into_iter().zip(target)) {
                let Some(difference) = Difference::of(source.as_ref(), target.as_ref()) else { continue };
                let times = if was == target { times + 1 } else { 1 };
                if times >= AGAIN_TIMES {
                    persisting.push((id, source, target, difference));
                } else {
                    suspects.push((id, target));
                    seen.push(times);
                }
            }
        }
        Ok(persisting)
    }

    async fn read(&self, side: Side, ids: &[Id]) -> Result<Vec<Option<Record>>, Error> {
        let failed = |error| Error::Store { store: side.name(), error };
        self.side(side).get_many(ids).await.map_err(failed)
    }
}

impl Difference {
    /// Of what both stores have. A tombstone that only the target has is none: nothing is there on
    /// either side. One that only the source has is: a late copy could bring the dead back.
    pub fn of(source: Option<&Record>, target: Option<&Record>) -> Option<Self> {
        match (source, target) {
            (None, None) => None,
            (Some(_), None) => Some(Self::Missing),
            (None, Some(target)) => (!target.is_tombstone()).then_some(Self::Extra),
            (Some(source), Some(target)) if source.version > target.version => Some(Self::Stale),
            (Some(source), Some(target)) if source.version < target.version => Some(Self::Ahead),
            (Some(source), Some(target)) => (source.value != target.value).then_some(Self::Different),
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

impl Done {
    fn show(&mut self, line: String) {
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(line);
        }
    }
}

const fn add(differences: &mut v1::Differences, difference: Difference) {
    let count = match difference {
        Difference::Missing => &mut differences.missing,
        Difference::Stale => &mut differences.stale,
        Difference::Ahead => &mut differences.ahead,
        Difference::Extra => &mut differences.extra,
        Difference::Different => &mut differences.different,
    };
    *count += 1;
}

/// Is it the record's fault, and not the store's?
const fn is_misfit(error: &StoreError) -> bool {
    let StoreError::Permanent { class, .. } = error else { return false };
    matches!(class, ErrorClass::Constraint | ErrorClass::Serialization)
}

/// The same records in every pass, so that a difference found once is found again.
fn is_sampled(id: &Id, sample_ppm: u32) -> bool {
    let buckets = 1_000_000 / sample_ppm.clamp(1, 1_000_000);
    Segment { index: 0, of: buckets.max(1) }.contains(id)
}

fn named(id: &Id) -> String {
    format!("{:?}/{:?}", id.tenant, id.key)
}

/// A record without what is in it.
fn shown(record: Option<&Record>) -> String {
    match record {
        None => "has none".to_owned(),
        Some(Record { version, value: None }) => format!("deleted at version {version}"),
        Some(record) => format!("version {} ({} bytes)", record.version, record.bytes()),
    }
}
