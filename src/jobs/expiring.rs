//! Records that expire: a store may have removed them without a tombstone. docs/protocol.md, "Records that expire", has
//! the rules.

use std::cmp::Ordering;

use cutover_core::routing::{Mutation, Rung};
use cutover_proto::v1;
use cutover_store::{Id, Page, Put, Record, Version};

use super::{
    Error, Plan, Stores,
    compare::{Difference, Suspect},
    page::{Done, records_of},
    patience::BACKOFF_FIRST,
    place,
    quarantine::{JoinedPass, is_misfit},
    side::Side,
};

/// What a pass may do with records that it has read.
#[derive(Default)]
pub(super) struct Addable {
    /// It may write them.
    pub(super) records: Vec<(Id, Record)>,
    /// The store lacks them, and may have removed a newer version. They have not expired.
    pub(super) withheld: Vec<(Id, Record)>,
    /// The store has a newer version of them now, and may remove that before a put arrives.
    pub(super) behind: Vec<Id>,
    /// How many the store has in the same version.
    pub(super) present: u64,
}

impl Plan {
    /// How two records differ for whoever reads them: an expired one is none.
    pub(super) fn difference(&self, source: Option<&Record>, target: Option<&Record>) -> Option<Difference> {
        let is_absent = |record: Option<&Record>| record.is_none_or(|record| self.is_expired(record));
        if is_absent(source) && is_absent(target) {
            return None;
        }
        Difference::of(source, target)
    }

    pub(super) fn is_expired(&self, record: &Record) -> bool {
        self.ttl.as_ref().is_some_and(|ttl| ttl.is_expired(record))
    }

    /// Whether a store may remove the record some day.
    pub(super) fn expires(&self, record: &Record) -> bool {
        self.ttl.as_ref().is_some_and(|ttl| ttl.expires(record))
    }

    /// Whether a page has to be written soon after it was read: an older record that is put later could come back after
    /// a newer one has expired.
    pub(super) fn is_urgent(&self) -> bool {
        let writes = match self.kind {
            v1::PassKind::Verify | v1::PassKind::Sample => self.repair,
            _ => true,
        };
        self.ttl.is_some() && writes
    }
}

impl Stores {
    /// Finds out which records may be written to `to`, of which it may have removed a newer version. What it has in an
    /// older version, it may always get: a newer one can't come and go before the put arrives. What it lacks, only if
    /// that has not expired, and nobody reads the target.
    pub(super) async fn addable(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        records: &[(Id, Record)],
    ) -> Result<Addable, Error> {
        if plan.ttl.is_none() || Mutation::ExpiredStaysAway.is_left_out() {
            return Ok(Addable { records: records.to_vec(), ..Addable::default() });
        }
        let (mut addable, mut asked) = (Addable::default(), Vec::new());
        for (id, record) in records {
            if plan.is_expired(record) || to == Side::Target && !pass.may_add(plan, id, record).await? {
                asked.push((id.clone(), record.clone()));
            } else {
                addable.records.push((id.clone(), record.clone()));
            }
        }
        let ids: Vec<Id> = asked.iter().map(|(id, _)| id.clone()).collect();
        let there = self.ask(plan, to, &ids, |store, ids| store.get_versions(ids)).await?;
        for ((id, record), there) in asked.into_iter().zip(there) {
            match there.map(|there| there.map(|there| there.cmp(&record.version))) {
                Err(_) | Ok(Some(Ordering::Less)) => addable.records.push((id, record)),
                // Content decides.
                Ok(Some(Ordering::Equal)) if record.version == Version::ZERO => {
                    addable.records.push((id, record));
                }
                Ok(Some(Ordering::Equal)) => addable.present += 1,
                Ok(Some(Ordering::Greater)) => addable.behind.push(id),
                Ok(None) if plan.is_expired(&record) => {}
                Ok(None) => addable.withheld.push((id, record)),
            }
        }
        Ok(addable)
    }

