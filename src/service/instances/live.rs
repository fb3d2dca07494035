//! The members, what each has acknowledged, and until when each may act. Pure: `now` is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use super::{
    super::lease::{FORGOTTEN, Listening},
    member::{Heard, Who},
    seen::Dead,
    slots::Slots,
};
use crate::{
    domain::{Document, Glance, HeldRoutes, Member},
    service::registry::Fences,
    store::InstanceRecord,
};

/// A goodbye is remembered for this long, so that a registration that was in flight does not bring the
/// process back.
const GONE: Duration = Duration::from_secs(600);

/// What a process says when it registers.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// `writer_slot` and `admission` are ignored: the controller assigns them.
    pub record: InstanceRecord,
    /// The newest revision of this history that it holds. 0: none.
    pub held: u64,
    /// Whether it has routed by a snapshot, of any history.
    pub holds: bool,
    /// The admission from its last registration. 0: it never registered.
    pub admission: u64,
    /// What it routes by, for each migration.
    pub routes: Vec<(String, HeldRoutes)>,
    /// Processes that have ended, and whose snapshot file it has taken over.
    pub succeeds: Vec<Who>,
}

/// The result of a registration.
pub(super) enum Registering {
    /// The process has ended for good.
    Gone,
    /// All writer slots are taken.
    Full,
    /// It is a member.
    Member {
        who: Who,
        readmitted: bool,
        duplicate: bool,
        /// To be made durable before the answer is sent.
        put: Option<InstanceRecord>,
    },
}

/// The content of a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acknowledging {
    /// Received: no operation starts there under an older revision.
    pub received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub applied: u64,
    /// The admission of the membership that it knows. 0: unknown.
    pub admission: u64,
    /// The newest revision that made the right to act expire in some migration.
    pub fences: u64,
}

/// The effect of a report.
pub(super) struct Acknowledged {
    /// Whether it acknowledges more than the previous one.
    pub(super) news: bool,
    /// To be made durable when there is time.
    pub(super) put: Option<InstanceRecord>,
}

/// Changes that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// To be counted out; must be made durable first.
    pub(super) counted_out: Vec<InstanceRecord>,
    /// Processes that have ended, and whose files are of no use any more.
    pub(super) over: Vec<Who>,
    /// Writer slots that another process may have now.
    pub(super) rested: Vec<u16>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) members: BTreeMap<Who, Heard>,
    slots: Slots,
    gone: BTreeMap<Who, Instant>,
    pub(super) listening: Listening,
}

impl Live {
    /// After a start every member counts as heard just now, and as having acknowledged nothing. `steady_ms`:
    /// for how long files have been left is known from before.
    pub(super) fn new(known: Vec<InstanceRecord>, now: Instant, steady_ms: u64) -> Self {
        let (resting, known): (Vec<_>, Vec<_>) = known.into_iter().partition(InstanceRecord::is_resting);
        let slots = Slots::new(&known, &resting, now);
        let members =
            known.into_iter().map(|record| (Who::of(&record), Heard::loaded(record, now, steady_ms)));
        Self { members: members.collect(), slots, gone: BTreeMap::new(), listening: Listening::new(now) }
    }

    /// `newest`: the controller's revision; a process that never routed has acknowledged it.
    pub(super) fn register(&mut self, asking: Asking, newest: u64, now: Instant) -> Registering {
        let Asking { mut record, held, holds, admission, routes, succeeds } = asking;
        self.gone.retain(|_, at| now.saturating_duration_since(*at) < GONE);
        let who = Who::of(&record);
        if self.gone.contains_key(&who) {
            return Registering::Gone;
        }
        let duplicate = self.is_duplicate(&who);
        if let Some(heard) = self.members.get_mut(&who) {
            let readmitted =
                heard.has_been_given_up() || admission != 0 && admission != heard.record.admission;
            record.writer_slot = heard.record.writer_slot;
            record.fence_heard = heard.record.fence_heard;
            record.admission = if readmitted { rand::random::<u64>().max(1) } else { heard.record.admission };
            let held = if readmitted { 0 } else { held };
            heard.heard_again(held, now);
            (heard.routes, heard.succeeds) = (routes, succeeds);
            let put = (heard.record != record || !heard.durable).then(|| record.clone());
            return Registering::Member { who, readmitted: readmitted && holds, duplicate, put };
        }
        let Some(slot) = self.slots.take() else { return Registering::Full };
        record.writer_slot = slot;
        record.admission = rand::random::<u64>().max(1);
        // A process that holds a snapshot and is unknown was given up, whatever else was forgotten. A process
        // whose file may be older has not acknowledged anything either.
        let acknowledged = if holds || record.file_valid_ms > 0 { 0 } else { newest };
        let heard = Heard { routes, succeeds, ..Heard::registered(record.clone(), acknowledged, now) };
        self.members.insert(who.clone(), heard);
        Registering::Member { who, readmitted: holds, duplicate, put: Some(record) }
    }

