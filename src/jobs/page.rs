//! Processes one page of a scan: copies it, or compares and perhaps repairs it.
//!
//! Everything here may be repeated: a page that failed half-way is processed again as a whole.

use std::time::Duration;

use cutover_proto::v1;
use cutover_store::{Copied, Cursor, Id, Page, Record, Segment, Store, StoreError, Version};
use futures::future;

use super::{
    Error, Plan, Stores,
    findings::{Findings, reason},
    quarantine::{JoinedPass, RefusedRecord, is_misfit},
    side::Side,
};

/// Up to this many records form one statement.
const TOGETHER: usize = 100;

/// A page, and its place in the scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) side: Side,
    pub(super) segment: Segment,
    /// Where the previous page ended.
    pub(super) after: Option<&'a Cursor>,
    pub(super) page: &'a Page,
}

/// The result of a page.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Counts of records.
    pub counts: v1::PassCounts,
    /// Why records differ or could not be moved, values redacted.
    pub findings: Findings,
    /// A record that the written store now has, with this version or a newer one.
    pub witness: Option<v1::Witness>,
    /// Records that were not copied, because the other store has a newer version.
    pub(super) behind: Vec<Id>,
    /// Where it was interrupted, if before its end. Nothing after that counts yet.
    pub(super) left: Option<Cursor>,
    /// Time slept between looks at differences. It says nothing about the speed of the stores.
    pub(super) waited: Duration,
}

impl Plan {
    /// The store that a segment of the job scans, and the part of it.
    pub(super) const fn scans(&self, segment: u32, of: u32) -> (Side, Segment) {
        match segment.checked_sub(self.on_target) {
            None => (Side::Target, Segment { index: segment, of: self.on_target }),
            Some(index) => (Side::Source, Segment { index, of: of - self.on_target }),
        }
    }

    /// Whether the pass reads all of this store.
    pub(super) fn reads(&self, side: Side) -> bool {
        // One scan of both.
        if self.kind == v1::PassKind::Verify && self.on_target == 0 {
            return true;
        }
        match side {
            Side::Source => self.on_target < self.segments,
            Side::Target => self.on_target > 0,
        }
    }

    /// The store that is written to, or would be.
    pub fn writes(&self) -> Side {
        if self.kind == v1::PassKind::Reverse { Side::Source } else { Side::Target }
    }

    /// The last record that stays: tombstones may be purged some day, and what expires may be removed.
    pub(super) fn witness_of(&self, records: &[(Id, Record)]) -> Option<v1::Witness> {
        let (id, record) =
            records.iter().rfind(|(_, record)| !record.is_tombstone() && !self.expires(record))?;
        let Id { tenant, key } = id.clone();
        Some(v1::Witness { tenant, key, version: record.version.0 })
    }

    /// A page in as many parts as there may be concurrent statements; few records stay together.
    pub(super) fn parts<'a, T>(&self, page: &'a [T]) -> std::slice::Chunks<'a, T> {
        page.chunks(page.len().div_ceil(self.statements.max(1) as usize).max(TOGETHER))
    }
}

impl Stores {
    /// One of the two stores.
    pub fn side(&self, side: Side) -> &dyn Store {
        match side {
            Side::Source => &*self.source,
            Side::Target => &*self.target,
        }
    }

