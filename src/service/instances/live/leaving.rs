//! How a membership ends: counted out, evicted, replaced, forgotten.
//!
//! Each decision is about one membership ([`Admitted`]) and is sent to the store under the lock under which it was
//! made. If the process has come back by the time that the store answers, the decision no longer applies.

use std::collections::BTreeSet;

use cutover_clock::Instant;

use super::{
    super::{
        super::lease::FORGOTTEN,
        member::{Admitted, Heard, Who},
        seen::Dead,
    },
    Due, Ending, Live,
};
use crate::{service::registry::Fences, store::InstanceRecord};

impl Live {
    /// The process is dead, and the file that it kept may be used until it expires. `None`: it has no file,
    /// or was already parked.
    pub(in super::super) fn park(
        &mut self,
        who: &Who,
        now: Instant,
        steady_ms: u64,
    ) -> Option<InstanceRecord> {
        let heard = self.members.get_mut(who)?;
        let may_be_used = !heard.record.parked && heard.record.file_valid_ms > 0;
        may_be_used.then(|| heard.park(now, steady_ms))
    }

    /// Begins to remove it; from now on it is told if it comes back. Returns its record and the number of this change.
    /// `None`: it is no longer the same membership.
    pub(in super::super) fn begin_removal(&mut self, admitted: &Admitted) -> Option<(InstanceRecord, u64)> {
        let heard = self.same(admitted)?;
        heard.giving_up += 1;
        Some((heard.record.clone(), heard.changes()))
    }

    /// The store has removed it, or could not. False: it is still a member.
    pub(in super::super) fn removed(
        &mut self,
        admitted: &Admitted,
        change: u64,
        is_durable: bool,
        now: Instant,
    ) -> bool {
        let Some(heard) = self.same(admitted) else { return false };
        heard.giving_up = heard.giving_up.saturating_sub(1);
        heard.doubtful |= !is_durable;
        is_durable && heard.change == change && self.remove(&admitted.who, now)
    }

    pub(in super::super) fn remove(&mut self, who: &Who, now: Instant) -> bool {
        let Some(removed) = self.members.remove(who) else { return false };
        self.slots.free(&removed.record, now);
        true
    }

    /// Changes that are due now. A process to be counted out is given up from this moment on, and renews
    /// nothing meanwhile.
    pub(in super::super) fn take_due(&mut self, fences: &Fences, now: Instant) -> Due {
        let due = Due { rested: self.slots.rested(now), ..self.due(fences, now) };
        for admitted in &due.counted_out {
            self.same(admitted).into_iter().for_each(|heard| heard.giving_up += 1);
        }
        due
    }

    /// The record of a process that is to be counted out, and the number of this change. `None`: it is back.
    pub(in super::super) fn begin_counting_out(
        &mut self,
        admitted: &Admitted,
    ) -> Option<(InstanceRecord, u64)> {
        let heard = self.same(admitted)?;
        Some((InstanceRecord { counted_out: true, ..heard.record.clone() }, heard.changes()))
    }

    /// Counting out was made durable, or failed. False: the process came back meanwhile, and was told.
    pub(in super::super) fn counted_out(
        &mut self,
        admitted: &Admitted,
        change: u64,
        is_durable: bool,
    ) -> bool {
        let Some(heard) = self.same(admitted) else { return false };
        heard.giving_up = heard.giving_up.saturating_sub(1);
        heard.record.counted_out |= is_durable && heard.change == change;
        // The store may have it all the same.
        heard.doubtful |= !is_durable;
        true
    }

    /// Whether it is still the same membership.
    pub(in super::super) fn is_same(&mut self, admitted: &Admitted) -> bool {
        self.same(admitted).is_some()
    }

    /// If it is still the same membership.
    fn same(&mut self, admitted: &Admitted) -> Option<&mut Heard> {
        let heard = self.members.get_mut(&admitted.who)?;
        (heard.record.admission == admitted.admission).then_some(heard)
    }

    /// The processes that an operator means.
    pub(in super::super) fn dead(&self, dead: &Dead, now: Instant) -> Vec<Admitted> {
        let has_name = |who: &Who, name: &str| who.instance_id == name || who.label() == name;
        let is_meant = |who: &Who, heard: &Heard| match dead {
            Dead::Named { name, force } => {
                let is_over = heard.record.parked || heard.is_lost(self.silent(heard, now));
                has_name(who, name) && (*force || is_over && !self.is_refused(heard, now))
            }
            Dead::Lost { instance_id, older_than, service } => {
                let silent = self.silent(heard, now);
                let is_named = match instance_id.as_str() {
                    "" => !heard.record.parked,
                    name => has_name(who, name),
                };
                let of_service = service.is_empty() || heard.record.service == *service;
                let is_lost = heard.is_lost(silent) && !self.is_refused(heard, now);
                is_lost && is_named && silent >= *older_than && of_service
            }
        };
        let meant = self.members.iter().filter(|(who, heard)| is_meant(who, heard));
        meant.map(|(_, heard)| heard.admitted()).collect()
    }

    /// From now on the process is told if it comes back.
    pub(in super::super) fn give_up(&mut self, admitted: &Admitted) {
        self.same(admitted).into_iter().for_each(|heard| heard.giving_up += 1);
    }

    /// It was not given up after all, at least not by this caller.
    pub(in super::super) fn keep_on(&mut self, admitted: &Admitted) {
        let heard = self.same(admitted).into_iter();
        heard.for_each(|heard| heard.giving_up = heard.giving_up.saturating_sub(1));
    }

    fn due(&self, fences: &Fences, now: Instant) -> Due {
        let mut due = Due::default();
        let succeeded = self.succeeded();
        for (who, heard) in &self.members {
            if self.ending_of(who, heard, || succeeded.contains(who), fences, now).is_some() {
                due.over.push(heard.admitted());
            } else if fences.newest.is_some()
                && !heard.is_being_given_up()
                && self.silent(heard, now) >= heard.until_counted_out()
            {
                due.counted_out.push(heard.admitted());
            }
        }
        due
    }

    /// How this membership ends now. `None`: it goes on, or is another one.
    pub(in super::super) fn ending(
        &self,
        admitted: &Admitted,
        fences: &Fences,
        now: Instant,
    ) -> Option<Ending> {
        let (who, heard) = self.members.get_key_value(&admitted.who)?;
        let is_same = heard.record.admission == admitted.admission;
        let is_succeeded = || self.succeeded().contains(who);
        is_same.then(|| self.ending_of(who, heard, is_succeeded, fences, now)).flatten()
    }

    fn succeeded(&self) -> BTreeSet<&Who> {
        self.members.values().flat_map(Heard::has_succeeded).collect()
    }

    fn ending_of(
        &self,
        who: &Who,
        heard: &Heard,
        is_succeeded: impl FnOnce() -> bool,
        fences: &Fences,
        now: Instant,
    ) -> Option<Ending> {
        let silent = self.silent(heard, now);
        let file_is_over = heard.record.parked && heard.file_age(now) >= heard.file_valid();
        let is_forgotten = heard.may_act_nowhere(fences, now) && silent >= FORGOTTEN;
        // The last one looks at all members.
        if file_is_over || is_forgotten || is_succeeded() {
            return Some(Ending::Remove);
        }
        // Only one process may use an id at a time: if another is connected, a silent one has ended.
        let is_replaced = !heard.record.parked
            && heard.streams == 0
            && heard.is_lost(silent)
            && self.is_replaced(who, heard, now);
        is_replaced.then_some(if heard.record.file_valid_ms > 0 { Ending::Park } else { Ending::Remove })
    }
}