    /// A registration has been made durable, or could not be.
    pub(super) fn registered(&mut self, who: &Who, record: InstanceRecord, is_durable: bool, now: Instant) {
        let Some(heard) = self.members.get_mut(who) else { return };
        if is_durable {
            heard.durable = true;
            heard.giving_up = false;
            // A goodbye may have come in between.
            let InstanceRecord { parked, heard_ms, admission, .. } = heard.record;
            let parked = parked && admission == record.admission;
            heard.record = InstanceRecord { parked, heard_ms: if parked { heard_ms } else { 0 }, ..record };
        } else if !heard.durable {
            self.remove(who, now);
        }
    }

    /// Whether another process with this id is connected.
    pub(super) fn is_duplicate(&self, who: &Who) -> bool {
        self.named(&who.instance_id)
            .any(|(other, heard)| other != who && heard.streams > 0 && !heard.record.parked)
    }

    /// The process that reports under this id. Without an incarnation it has to be the only one.
    pub(super) fn who(&self, instance_id: &str, incarnation: u64) -> Option<Who> {
        if incarnation > 0 {
            let who = Who { instance_id: instance_id.to_owned(), incarnation };
            return self.members.contains_key(&who).then_some(who);
        }
        let mut named = self.named(instance_id);
        let (first, _) = named.next()?;
        named.next().is_none().then(|| first.clone())
    }

    /// What people call it: its id or, if several processes have that, its label.
    pub(super) fn name(&self, who: &Who) -> String {
        if self.named(&who.instance_id).nth(1).is_some() { who.label() } else { who.instance_id.clone() }
    }

    /// All processes with an id.
    fn named(&self, instance_id: &str) -> impl Iterator<Item = (&Who, &Heard)> {
        let who = |incarnation| Who { instance_id: instance_id.to_owned(), incarnation };
        self.members.range(who(0)..=who(u64::MAX))
    }

    /// Records a report with its acknowledgements. `None`: the process has to register first.
    pub(super) fn acknowledge(
        &mut self,
        who: &Who,
        said: &Acknowledging,
        now: Instant,
    ) -> Option<Acknowledged> {
        let Acknowledging { received, applied, admission, fences } = *said;
        let heard = self.members.get_mut(who)?;
        // A process that was readmitted and does not know it yet may still act as before.
        if heard.has_been_given_up() || admission != 0 && admission != heard.record.admission {
            return None;
        }
        heard.at = now;
        let news = received > heard.received || applied > heard.applied;
        // A reconnected instance may receive older revisions first; what it acknowledged remains true.
        heard.received = heard.received.max(received);
        heard.applied = heard.applied.max(applied);
        // Kept over restarts: if the process dies, the controller must know that it had received the fence
        // and had ended what it had begun before.
        let is_fenced = applied >= fences && heard.record.fence_heard < fences;
        if is_fenced {
            heard.record.fence_heard = applied;
        }
        Some(Acknowledged { news, put: is_fenced.then(|| heard.record.clone()) })
    }

    /// The process is about to end. If it leaves a file it stays a member until that has expired.
    /// `steady_ms`: the steady clock.
    pub(super) fn goodbye(
        &mut self,
        who: &Who,
        file_valid_ms: u32,
        now: Instant,
        steady_ms: u64,
    ) -> Option<InstanceRecord> {
        if who.incarnation > 0 {
            self.gone.insert(who.clone(), now);
        }
        let heard = self.members.get_mut(who)?;
        if file_valid_ms == 0 || Mutation::Parked.is_left_out() {
            return None;
        }
        heard.heard_last(now);
        heard.record.file_valid_ms = file_valid_ms;
        Some(heard.park(now, steady_ms))
    }

    /// The process is dead, and the file that it kept may be used until it expires. `None`: it has no file,
    /// or was already parked.
    pub(super) fn park(&mut self, who: &Who, now: Instant, steady_ms: u64) -> Option<InstanceRecord> {
        let heard = self.members.get_mut(who)?;
        let may_be_used = !heard.record.parked && heard.record.file_valid_ms > 0;
        may_be_used.then(|| heard.park(now, steady_ms))
    }

    pub(super) fn remove(&mut self, who: &Who, now: Instant) -> bool {
        let removed = self.members.remove(who);
        if let Some(heard) = &removed {
            self.slots.free(&heard.record, now);
        }
        removed.is_some()
    }

    /// Changes that are due now. A process to be counted out is given up from this moment on, and renews
    /// nothing meanwhile.
    pub(super) fn take_due(&mut self, fences: &Fences, now: Instant) -> Due {
        let due = Due { rested: self.slots.rested(now), ..self.due(fences, now) };
        due.counted_out.iter().for_each(|record| _ = self.give_up(&Who::of(record)));
        due
    }