    /// Copies those records that may be added, and reports those that the target lacks for no known reason.
    pub(super) async fn copy_addable(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        records: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let Addable { records, withheld, behind, present } = self.addable(plan, pass, to, records).await?;
        let mut done = self.copy(plan, pass, to, &records).await?;
        done.counts.present += present;
        done.counts.stale += behind.len() as u64;
        done.behind.extend(behind);
        self.report_withheld(plan, pass, &mut done, withheld).await?;
        Ok(done)
    }

    /// Counts what the target lacks and a pass must not add. Of a tenant that has been at target-only, the target may
    /// have removed a newer version. Of everybody else it lacks what it should have.
    async fn report_withheld(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        done: &mut Done,
        withheld: Vec<(Id, Record)>,
    ) -> Result<(), Error> {
        let Some(ttl) = &plan.ttl else { return Ok(()) };
        let mut suspects = Vec::new();
        // A younger one may belong to a write that has yet to reach the target.
        for (id, _) in withheld.into_iter().filter(|(_, record)| ttl.is_settled(record.version)) {
            if pass.is_from_target_only(plan, &id).await? {
                done.counts.target_only += 1;
            } else {
                suspects.push((id, Suspect::new(None)));
            }
        }
        for (id, pair, difference) in self.persisting(plan, done, suspects).await? {
            if difference == Difference::Missing && pass.differs(plan, done, &id, &pair, difference).await? {
                done.remains(&pair, difference);
            }
        }
        Ok(())
    }

    /// Copies records that the source has newer than a page of the target. The source may remove one before its own scan
    /// comes to it, also one that gets its expiry only now. The target's older one would stay then.
    pub(super) async fn copy_older(&self, plan: &Plan, pass: &JoinedPass, ids: &[Id]) -> Result<Done, Error> {
        let found = ids.iter().cloned().zip(self.read(plan, Side::Source, ids).await?);
        let newer: Vec<_> = found.filter_map(|(id, record)| Some((id, record.ok()??))).collect();
        let mut done = self.copy(plan, pass, Side::Target, &newer).await?;
        done.behind.clear();
        Ok(done)
    }

    /// The same for a comparison: repairs or reports what the source has newer than a page of the target.
    ///
    /// A put of a repair where the source wins may also have made the target older than the source, which an SDK has
    /// written since. If its worker ended then, the source's half has passed this place. Otherwise that half may count
    /// it first.
    pub(super) async fn settle_behind(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        done: &mut Done,
        behind: Vec<(Id, Suspect)>,
    ) -> Result<(), Error> {
        if behind.is_empty() || Mutation::RepairBothWays.is_left_out() {
            return Ok(());
        }
        if !plan.repair && !plan.source_wins {
            // The source's half may meet them again.
            done.counts.compared += behind.len() as u64;
            return self.settle(plan, pass, done, behind).await;
        }
        let (behind, before) = (self.persisting(plan, done, behind).await?, done.counts.copied);
        self.repair(plan, pass, done, behind).await?;
        done.counts.found.get_or_insert_default().stale += done.counts.copied - before;
        Ok(())
    }

    /// For a page of the source in a reverse pass: deletes what the target, which is complete, no longer has. A newer
    /// version of it has expired there, and was removed without a tombstone. What the target has newer is copied at
    /// once, because it may be gone when the scan of the target comes to it.
    pub(super) async fn bury_obsolete(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        page: &Page,
    ) -> Result<Done, Error> {
        let mut done = Done::default();
        done.counts.checked = records_of(page);
        let Some(ttl) = plan.ttl.as_ref().filter(|_| !Mutation::ObsoleteIsBuried.is_left_out()) else {
            return Ok(done);
        };
        pass.catch_up().await;
        let mut live = Vec::new();
        for (id, record) in &page.records {
            let is_live = !record.is_tombstone() && !plan.is_expired(record);
            if is_live && pass.is_from_target_only(plan, id).await? {
                live.push((id.clone(), record));
            }
        }
        let ids: Vec<Id> = live.iter().map(|(id, _)| id.clone()).collect();
        let there = self.ask(plan, Side::Target, &ids, |store, ids| store.get_versions(ids)).await?;
        let (mut older, mut obsolete) = (Vec::new(), Vec::new());
        for ((id, record), there) in live.into_iter().zip(there) {
            match there {
                Ok(Some(there)) if there > record.version => older.push((id, record)),
                Ok(None) => obsolete.push((id, record)),
                _ => {}
            }
        }
        let ids: Vec<Id> = older.iter().map(|(id, _)| id.clone()).collect();
        let mut back = Vec::new();
        for ((id, record), there) in older.into_iter().zip(self.read(plan, Side::Target, &ids).await?) {
            match there {
                Ok(Some(there)) => back.push((id, there)),
                Ok(None) => obsolete.push((id, record)),
                // The scan of the target reports it.
                Err(_) => {}
            }
        }
        done.add(self.copy(plan, pass, Side::Source, &back).await?);
        done.behind.clear();
        // A younger one may belong to a write that has yet to reach the target.
        for (id, record) in obsolete.into_iter().filter(|(_, record)| ttl.is_settled(record.version)) {
            self.bury(plan, pass, &id, record, &mut done).await?;
        }
        Ok(done)
    }

