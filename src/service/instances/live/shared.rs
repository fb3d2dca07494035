//! Processes that share one id by mistake.

use super::{Heard, Live, Who};
use crate::store::InstanceRecord;

impl Live {
    /// A process reports. Whoever reported under its id since its last report runs beside it: that one more process of this
    /// id is connected does not show then that any of them has ended. Returns the records of those of whom the store does not
    /// have that yet.
    pub(super) fn share_id(&mut self, who: &Who) -> Vec<InstanceRecord> {
        let Some(last) = self.members.get(who).map(|heard| heard.reported) else { return Vec::new() };
        let named = |incarnation| Who::new(who.instance_id.clone(), incarnation);
        let runs_beside = |heard: &Heard| heard.reported.is_some() && heard.reported > last;
        if self.members.range(named(0)..=named(u64::MAX)).any(|(_, heard)| runs_beside(heard)) {
            let all = self.members.range_mut(named(0)..=named(u64::MAX));
            let share = all.filter(|(of, heard)| *of == who || runs_beside(heard));
            share.for_each(|(_, heard)| heard.record.shares_id = true);
        }
        let all = self.members.range(named(0)..=named(u64::MAX)).map(|(_, heard)| heard);
        // What is about to be given up is sent to the store already.
        let is_due =
            |heard: &&Heard| heard.record.shares_id && !heard.shares_durably && !heard.has_been_given_up();
        all.filter(is_due).map(|heard| heard.record.clone()).collect()
    }

    /// The store has this record.
    pub(in super::super) fn stored(&mut self, record: &InstanceRecord) {
        let heard = self.members.get_mut(&Who::of(record)).filter(|_| record.shares_id);
        heard.into_iter().for_each(|heard| heard.shares_durably = true);
    }
}