    /// Counting out was made durable, or failed. False: the process came back meanwhile, and was told.
    pub(super) fn counted_out(&mut self, who: &Who, admission: u64, is_durable: bool) -> bool {
        let heard = self.members.get_mut(who).filter(|heard| heard.record.admission == admission);
        let Some(heard) = heard else { return false };
        heard.record.counted_out |= is_durable;
        heard.giving_up = false;
        true
    }

    /// The processes that an operator means.
    pub(super) fn dead(&self, dead: &Dead, now: Instant) -> Vec<Who> {
        let is_meant = |who: &Who, heard: &Heard| match dead {
            Dead::Named(name) => who.instance_id == *name || who.label() == *name,
            Dead::Lost { instance_id, older_than, service } => {
                let silent = self.silent(heard, now);
                let is_named = match instance_id.as_str() {
                    "" => !heard.record.parked,
                    name => who.instance_id == name || who.label() == name,
                };
                let of_service = service.is_empty() || heard.record.service == *service;
                heard.is_lost(silent) && is_named && silent >= *older_than && of_service
            }
        };
        let meant = self.members.iter().filter(|(who, heard)| is_meant(who, heard));
        meant.map(|(who, _)| who.clone()).collect()
    }

    /// From now on the process is told if it comes back. Returns its record.
    pub(super) fn give_up(&mut self, who: &Who) -> Option<InstanceRecord> {
        let heard = self.members.get_mut(who)?;
        heard.giving_up = true;
        Some(heard.record.clone())
    }

    /// It was not given up after all.
    pub(super) fn keep_on(&mut self, who: &Who) {
        self.members.get_mut(who).into_iter().for_each(|heard| heard.giving_up = false);
    }

    fn due(&self, fences: &Fences, now: Instant) -> Due {
        let mut due = Due::default();
        let succeeded: BTreeSet<&Who> = self.members.values().flat_map(Heard::has_succeeded).collect();
        for (who, heard) in &self.members {
            let silent = self.silent(heard, now);
            if succeeded.contains(who) {
                due.over.push(who.clone());
                continue;
            }
            // Only one process may use an id at a time: if another is connected, a silent one has ended.
            let is_replaced = heard.streams == 0 && heard.is_lost(silent) && self.is_duplicate(who);
            let is_forgotten = heard.may_act_nowhere(fences) && silent >= FORGOTTEN;
            let is_over = match heard.record.parked {
                true => heard.file_age(now) >= heard.file_valid(),
                false => is_replaced,
            };
            if is_over || is_forgotten {
                due.over.push(who.clone());
            } else if fences.newest.is_some()
                && !heard.has_been_given_up_for_good()
                && silent >= heard.until_counted_out()
            {
                due.counted_out.push(InstanceRecord { counted_out: true, ..heard.record.clone() });
            }
        }
        due
    }

    /// How long the controller has listened without hearing it.
    pub(super) fn silent(&self, heard: &Heard, now: Instant) -> Duration {
        now.saturating_duration_since(heard.at.max(self.listening.since()))
    }

    /// The members that have to acknowledge the steps of a migration. `None`: of any migration.
    pub(super) fn members(&self, document: Option<&Document>, now: Instant) -> Vec<Member> {
        let fenced_since = document.and_then(Document::fenced_since);
        let members = self.waited_for(fenced_since);
        members.map(|(who, heard)| self.member(who, heard, fenced_since, now)).collect()
    }

    /// The same at a glance.
    pub(super) fn glance(&self, document: &Document, now: Instant) -> Glance {
        let mut glance = Glance::default();
        for (_, heard) in self.waited_for(document.fenced_since()) {
            let lost = heard.is_lost(self.silent(heard, now));
            glance.add(&heard.record.service, heard.received, heard.applied, lost);
        }
        glance
    }

    fn waited_for(&self, fenced_since: Option<u64>) -> impl Iterator<Item = (&Who, &Heard)> {
        let is_out = move |heard: &Heard| {
            fenced_since.is_some_and(|since| heard.record.counted_out && heard.record.fence_heard >= since)
        };
        self.members.iter().filter(move |(_, heard)| !is_out(heard))
    }

    fn member(&self, who: &Who, heard: &Heard, fenced_since: Option<u64>, now: Instant) -> Member {
        let silent = self.silent(heard, now);
        let is_fenced = fenced_since.is_some_and(|since| heard.has_heard(since));
        let lost = heard.is_lost(silent);
        Member {
            name: self.name(who),
            service: heard.record.service.clone(),
            received: heard.received,
            applied: heard.applied,
            lost,
            worker: heard.record.worker,
            waited_for: lost.then(|| heard.waited_for(silent, is_fenced, now)).flatten(),
        }
    }
}