    /// Deletes a record of the source, unless the target may never have had it.
    async fn bury(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        id: &Id,
        record: &Record,
        done: &mut Done,
    ) -> Result<(), Error> {
        let place = place(&id.tenant, &id.key);
        let why = match record.version {
            Version::ZERO => Some("has no version"),
            _ if self.is_kept_apart(plan, id, Side::Target).await? => Some("is in quarantine"),
            _ => None,
        };
        if let Some(why) = why {
            let what = format!("kept in the source, and missing in the target: it {why}");
            done.findings.add(what.clone(), format!("{place} {what}"));
            done.counts.found.get_or_insert_default().missing += 1;
            done.remains(&(Some(record.clone()), None), Difference::Missing);
            return Ok(());
        }
        let gone = Record { version: above(record.version), value: None };
        match self.source.put_if_unchanged(id, &gone, Some(record.version)).await {
            Ok(Put::Applied | Put::Present) => {
                pass.in_a_row.accepted(Side::Source, [id]);
                done.counts.copied += 1;
                let what = "deleted in the source, because the target no longer has it";
                done.findings.add(what.to_owned(), format!("{place} {what}"));
                Ok(())
            }
            Ok(Put::Stale(_)) => Ok(()),
            Err(error) if is_misfit(&error) => {
                self.keep_apart(plan, pass, Side::Source, id, &gone, &error, done).await
            }
            Err(error) => Err(Error::Store { store: Side::Source.name(), error }),
        }
    }

    /// Whether the target lacks a record that the source has and that has not expired.
    pub(super) async fn is_lacking(&self, plan: &Plan, id: &Id) -> Result<bool, Error> {
        let ids = std::slice::from_ref(id);
        let there = self.ask(plan, Side::Target, ids, |store, ids| store.get_versions(ids)).await?;
        if !matches!(there[..], [Ok(None)]) {
            return Ok(false);
        }
        let source = self.read(plan, Side::Source, ids).await?.pop().and_then(Result::ok).flatten();
        Ok(source.is_some_and(|source| !source.is_tombstone() && !plan.is_expired(&source)))
    }
}

impl JoinedPass {
    /// Whether the target may get a record that it lacks: nobody reads it there yet, and the source has every write. A
    /// tombstone brings nothing back.
    pub(super) async fn may_add(&self, plan: &Plan, id: &Id, record: &Record) -> Result<bool, Error> {
        if plan.ttl.is_none() || record.is_tombstone() {
            return Ok(true);
        }
        let operation = self.begin(&plan.migration, &id.tenant, |_| {}).await?;
        Ok(matches!(operation.decision.rung, Rung::SourceOnly | Rung::Dual | Rung::Mirrored))
    }

    /// Waits until the snapshot is as new as the pass.
    async fn catch_up(&self) {
        while !self.is_recent() {
            tokio::time::sleep(BACKOFF_FIRST).await;
        }
    }
}

/// The lowest version above one that nobody writes any more.
const fn above(version: Version) -> Version {
    Version(version.0 + 1)
}