    /// Processes a page as the plan says. Unreadable data has no place in either store's order: a copy
    /// quarantines it, a comparison reports it.
    pub(super) async fn page(&self, plan: &Plan, pass: &JoinedPass, part: &Part<'_>) -> Result<Done, Error> {
        let Part { side: scanned, page, .. } = *part;
        let done = match plan.kind {
            v1::PassKind::Verify if plan.on_target == 0 => self.compare_beside(plan, pass, part).await?,
            v1::PassKind::Verify | v1::PassKind::Sweep | v1::PassKind::Sample => {
                let mut done = self.compare(plan, pass, scanned, &page.records).await?;
                if scanned == plan.writes() && !plan.source_wins {
                    done.witness = plan.witness_of(&page.records);
                }
                for it in &page.unreadable {
                    done.unreadable(scanned, &it.tenant, &it.key, &it.error);
                }
                done.scanned(page);
                done
            }
            // Not counted as scanned: it is not a record of the source.
            v1::PassKind::Full if scanned == Side::Target => self.report_extra(plan, pass, page).await?,
            v1::PassKind::Reverse if scanned == Side::Source => self.bury_obsolete(plan, pass, page).await?,
            _ => {
                let to = scanned.other();
                let records = match to {
                    Side::Target => None,
                    Side::Source => Some(self.to_go_back(plan, pass, &page.records).await?),
                };
                let records = records.as_ref().unwrap_or(&page.records);
                let mut done = match plan.ttl {
                    None => self.copy(plan, pass, to, records).await?,
                    Some(_) => self.copy_addable(plan, pass, to, records).await?,
                };
                done.could_not_come_back(plan, &page.records);
                let behind = std::mem::take(&mut done.behind);
                self.report_kept_out(plan, pass, to, &mut done, behind).await?;
                for it in &page.unreadable {
                    let (tenant, key, error) = (it.tenant.as_str(), it.key.as_str(), &it.error);
                    let refused = RefusedRecord { tenant, key, record: None, toward: to, error };
                    done.quarantined(&refused);
                    self.quarantine(plan, pass, refused).await?;
                }
                done.scanned(page);
                done
            }
        };
        Ok(done)
    }

    /// Writes what is newer, in as many concurrent statements as the plan has. Records that do not fit are
    /// quarantined, one by one.
    pub(super) async fn copy(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        records: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let parts: Vec<_> = plan.parts(records).map(|part| self.copy_part(plan, pass, to, part)).collect();
        let mut done = Done::default();
        // All of them end before any error is reported: an abandoned one could land later.
        for part in future::join_all(parts).await {
            done.add(part?);
        }
        Ok(done)
    }

    /// Those records of the target that may be newer than the source's because their tenants have been at
    /// target-only. Of all other tenants the source has every write, so whatever the target has instead was written
    /// without an SDK. The worker has received every step that the end of this pass is about, because nobody was
    /// behind when it began.
    async fn to_go_back(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        records: &[(Id, Record)],
    ) -> Result<Vec<(Id, Record)>, Error> {
        let mut back = Vec::with_capacity(records.len());
        for (id, record) in records {
            let operation = pass.begin(&plan.migration, &id.tenant, |_| {}).await?;
            if operation.decision.no_fallback {
                back.push((id.clone(), record.clone()));
            }
        }
        Ok(back)
    }

    /// Quarantines a record that `to` refuses.
    #[allow(clippy::too_many_arguments, reason = "a record, where it was to go, and what to note it in")]
    pub(super) async fn keep_apart(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        id: &Id,
        record: &Record,
        error: &StoreError,
        done: &mut Done,
    ) -> Result<(), Error> {
        let (tenant, key) = (id.tenant.as_str(), id.key.as_str());
        let counted = pass.in_a_row.refused(to, id, error);
        counted.map_err(|error| Error::Store { store: to.name(), error })?;
        let refused = RefusedRecord { tenant, key, record: Some(record), toward: to, error };
        done.quarantined(&refused);
        self.quarantine(plan, pass, refused).await
    }

    async fn copy_part(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        records: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let mut done = Done::default();
        // Halves of a refused batch, down to the one record that does not fit.
        let mut left = vec![records];
        while let Some(batch) = left.pop() {
            let error = match self.side(to).put_many_if_newer(batch).await {
                Ok(copied) => {
                    pass.in_a_row.accepted(to, batch.iter().take(copied.len()).map(|(id, _)| id));
                    // What was kept out may lack its row there, beside a ledger.
                    let mut there = batch.iter().zip(&copied);
                    let last = there.rfind(|((_, record), copied)| {
                        let stays = !record.is_tombstone() && !plan.expires(record);
                        stays && !matches!(copied, Copied::Stale(_))
                    });
                    let witness = last.and_then(|(record, _)| plan.witness_of(std::slice::from_ref(record)));
                    done.witness = witness.or(done.witness);
                    let mut equal = Vec::new();
                    for ((id, record), copied) in batch.iter().zip(copied) {
                        let unversioned = record.version == Version::ZERO;
                        match copied {
                            Copied::Written => done.counts.copied += 1,
                            Copied::Present if unversioned => equal.push((id.clone(), record.clone())),
                            Copied::Present => done.counts.present += 1,
                            Copied::Stale(_) => {
                                done.counts.stale += 1;
                                done.behind.push(id.clone());
                            }
                        }
                    }
                    if !equal.is_empty() {
                        done.add(self.replace_unversioned(plan, pass, to, &equal).await?);
                    }
                    continue;
                }
                Err(error) if is_misfit(&error) => error,
                Err(error) => return Err(Error::Store { store: to.name(), error }),
            };
            match batch {
                [] => {}
                [(id, record)] => self.keep_apart(plan, pass, to, id, record, &error, &mut done).await?,
                more => {
                    let (one, other) = more.split_at(more.len() / 2);
                    left.extend([other, one]);
                }
            }
        }
        Ok(done)
    }
}

