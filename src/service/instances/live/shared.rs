//! Processes that share one id by mistake.

use super::{Heard, Live, Who};
use crate::store::InstanceRecord;

impl Live {
    /// A process reports. Whoever reported under its id since its last report runs beside it: that one more process of this
    /// id is connected does not show then that any of them has ended. Returns the records of those of whom that is new.
    pub(super) fn share_id(&mut self, who: &Who) -> Vec<InstanceRecord> {
        let Some(last) = self.members.get(who).map(|heard| heard.reported) else { return Vec::new() };
        let named = |incarnation| Who::new(who.instance_id.clone(), incarnation);
        let runs_beside = |heard: &Heard| heard.reported.is_some() && heard.reported > last;
        if !self.members.range(named(0)..=named(u64::MAX)).any(|(_, heard)| runs_beside(heard)) {
            return Vec::new();
        }
        let all = self.members.range_mut(named(0)..=named(u64::MAX));
        // What is about to be given up is sent to the store already.
        let new = all.filter(|(of, heard)| {
            (*of == who || runs_beside(heard)) && !heard.record.shares_id && !heard.has_been_given_up()
        });
        new.map(|(_, heard)| {
            heard.record.shares_id = true;
            heard.record.clone()
        })
        .collect()
    }
}
