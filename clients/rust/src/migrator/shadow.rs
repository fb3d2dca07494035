//! Comparisons off the path: does the target have what the source answered?

use std::{sync::Arc, time::Duration};

use super::{Inner, calls::Calls};
use crate::{
    report::{Event, StoreRole},
    routing::PPM,
    store::{Id, Record, StoreError, Version},
    watch::Operation,
};

/// A difference must outlast this, or it was only a write on its way.
const PERSISTS_MS: u64 = 100;

/// Compares, for the policy's share of reads. `source` is what the caller gets.
///
/// It holds no operation: it writes nothing and answers nobody, so no step has to wait for it.
/// But it counts only while the tenant is still at the revision that it was read under.
pub(super) fn sample(inner: &Arc<Inner>, operation: &Operation, id: &Id, source: Option<&Record>) {
    let share_ppm = operation.policy.shadow_ppm;
    if share_ppm == 0 || (share_ppm < PPM && rand::random_range(0..PPM) >= share_ppm) {
        return;
    }
    let Ok(permit) = inner.shadows.clone().try_acquire_owned() else { return };
    let (inner, id, source) = (inner.clone(), id.clone(), source.cloned());
    let (revision, standing) = (operation.decision.revision, operation.standing());
    tokio::spawn(async move {
        let mut calls = Calls::new(inner, id, revision, standing);
        // What a store fails to answer is counted with its calls, and compares to nothing.
        if let Ok(compared) = compare(&mut calls, source).await
            && calls.inner.revision(&calls.id.tenant) == revision
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

/// What a comparison comes to.
enum Compared {
    Same,
    /// The target has nothing of what the source has. Before the backfill that is how it should be.
    Lacking,
    Different,
}

impl Compared {
    /// With a target that has nothing, not even a tombstone. It lacks nothing that is deleted.
    fn to_nothing(source: Option<&Record>) -> Self {
        if source.is_some_and(|source| !source.is_tombstone()) { Self::Lacking } else { Self::Same }
    }
}

async fn compare(calls: &mut Calls, source: Option<Record>) -> Result<Compared, StoreError> {
    let target = calls.get(StoreRole::Target).await;
    // The source had answered, or there were no comparison.
    calls.paired(Some(false), Some(target.is_err()));
    let Some(target) = target? else { return Ok(Compared::to_nothing(source.as_ref())) };
    if source.as_ref() == Some(&target) {
        return Ok(Compared::Same);
    }
    tokio::time::sleep(Duration::from_millis(PERSISTS_MS)).await;
    let Some(target) = calls.get(StoreRole::Target).await? else {
        return Ok(Compared::to_nothing(source.as_ref()));
    };
    let again = calls.get(StoreRole::Source).await;
    calls.paired(Some(again.is_err()), Some(false));
    let is_different = differ(source.as_ref(), &target, again?.as_ref());
    Ok(if is_different { Compared::Different } else { Compared::Same })
}

/// Do they differ for good? `source` was read `PERSISTS_MS` before the target, `again` after it, so
/// a record that is being written all the time is none that differs: the target need only have
/// what the source had then, and nothing that the source does not have yet.
fn differ(source: Option<&Record>, target: &Record, again: Option<&Record>) -> bool {
    let version = |record: Option<&Record>| record.map_or(Version::ZERO, |record| record.version);
    let lags = target.version < version(source);
    let leads = again.is_none() || target.version > version(again);
    let same_version = |record: &&Record| record.version == target.version;
    let other_value = again.filter(same_version).is_some_and(|again| again.value != target.value);
    lags || leads || other_value
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
            // source at first, target later, source after that
            (record(1, "a"), record(1, "a"), record(1, "a"), false),
            (record(2, "b"), record(2, "b"), record(9, "z"), false), // the source went on
            (record(1, "a"), record(2, "b"), record(2, "b"), false), // both went on
            (record(2, "b"), record(1, "a"), record(2, "b"), true),  // the target lags
            (record(1, "a"), record(2, "b"), record(1, "a"), true),  // it is ahead
            (record(1, "a"), record(1, "x"), record(1, "a"), true),  // same version, another value
            (None, record(1, "a"), None, true),
            (None, record(1, "a"), record(1, "a"), false), // written meanwhile
        ];
        for (source, target, again, expected) in cases {
            let found = differ(source.as_ref(), &target.clone().expect("some"), again.as_ref());
            assert_eq!(found, expected, "{source:?} {target:?} {again:?}");
        }
    }
}
