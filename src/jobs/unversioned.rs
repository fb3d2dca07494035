//! Records without a version, for which equal versions prove nothing: their content decides.
//!
//! A service without the SDK writes without a version and deletes without a trace. An earlier copy of its
//! records may be out of date in the target, and may still be there although the source's record is gone.

use std::cmp::Ordering;

use cutover_core::{outcome::ErrorClass, routing::Mutation};
use cutover_proto::v1;
use cutover_store::{Id, Page, Put, Record, StoreError, Version};
use futures::future;

use super::{
    Error, Plan, Stores,
    compare::{Difference, Suspect},
    page::{Done, records_of},
    quarantine::{JoinedPass, is_misfit},
    side::Side,
};

/// Maximum records replaced at a time.
const AT_ONCE: usize = 16;

impl Stores {
    /// Writes those of `records` whose content differs in `to`. None of them has a version; a record in `to`
    /// that has one is left alone. The scanned store wins: only passes write records without a version to the
    /// other.
    pub(super) async fn replace_unversioned(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        records: &[(Id, Record)],
    ) -> Result<Done, Error> {
        let mut done = Done::default();
        if Mutation::Unversioned.is_left_out() {
            done.counts.present += records.len() as u64;
            return Ok(done);
        }
        let ids: Vec<Id> = records.iter().map(|(id, _)| id.clone()).collect();
        let mut differ = Vec::new();
        for ((id, record), there) in records.iter().zip(self.read(plan, to, &ids).await?) {
            match there {
                Ok(Some(there)) if there == *record => done.counts.present += 1,
                Ok(_) => differ.push((id, record)),
                Err(error) => done.unreadable(to, &id.tenant, &id.key, &error),
            }
        }
        for some in differ.chunks(AT_ONCE) {
            let puts = some
                .iter()
                .map(|(id, record)| self.side(to).put_if_unchanged(id, record, Some(Version::ZERO)));
            // All of them end before any error is reported: an abandoned one could land later.
            for ((id, record), put) in some.iter().zip(future::join_all(puts).await) {
                match put {
                    Ok(Put::Applied | Put::Present) => {
                        pass.in_a_row.accepted(to, [*id]);
                        done.counts.copied += 1;
                    }
                    // The page is processed again.
                    Ok(Put::Stale(Version::ZERO)) => return Err(removed(to)),
                    Ok(Put::Stale(_)) => done.counts.stale += 1,
                    Err(error) if is_misfit(&error) => {
                        self.keep_apart(plan, pass, to, id, record, &error, &mut done).await?;
                    }
                    Err(error) => return Err(Error::Store { store: to.name(), error }),
                }
            }
        }
        Ok(done)
    }

    /// Reports those of `behind` that `to` keeps out for no good reason when they are read again. Somebody wrote one of
    /// the two without the SDK, which writes to the source first:
    ///
    /// - The target has a newer record, and its tenant has never been at target-only.
    /// - With a ledger, `to` lacks the record although its entry is newer: another program deleted the row. Or it has a
    ///   row without a version, which another program inserted after a deletion.
    ///
    /// A source that has a newer record is no difference: its write has not reached the target yet, or never will.
    pub(super) async fn report_kept_out(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        to: Side,
        done: &mut Done,
        behind: Vec<Id>,
    ) -> Result<(), Error> {
        if behind.is_empty() {
            return Ok(());
        }
        let lacks = match to {
            Side::Target => Difference::Missing,
            Side::Source => Difference::Extra,
        };
        let suspects = behind.into_iter().map(|id| (id, Suspect::new(None))).collect();
        // The half that scans the target meets what is newer there.
        let is_newer_met = plan.kind == v1::PassKind::Full && plan.on_target > 0;
        for (id, pair, difference) in self.persisting(plan, done, suspects).await? {
            let is_kept_out = difference == Difference::Ahead && !is_newer_met || difference == lacks;
            if is_kept_out && pass.differs(plan, done, &id, &pair, difference).await? {
                done.remains(&pair, difference);
            }
        }
        Ok(())
    }

    /// For a page of the target: reports records that the target alone has, or newer. The source may have got its record
    /// only after the copy had passed that place.
    pub(super) async fn report_extra(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        page: &Page,
    ) -> Result<Done, Error> {
        let unknown =
            page.records.iter().filter(|(id, record)| !pass.source_versions.has(id, record.version));
        let (ids, unknown): (Vec<Id>, Vec<_>) = unknown.map(|of| (of.0.clone(), of)).unzip();
        let versions = self.ask(plan, Side::Source, &ids, |store, ids| store.get_versions(ids)).await?;
        let (mut newer, mut older) = (Vec::new(), Vec::new());
        for ((id, record), there) in unknown.into_iter().zip(versions) {
            match there.map(|there| there.cmp(&Some(record.version))) {
                Ok(Ordering::Less) => newer.push(id.clone()),
                Ok(Ordering::Greater) if plan.ttl.is_some() => older.push(id.clone()),
                _ => {}
            }
        }
        let suspects = newer.into_iter().map(|id| (id, Suspect::new(None))).collect();
        let mut done = self.copy_older(plan, pass, &older).await?;
        done.counts.checked = records_of(page);
        for (id, pair, difference) in self.persisting(plan, &mut done, suspects).await? {
            let is_newer = matches!(difference, Difference::Extra | Difference::Ahead);
            if is_newer && pass.differs(plan, &mut done, &id, &pair, difference).await? {
                done.remains(&pair, difference);
            }
        }
        for it in &page.unreadable {
            if !self.is_met_from_source(plan, it).await? {
                done.unreadable(Side::Target, &it.tenant, &it.key, &it.error);
            }
        }
        Ok(done)
    }

    /// Deletes a record without a version that only the target has. The tombstone is older than any write of
    /// an SDK, so it can't hide one. False: the record has changed meanwhile, or the target refuses this.
    pub(super) async fn remove_extra(
        &self,
        plan: &Plan,
        pass: &JoinedPass,
        id: &Id,
        done: &mut Done,
    ) -> Result<bool, Error> {
        let gone = Record { version: Version(1), value: None };
        match self.target.put_if_unchanged(id, &gone, Some(Version::ZERO)).await {
            Ok(put) => {
                pass.in_a_row.accepted(Side::Target, [id]);
                Ok(matches!(put, Put::Applied | Put::Present))
            }
            Err(error) if is_misfit(&error) => {
                self.keep_apart(plan, pass, Side::Target, id, &gone, &error, done).await?;
                Ok(false)
            }
            Err(error) => Err(Error::Store { store: Side::Target.name(), error }),
        }
    }
}

fn removed(store: Side) -> Error {
    let what = "a record without a version was removed outright while it was compared".to_owned();
    Error::Store { store: store.name(), error: StoreError::NotApplied { class: ErrorClass::Other, what } }
}
