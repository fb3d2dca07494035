//! A member of the barrier: one process, as the controller knows it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use super::super::lease::{LEASE, PRESUMED_DRAIN};
use crate::{
    domain::HeldRoutes,
    service::registry::Fences,
    store::{InstanceRecord, label},
};

/// One process. Several processes may have the same id by mistake, or one after another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The id that operators see.
    pub instance_id: String,
    /// Drawn by the process. 0: that of an older store's member.
    pub incarnation: u64,
}

impl Who {
    pub(crate) fn new(instance_id: String, incarnation: u64) -> Self {
        let incarnation = if Mutation::ProcessesAreMembers.is_left_out() { 0 } else { incarnation };
        Self { instance_id, incarnation }
    }

    pub(crate) fn of(record: &InstanceRecord) -> Self {
        Self::new(record.instance_id.clone(), record.incarnation)
    }

    /// A name that no other process has, for counts and sequence numbers.
    pub fn label(&self) -> String {
        label(&self.instance_id, self.incarnation)
    }
}

/// One membership of a process. It ends when the process registers after it was given up, or says goodbye: what was
/// decided about it before no longer applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The process.
    pub who: Who,
    /// Drawn for each membership.
    pub admission: u64,
}

#[derive(Debug)]
pub(super) struct Heard {
    pub(super) record: InstanceRecord,
    /// Received: no operation starts there under an older revision.
    pub(super) received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub(super) applied: u64,
    /// When it registered it held nothing, and the controller had this revision with its fences. 0: it held something, or
    /// there was no fence.
    pub(super) fenced: u64,
    /// When it was last heard. Its own lease began earlier.
    pub(super) at: Instant,
    /// When it registered first. `None`: before this controller started, or before it was given up.
    pub(super) began: Option<Instant>,
    /// When this controller had its last report or, before the first one, its registration.
    pub(super) reported: Option<Instant>,
    /// Age of its file at that time. Only of one that was parked when the controller started.
    pub(super) before: Duration,
    /// Whether the store has it.
    pub(super) durable: bool,
    /// Whether the store has that it shares its id.
    pub(super) shares_durably: bool,
    /// Number of open streams to it.
    pub(super) streams: u32,
    /// Distinguishes this entry from an earlier one of the same process.
    pub(super) membership: u64,
    /// How many are about to count it out, evict or remove it.
    pub(super) giving_up: u32,
    /// Its registration is not durable yet.
    pub(super) registering: bool,
    /// The store may say that it was counted out or removed: it has to register again.
    pub(super) doubtful: bool,
    /// Number of the last change that was sent to the store. What an earlier one intended no longer applies.
    pub(super) change: u64,
    /// What it routed by when it registered, for each migration.
    pub(super) routes: Vec<(String, HeldRoutes)>,
    /// Processes that have ended, and whose file it has taken over.
    pub(super) succeeds: Vec<Who>,
    /// A call for it was refused since it was last heard, because it came with another token.
    pub(super) contested: bool,
}

impl Heard {
    /// It registers again. Where it was told to hold meanwhile, what it said before counts.
    pub(super) fn tells(&mut self, routes: Vec<(String, HeldRoutes)>) {
        let before = std::mem::replace(&mut self.routes, routes);
        for (key, said) in before {
            let told = self.routes.iter_mut().find(|(of, told)| *of == key && told.says_nothing());
            if let Some((_, told)) = told.filter(|_| !said.says_nothing()) {
                *told = HeldRoutes { is_known: told.is_known, ..said };
            }
        }
    }

    pub(super) fn loaded(record: InstanceRecord, at: Instant, steady_ms: u64) -> Self {
        let before_ms = if record.heard_ms > 0 { steady_ms.saturating_sub(record.heard_ms) } else { 0 };
        Self {
            shares_durably: record.shares_id,
            record,
            before: Duration::from_millis(before_ms),
            received: 0,
            applied: 0,
            fenced: 0,
            at,
            began: None,
            reported: None,
            durable: true,
            streams: 0,
            membership: rand::random(),
            giving_up: 0,
            registering: false,
            doubtful: false,
            change: 0,
            routes: Vec::new(),
            succeeds: Vec::new(),
            contested: false,
        }
    }

    pub(super) fn registered(record: InstanceRecord, acknowledged: u64, at: Instant) -> Self {
        Self {
            record,
            before: Duration::ZERO,
            received: acknowledged,
            applied: acknowledged,
            fenced: 0,
            at,
            began: Some(at),
            reported: Some(at),
            durable: false,
            shares_durably: false,
            streams: 0,
            membership: rand::random(),
            giving_up: 0,
            registering: true,
            doubtful: false,
            change: 0,
            routes: Vec::new(),
            succeeds: Vec::new(),
            contested: false,
        }
    }

    /// It registers again; `held` is the newest revision it has. Later acknowledgements no longer count.
    pub(super) fn heard_again(&mut self, held: u64, at: Instant) {
        self.heard_last(at);
        self.received = self.received.min(held);
        self.applied = self.applied.min(held);
    }

    pub(super) const fn heard_last(&mut self, at: Instant) {
        (self.at, self.before, self.contested) = (at, Duration::ZERO, false);
    }

    /// Its predecessors, once it has rewritten their file: what it acknowledges is in there. Before that, whoever
    /// starts from the file acts by their state, and with their writer slot.
    pub(super) fn has_succeeded(&self) -> impl Iterator<Item = &Who> {
        let has_rewritten = self.record.file_valid_ms > 0 && self.received > 0;
        self.succeeds.iter().filter(move |who| has_rewritten && **who != Who::of(&self.record))
    }

