//! Compares two stores that scan in the same order: the target is scanned along with the source, range by
//! range, so that each record is read once, and records that only the target has are met on the way.

use std::collections::{HashMap, HashSet};

use cutover_core::routing::Mutation;
use cutover_store::{Cursor, Id, Record, Scope, Unreadable};
use futures::future;

use super::{
    Error, Plan, Stores,
    compare::Suspect,
    page::{Done, Part, bytes_of},
    quarantine::JoinedPass,
    side::Side,
};

/// With this many suspects, they are looked at again before there are more: a target may have any number of
/// records between two of the source's.
const SUSPECTS_MAX: usize = 10_000;
/// Maximum bytes of the target's records among them.
const SUSPECTS_MAX_BYTES: usize = 4 << 20;
/// Minimum bytes to ask the target for.
const RANGE_MIN_BYTES: usize = 64 << 10;
/// After reading this much of the target, a range is interrupted, so that barriers, pauses and checkpoints do
/// not wait for everything between two source records. Only if the target has that much more.
const LEFT_AFTER_BYTES: u64 = 4 << 20;

/// Records of the source, and all places since the end of the previous range.
struct Range<'a> {
    after: Option<Cursor>,
    /// `None`: no end.
    up_to: Option<Cursor>,
    records: &'a [(Id, Record)],
    /// Unreadable data has no place before which a range could be interrupted. Ranges after an interrupted
    /// one are compared again; repairs in them would go unreported.
    may_be_left: bool,
}

impl Stores {
    /// In as many concurrent ranges as the plan has statements.
    pub(super) async fn compare_beside(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        part: &Part<'_>,
    ) -> Result<Done, Error> {
        let page = part.page;
        let mut done = Done::default();
        done.counts.scanned += page.unreadable.len() as u64;
        for it in &page.unreadable {
            done.unreadable(Side::Source, &it.tenant, &it.key, &it.error);
        }
        let shared = |cursor: Option<&Cursor>| cursor.map(Cursor::shared).transpose();
        let failed = |error| Error::Store { store: Side::Source.name(), error };
        let mut after = shared(part.after).map_err(failed)?;
        let end = shared(page.next.as_ref()).map_err(failed)?;
        let mut parts = plan.parts(&page.records).peekable();
        let mut ranges = Vec::new();
        while ranges.is_empty() || parts.peek().is_some() {
            let records = parts.next().unwrap_or_default();
            let is_last = parts.peek().is_none();
            let may_be_left = page.unreadable.is_empty() && (is_last || !plan.repair);
            let last = records.last().filter(|_| !is_last);
            let up_to = last.map_or_else(|| end.clone(), |(id, _)| Some(Cursor::after_record(id)));
            ranges.push(Range {
                after: std::mem::replace(&mut after, up_to.clone()),
                up_to,
                records,
                may_be_left,
            });
        }
        let ranges = ranges.into_iter().map(|range| self.compare_range(plan, pass, part, range));
        for mut range in future::try_join_all(ranges).await? {
            let left = range.left.take();
            done.add(range);
            // The ranges after it are compared again.
            if left.is_some() {
                done.left = left;
                break;
            }
        }
        Ok(done)
    }

    async fn compare_range(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        part: &Part<'_>,
        range: Range<'_>,
    ) -> Result<Done, Error> {
        let Range { after: mut cursor, up_to, records, may_be_left } = range;
        let mut done = Done::default();
        // What is not a valid id in the source can't be an id of a target record.
        let unreadable: HashSet<Id> = part.page.unreadable.iter().map(named).collect();
        let mut unmet: HashMap<&Id, &Record> = records.iter().map(|(id, record)| (id, record)).collect();
        let (mut suspects, mut suspects_bytes) = (Vec::new(), 0);
        let bytes = bytes_of(records) as usize;
        let limit_bytes = (bytes + bytes / 8).max(RANGE_MIN_BYTES);
        let left_after = LEFT_AFTER_BYTES.max(2 * limit_bytes as u64);
        let failed = |error| Error::Store { store: Side::Target.name(), error };
        let scope = up_to.map_or(Scope::All, Scope::UpTo);
        loop {
            let there = self.target.scan(&scope, part.segment, cursor.as_ref(), limit_bytes).await;
            let there = there.map_err(failed)?;
            done.scanned(&there);
            // What a repair overwrites may be older afterwards.
            if !plan.source_wins {
                done.witness = plan.witness_of(&there.records).or(done.witness);
            }
            for it in &there.unreadable {
                unmet.remove(&named(it));
                done.unreadable(Side::Target, &it.tenant, &it.key, &it.error);
            }
            let mut equal = Vec::new();
            for (id, target) in there.records {
                let source = unmet.remove(&id);
                let differ = plan.difference(source, Some(&target)).is_some();
                if unreadable.contains(&id) {
                    continue;
                }
                done.counts.compared += 1;
                if differ {
                    suspects_bytes += id.bytes() + target.bytes();
                    suspects.push((id, Suspect::new(Some(target))));
                } else {
                    equal.push((id, target));
                }
            }
            if plan.source_wins && !Mutation::RepairReadsTargetFirst.is_left_out() {
                suspects.extend(self.outdated(plan, &mut done, equal).await?);
            }
            if suspects.len() >= SUSPECTS_MAX || suspects_bytes >= SUSPECTS_MAX_BYTES {
                suspects_bytes = 0;
                self.settle(plan, pass, &mut done, std::mem::take(&mut suspects)).await?;
            }
            cursor = there.next;
            let Some(next) = &cursor else { break };
            // Scans can't continue from a place that is not a text.
            if may_be_left && done.counts.bytes >= left_after && next.shared().as_ref() == Ok(next) {
                done.left = cursor;
                break;
            }
        }
        for (id, record) in records {
            if let Some(left) = &done.left
                && !left.is_past(id).map_err(failed)?
            {
                break;
            }
            done.counts.scanned += 1;
            done.counts.bytes += (id.bytes() + record.bytes()) as u64;
            if unmet.contains_key(id) {
                done.counts.compared += 1;
                suspects.push((id.clone(), Suspect::new(None)));
            }
        }
        self.settle(plan, pass, &mut done, suspects).await?;
        Ok(done)
    }
}

/// The id of a record with this name, if there is one.
fn named(it: &Unreadable) -> Id {
    Id { tenant: it.tenant.clone(), key: it.key.clone() }
}