/// All records of a page, readable or not.
pub(super) const fn records_of(page: &Page) -> u64 {
    (page.records.len() + page.unreadable.len()) as u64
}

/// Bytes of readable records.
pub(super) fn bytes_of(records: &[(Id, Record)]) -> u64 {
    records.iter().map(|(id, record)| (id.bytes() + record.bytes()) as u64).sum()
}

impl Done {
    /// Counts a page as scanned.
    pub(super) fn scanned(&mut self, page: &Page) {
        self.counts.scanned += records_of(page);
        self.counts.bytes += bytes_of(&page.records);
    }

    /// Adds the result of another part of the same page.
    pub(super) fn add(&mut self, more: Self) {
        add(&mut self.counts, &more.counts);
        self.witness = more.witness.or(self.witness.take());
        // Parts are processed concurrently.
        self.waited = self.waited.max(more.waited);
        self.behind.extend(more.behind);
        self.findings.extend(more.findings);
    }

    /// Names records that were copied, but that a reverse pass or a service could not write back to where they are.
    fn could_not_come_back(&mut self, plan: &Plan, records: &[(Id, Record)]) {
        let Some(source) = &plan.way_back else { return };
        for (id, record) in records {
            let Err(error) = source.fit(id, record) else { continue };
            let what = "could not come back to the source";
            let example = format!("{:?}/{:?} {what}: {error}", id.tenant, id.key);
            self.findings.add(format!("{what}: {}", reason(&error)), example);
        }
    }

    fn quarantined(&mut self, refused: &RefusedRecord<'_>) {
        self.counts.quarantined += 1;
        let from = if refused.record.is_none() { ", which can't be read" } else { "" };
        let what = format!("quarantined{from}: {}", reason(refused.error));
        self.findings.add(what, format!("quarantined {}{from}: {}", refused.place(), refused.error));
    }

    pub(super) fn unreadable(&mut self, side: Side, tenant: &str, key: &str, error: &StoreError) {
        self.counts.failed += 1;
        let what = match error {
            // The key is no key of that store, so it has no such record.
            StoreError::Permanent { field, .. } if field == "key" => {
                format!("can't be in the {}", side.name())
            }
            _ => format!("unreadable in the {}", side.name()),
        };
        let example = format!("{what} {tenant:?}/{key:?}: {error}");
        self.findings.add(format!("{what}: {}", reason(error)), example);
    }
}

pub(super) fn add(counts: &mut v1::PassCounts, more: &v1::PassCounts) {
    let v1::PassCounts {
        scanned,
        copied,
        stale,
        quarantined,
        failed,
        present,
        bytes,
        found,
        remaining,
        compared,
        checked,
        target_only,
    } = more;
    counts.compared += compared;
    counts.checked += checked;
    counts.target_only += target_only;
    counts.scanned += scanned;
    counts.copied += copied;
    counts.stale += stale;
    counts.quarantined += quarantined;
    counts.failed += failed;
    counts.present += present;
    counts.bytes += bytes;
    add_differences(counts.found.get_or_insert_default(), found.as_ref());
    add_differences(counts.remaining.get_or_insert_default(), remaining.as_ref());
}

fn add_differences(differences: &mut v1::Differences, more: Option<&v1::Differences>) {
    let Some(v1::Differences { missing, stale, ahead, extra, different, unversioned }) = more else { return };
    differences.missing += missing;
    differences.stale += stale;
    differences.ahead += ahead;
    differences.extra += extra;
    differences.different += different;
    differences.unversioned += unversioned;
}
