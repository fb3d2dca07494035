//! Comparisons off the path: does the target have what the source answered?

use std::{sync::Arc, time::Duration};

use super::Inner;
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
    let revision = operation.decision.revision;
    tokio::spawn(async move {
        // What a store fails to answer is counted with its calls, and compares to nothing.
        if let Ok(Some(mismatch)) = compare(&inner, revision, &id, source).await
            && inner.revision(&id.tenant) == revision
        {
            inner.recorder.count(&inner.migration, revision, Event::Compared);
            if mismatch {
                inner.recorder.count(&inner.migration, revision, Event::Mismatch);
            }
        }
        drop(permit);
    });
}

/// `None`: the target does not have the record, so there is nothing to compare. Before the backfill
/// that is how it should be.
async fn compare(
    inner: &Inner,
    revision: u64,
    id: &Id,
    source: Option<Record>,
) -> Result<Option<bool>, StoreError> {
    let Some(target) = inner.call_get(revision, StoreRole::Target, id).await? else { return Ok(None) };
    if source.as_ref() == Some(&target) {
        return Ok(Some(false));
    }
    tokio::time::sleep(Duration::from_millis(PERSISTS_MS)).await;
    let Some(target) = inner.call_get(revision, StoreRole::Target, id).await? else { return Ok(None) };
    let again = inner.call_get(revision, StoreRole::Source, id).await?;
    Ok(Some(differ(source.as_ref(), &target, again.as_ref())))
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