    pub(super) fn admitted(&self) -> Admitted {
        Admitted { who: Who::of(&self.record), admission: self.record.admission }
    }

    /// Begins another membership. Returns its admission.
    pub(super) fn admit(&mut self) -> u64 {
        self.record.admission = rand::random::<u64>().max(1);
        self.giving_up = 0;
        self.record.admission
    }

    /// A change is sent to the store. Returns its number. Unique in this process, as answers may come in any order and
    /// after the process was removed and registered anew.
    pub(super) fn changes(&mut self) -> u64 {
        static CHANGES: AtomicU64 = AtomicU64::new(0);
        self.change = CHANGES.fetch_add(1, Ordering::Relaxed) + 1;
        self.change
    }

    /// Whether some migration may have continued without it.
    pub(super) const fn has_been_given_up(&self) -> bool {
        self.record.counted_out
            || self.record.parked
            || self.giving_up > 0
            || self.registering
            || self.doubtful
    }

    /// Whether nothing is left to be done for those who wait for it.
    pub(super) const fn is_being_given_up(&self) -> bool {
        self.record.counted_out || self.giving_up > 0 || self.registering
    }

    /// Whether it has been silent for longer than its lease. A process that starts from a file may act for as
    /// long.
    pub(super) fn is_lost(&self, silent: Duration) -> bool {
        silent > LEASE
    }

    /// How long after it was last heard it can still change anything under a fence.
    pub(super) fn until_counted_out(&self) -> Duration {
        match Mutation::Drain.is_left_out() {
            _ if Mutation::CountedOutLate.is_left_out() => Duration::from_secs(2),
            true => LEASE,
            false => LEASE + drain(&self.record),
        }
    }

    /// From now on only its file is waited for, or its fence. `steady_ms`: the steady clock.
    pub(super) fn park(&mut self, now: Instant, steady_ms: u64) -> InstanceRecord {
        // What was decided or sent before concerns the membership that ends here.
        self.admit();
        self.changes();
        self.registering = false;
        let age_ms = u64::try_from(self.file_age(now).as_millis()).unwrap_or(u64::MAX);
        self.record.parked = true;
        self.record.heard_ms = steady_ms.saturating_sub(age_ms).max(1);
        self.record.clone()
    }

    /// Time since it was last heard, whether or not the controller listened: a file expires by itself.
    pub(super) fn file_age(&self, now: Instant) -> Duration {
        self.before + now.saturating_duration_since(self.at)
    }

    /// The age at which its file is of no use any more. Its clock may be slower by a twentieth.
    pub(super) fn file_valid(&self) -> Duration {
        let valid = Duration::from_millis(self.record.file_valid_ms.into());
        valid + valid / 20 + drain(&self.record)
    }

    /// Whether it refuses every operation until it has registered again, and is then told that it was given
    /// up: the right to act has expired in every migration that it may route. It may still route one that was
    /// deleted, unless it has heard of that.
    pub(super) fn may_act_nowhere(&self, fences: &Fences, now: Instant) -> bool {
        let since = fences.harmless.map(|since| since.max(fences.deleted));
        self.record.counted_out && since.is_some_and(|since| self.is_harmless(since, now))
    }

    /// Whether its right to act expires under fences of this revision, and the same for whoever starts from its file.
    /// Until it has reported, the file may be older than what it has received.
    pub(super) fn is_harmless(&self, since: u64, now: Instant) -> bool {
        self.record.fence_heard >= since || self.fenced >= since && self.file_age(now) >= self.file_valid()
    }

    /// How much longer it is waited for. `None`: until it is back, or an operator evicts it.
    pub(super) fn waited_for(
        &self,
        silent: Duration,
        harmless_since: Option<u64>,
        now: Instant,
    ) -> Option<Duration> {
        let file = self.file_valid().saturating_sub(self.file_age(now));
        let out = self.until_counted_out().saturating_sub(silent);
        let fence = harmless_since.and_then(|since| match self.record.fence_heard >= since {
            true => Some(out),
            false => (self.fenced >= since).then_some(out.max(file)),
        });
        fence.into_iter().chain(self.record.parked.then_some(file)).min()
    }
}

/// How long after it was last heard a process may still act, or make a store call that lands.
pub(super) fn drain(record: &InstanceRecord) -> Duration {
    match record.drain_ms {
        0 => PRESUMED_DRAIN,
        drain_ms => Duration::from_millis(drain_ms.into()),
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::routing::{Band, PPM, Reason, Route, Rung};

    use super::*;

    fn told(rung: Rung) -> Vec<(String, HeldRoutes)> {
        let route = Route { rung, reason: Reason::Rollout, no_fallback: false };
        let held = HeldRoutes {
            instance_id: "a".to_owned(),
            salt: "orders".to_owned(),
            bands: vec![Band { upto_ppm: PPM, route }],
            exceptions: Vec::new(),
            is_known: true,
        };
        vec![("orders".to_owned(), held)]
    }

    #[test]
    fn who_is_told_to_hold_still_counts_as_where_it_was() {
        let mut heard = Heard::registered(InstanceRecord::default(), 0, Instant::now());
        let mut at = |rung: Rung| {
            heard.tells(told(rung));
            heard.routes[0].1.bands[0].route.rung
        };
        assert_eq!(at(Rung::Hold), Rung::Hold);
        assert_eq!(at(Rung::TargetOnly), Rung::TargetOnly);
        assert_eq!(at(Rung::Hold), Rung::TargetOnly, "it does not know better now");
        assert_eq!(at(Rung::Mirrored), Rung::Mirrored, "it does");
    }
}
