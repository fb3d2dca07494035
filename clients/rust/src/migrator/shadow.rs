//! Background comparisons: does the target have what the source answered?

use std::{sync::Arc, time::Duration};

use super::{Inner, calls::Calls};
use crate::{
    report::{Event, StoreRole},
    routing::PPM,
    store::{Id, Record, StoreError, Version},
    watch::Operation,
};

/// A difference must persist this long; otherwise it was only a write in flight.
const PERSISTS_MS: u64 = 100;

/// Compares, for the policy's share of reads. `source` is what the caller gets.
///
/// A comparison holds no operation: it writes nothing and answers nobody, so no step has to wait for it. It
/// counts only while the tenant is still at the revision that it was read under.
pub(super) fn sample(inner: &Arc<Inner>, operation: &Operation, id: &Id, source: Option<&Record>) {
    let share_ppm = operation.policy.shadow_ppm;
    if share_ppm == 0 || (share_ppm < PPM && rand::random_range(0..PPM) >= share_ppm) {
        return;
    }
    let Ok(permit) = inner.shadows.clone().try_acquire_owned() else { return };
    let (inner, id, source) = (inner.clone(), id.clone(), source.cloned());
    let (revision, standing) = (operation.decision.revision, operation.standing());
    tokio::spawn(async move {
        let mut calls = Calls::new(inner, &id.tenant, revision, standing);
        // A store's failure is counted with its calls; there is nothing to compare then.
        if let Ok(compared) = compare(&mut calls, &id, source).await
            && calls.inner.revision(&id.tenant) == revision
        {
            calls.count(Event::Compared);
            match compared {
                Compared::Same => {}
                Compared::Lacking => calls.count(Event::Lacking),
                Compared::Different => calls.count(Event::Mismatch),
            }
        }
        drop(permit);
    });
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Same,
    /// The target has no record where the source has one, or an older one. Both are normal until a pass has copied
    /// what was written while the tenant was at source-only.
    Lacking,
    Different,
}

impl Compared {
    /// Compares with a target that has nothing, not even a tombstone. A deleted record is not lacking.
    fn to_nothing(source: Option<&Record>) -> Self {
        if source.is_some_and(|source| !source.is_tombstone()) { Self::Lacking } else { Self::Same }
    }
}

async fn compare(calls: &mut Calls, id: &Id, source: Option<Record>) -> Result<Compared, StoreError> {
    let target = calls.get(StoreRole::Target, id).await;
    // The source has answered, or there would be no comparison.
    calls.paired(Some(false), Some(target.is_err()));
    let inner = calls.inner.clone();
    let there = |record: &Record| !inner.is_expired(record);
    let source = source.filter(there);
    let Some(target) = target?.filter(there) else { return Ok(Compared::to_nothing(source.as_ref())) };
    if source.as_ref() == Some(&target) {
        return Ok(Compared::Same);
    }
    tokio::time::sleep(Duration::from_millis(PERSISTS_MS)).await;
    let Some(target) = calls.get(StoreRole::Target, id).await?.filter(there) else {
        return Ok(Compared::to_nothing(source.as_ref()));
    };
    let again = calls.get(StoreRole::Source, id).await;
    calls.paired(Some(again.is_err()), Some(false));
    Ok(persistent(source.as_ref(), &target, again?.filter(there).as_ref()))
}

/// How the stores differ permanently. `source` was read `PERSISTS_MS` before the target, `again` after
/// it. So a record that is written all the time does not differ: the target only needs what the source had
/// before, and nothing that the source does not have yet.
fn persistent(source: Option<&Record>, target: &Record, again: Option<&Record>) -> Compared {
    let version = |record: Option<&Record>| record.map_or(Version::ZERO, |record| record.version);
    if target.version < version(source) {
        return Compared::Lacking;
    }
    let leads = again.is_none() || target.version > version(again);
    let same_version = |record: &&Record| record.version == target.version;
    let other_value = again.filter(same_version).is_some_and(|again| again.value != target.value);
    if leads || other_value { Compared::Different } else { Compared::Same }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u64, value: &str) -> Option<Record> {
        Some(Record { version: Version(version), value: Some(value.into()) })
    }

    #[test]
    fn only_what_stays_different_differs() {
        let cases = [
            // the source first, then the target, then the source again
            (record(1, "a"), record(1, "a"), record(1, "a"), Compared::Same),
            (record(2, "b"), record(2, "b"), record(9, "z"), Compared::Same), // the source moved on
            (record(1, "a"), record(2, "b"), record(2, "b"), Compared::Same), // both moved on
            (record(2, "b"), record(1, "a"), record(2, "b"), Compared::Lacking), // no pass has copied it yet
            (record(1, "a"), record(2, "b"), record(1, "a"), Compared::Different), // the target is ahead
            (record(1, "a"), record(1, "x"), record(1, "a"), Compared::Different), // same version, another value
            (None, record(1, "a"), None, Compared::Different),
            (None, record(1, "a"), record(1, "a"), Compared::Same), // written meanwhile
        ];
        for (source, target, again, expected) in cases {
            let found = persistent(source.as_ref(), &target.clone().expect("some"), again.as_ref());
            assert_eq!(found, expected, "{source:?} {target:?} {again:?}");
        }
    }
}
