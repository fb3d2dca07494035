//! The members, what each has acknowledged, and until when each may act. Pure: `now` is an argument.

mod leaving;
mod shared;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover_clock::Instant;
use cutover_core::routing::Mutation;

use super::{
    super::{Tokens, lease::Listening},
    member::{Admitted, Heard, Who},
    slots::{NoSlot, Slots},
};
use crate::{
    domain::{Document, Glance, HeldRoutes, Member},
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
    /// The slot with which it writes.
    pub slot: Option<u16>,
    /// Processes that have ended, and whose snapshot file it has taken over.
    pub succeeds: Vec<Who>,
}

/// The result of a registration.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(super) enum Registering {
    /// The process has ended for good.
    Gone,
    /// There is no writer slot for it.
    NoSlot(NoSlot),
    /// It is a member.
    Member {
        who: Who,
        readmitted: bool,
        duplicate: bool,
        /// To be made durable before the answer is sent, and the number of this change.
        put: Option<(InstanceRecord, u64)>,
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

/// What is committed when a process registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fenced {
    /// The revision.
    pub revision: u64,
    /// Whether the right to act expires in some migration.
    pub has_fence: bool,
}

/// The effect of a report.
pub(super) struct Acknowledged {
    /// Whether it acknowledges more than the previous one.
    pub(super) news: bool,
    /// To be made durable when there is time.
    pub(super) put: Vec<InstanceRecord>,
}

/// Changes that are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// To be counted out; must be made durable first.
    pub(super) counted_out: Vec<Admitted>,
    /// Processes that have ended.
    pub(super) over: Vec<Admitted>,
    /// Writer slots that another process may have now.
    pub(super) rested: Vec<u16>,
}

/// How the membership of a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has ended, but its file can still be used.
    Park,
    /// Nobody can act by it, or by what it left.
    Remove,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) members: BTreeMap<Who, Heard>,
    slots: Slots,
    gone: BTreeMap<Who, Instant>,
    pub(super) listening: Listening,
    /// Which tokens are valid. `None`: there are none.
    pub(super) tokens: Option<Arc<Tokens>>,
}

impl Live {
    /// After a start every member counts as heard just now, and as having acknowledged nothing. `steady_ms`:
    /// for how long files have been left is known from before.
    pub(super) fn new(known: Vec<InstanceRecord>, now: Instant, steady_ms: u64) -> Self {
        let (resting, known): (Vec<_>, Vec<_>) = known.into_iter().partition(InstanceRecord::is_resting);
        let slots = Slots::new(&known, &resting, now);
        let members =
            known.into_iter().map(|record| (Who::of(&record), Heard::loaded(record, now, steady_ms)));
        Self {
            members: members.collect(),
            slots,
            gone: BTreeMap::new(),
            listening: Listening::new(now),
            tokens: None,
        }
    }

    /// Takes for granted that every member has acknowledged a revision.
    pub(super) fn acknowledged_by_all(&mut self, revision: u64) {
        for heard in self.members.values_mut() {
            (heard.received, heard.applied) = (revision, revision);
        }
    }

    /// The store was restored: processes that it does not know have slots.
    pub(super) fn restored(&mut self, now: Instant) {
        self.slots.rest_all(now);
    }

    /// For how long new processes can't register because the store was restored.
    pub(super) fn refuses_new(&self, now: Instant) -> Duration {
        self.slots.rest_after_restore(now)
    }

    /// `at`: the controller's revision, and its fences then; a process that never routed has acknowledged them.
    pub(super) fn register(&mut self, asking: Asking, at: Fenced, now: Instant) -> Registering {
        let Asking { mut record, held, holds, admission, routes, slot, succeeds } = asking;
        self.gone.retain(|_, at| now.saturating_duration_since(*at) < GONE);
        let who = Who::of(&record);
        if self.gone.contains_key(&who) && !Mutation::GoneStaysGone.is_left_out() {
            return Registering::Gone;
        }
        let duplicate = self.is_duplicate(&who);
        // Whatever it gets has the fence. It may die before its first report. Its file may be older.
        let fenced = if at.has_fence && !holds { at.revision } else { 0 };
        let fence_heard = if record.file_valid_ms > 0 { 0 } else { fenced };
        let readmitted =
            self.members.get(&who).is_some_and(|heard| self.may_be_behind(heard, admission, now));
        if let Some(heard) = self.members.get_mut(&who) {
            let slot = match self.slots.take_again(&heard.record, slot, now) {
                Ok(slot) => slot,
                Err(why) => return Registering::NoSlot(why),
            };
            // It was given up and has come back since the backup.
            let readmitted = readmitted || slot != heard.record.writer_slot;
            heard.record.writer_slot = slot;
            record.writer_slot = slot;
            // It has the slots that this needs.
            record.version_layout = heard.record.version_layout;
            self.slots.count_for(&record);
            record.fence_heard = heard.record.fence_heard.max(fence_heard);
            record.admission = heard.record.admission;
            record.shares_id = heard.record.shares_id;
            let differs = readmitted || heard.record != record;
            if readmitted {
                record.admission = heard.admit();
                heard.registering = true;
            }
            let held = if readmitted { 0 } else { held };
            heard.heard_again(held, now);
            heard.record.fence_heard = record.fence_heard;
            heard.fenced = heard.fenced.max(fenced);
            heard.tells(routes);
            heard.succeeds = succeeds;
            let put = (differs || !heard.durable).then(|| (record, heard.changes()));
            return Registering::Member { who, readmitted: readmitted && holds, duplicate, put };
        }
        let slot = match self.slots.take(&record, slot, now) {
            Ok(slot) => slot,
            Err(why) => return Registering::NoSlot(why),
        };
        record.writer_slot = slot;
        record.admission = rand::random::<u64>().max(1);
        // A process that holds a snapshot and is unknown was given up, whatever else was forgotten. A process
        // whose file may be older has not acknowledged anything either.
        let is_behind = holds && !Mutation::Readmitted.is_left_out();
        let acknowledged = if is_behind || record.file_valid_ms > 0 { 0 } else { at.revision };
        record.fence_heard = fence_heard;
        // It was a member before. What was known of it then is gone, but not what others of its id have.
        record.shares_id =
            admission > 0 && self.named(&who.instance_id).any(|(_, heard)| heard.record.shares_id);
        let heard = Heard::registered(record.clone(), acknowledged, now);
        // One that was a member before does not follow anybody.
        let began = heard.began.filter(|_| admission == 0);
        let mut heard = Heard { fenced, routes, succeeds, began, ..heard };
        let put = Some((record, heard.changes()));
        self.members.insert(who.clone(), heard);
        Registering::Member { who, readmitted: holds, duplicate, put }
    }

    /// A registration has been made durable, or could not be.
    pub(super) fn registered(&mut self, who: &Who, record: InstanceRecord, change: u64, is_durable: bool) {
        let Some(heard) = self.members.get_mut(who) else { return };
        heard.durable |= is_durable;
        if heard.change != change {
            return;
        }
        let was_readmitted = std::mem::take(&mut heard.registering);
        heard.doubtful &= !is_durable;
        if is_durable {
            // It may have received a fence in between, or turned out to share its id.
            let fence_heard = record.fence_heard.max(heard.record.fence_heard);
            let shares_id = record.shares_id || heard.record.shares_id;
            heard.record = InstanceRecord { fence_heard, shares_id, ..record };
        } else if !heard.durable {
            self.members.remove(who);
            self.slots.give_back(&record);
        } else {
            // Perhaps the store has it, perhaps not: it has to register again.
            heard.doubtful |= was_readmitted;
        }
    }

    /// Whether another process with this id is connected.
    pub(super) fn is_duplicate(&self, who: &Who) -> bool {
        self.connected_as(who).next().is_some()
    }

    /// Whether the process has said that it ends, lately.
    pub(super) fn has_said_goodbye(&self, who: &Who) -> bool {
        self.gone.contains_key(who)
    }

    /// Other processes with this id that are connected.
    pub(super) fn connected_as(&self, who: &Who) -> impl Iterator<Item = &Heard> {
        let others = self.named(&who.instance_id).filter(move |(other, _)| *other != who);
        others.map(|(_, heard)| heard).filter(|heard| heard.streams > 0 && !heard.record.parked)
    }

    /// The process that reports under this id. 0 identifies nobody: an older store may have a member that registered
    /// with it, for which any number of processes would speak.
    pub(super) fn who(&self, instance_id: &str, incarnation: u64) -> Option<Who> {
        let who = Who::new(instance_id.to_owned(), incarnation);
        (incarnation > 0 && self.members.contains_key(&who)).then_some(who)
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
        let heard = self.members.get(who)?;
        if self.may_be_behind(heard, admission, now) {
            return None;
        }
        let mut put = self.share_id(who);
        let heard = self.members.get_mut(who)?;
        (heard.at, heard.contested) = (now, false);
        heard.reported = Some(now);
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
        if is_fenced {
            put.push(heard.record.clone());
        }
        Some(Acknowledged { news, put })
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
        self.gone.insert(who.clone(), now);
        let heard = self.members.get_mut(who)?;
        if file_valid_ms == 0 || Mutation::Parked.is_left_out() {
            return None;
        }
        heard.heard_last(now);
        heard.record.file_valid_ms = file_valid_ms;
        Some(heard.park(now, steady_ms))
    }

    /// How long the controller has listened without hearing it.
    pub(super) fn silent(&self, heard: &Heard, now: Instant) -> Duration {
        now.saturating_duration_since(heard.at.max(self.listening.since()))
    }

    /// Whether some migration may have continued without it, so that it must not begin anything before it has the
    /// current state. `admission`: the membership that it knows; 0: none.
    fn may_be_behind(&self, heard: &Heard, admission: u64, now: Instant) -> bool {
        // Its right to act has ended somewhere, and steps down do not wait for it.
        let has_expired = heard.record.fence_heard > 0 && heard.is_lost(self.silent(heard, now));
        // A process that was readmitted and does not know it yet may still act as before.
        let is_unaware = admission != 0 && admission != heard.record.admission;
        heard.has_been_given_up() || has_expired || is_unaware
    }

    /// The members that have to acknowledge the steps of a migration. `None`: of any migration.
    pub(super) fn members(&self, document: Option<&Document>, now: Instant) -> Vec<Member> {
        let harmless_since = document.and_then(Document::harmless_since);
        let members = self.waited_for(harmless_since, now);
        members.map(|(who, heard)| self.member(who, heard, harmless_since, now)).collect()
    }

    /// The same at a glance.
    pub(super) fn glance(&self, document: &Document, now: Instant) -> Glance {
        let mut glance = Glance::default();
        for (_, heard) in self.waited_for(document.harmless_since(), now) {
            let lost = heard.is_lost(self.silent(heard, now));
            glance.add(&heard.record.service, heard.received, heard.applied, lost);
        }
        glance
    }

    fn waited_for(&self, harmless_since: Option<u64>, now: Instant) -> impl Iterator<Item = (&Who, &Heard)> {
        let is_out = move |heard: &Heard| {
            harmless_since.is_some_and(|since| heard.record.counted_out && heard.is_harmless(since, now))
        };
        self.members.iter().filter(move |(_, heard)| !is_out(heard))
    }

    fn member(&self, who: &Who, heard: &Heard, harmless_since: Option<u64>, now: Instant) -> Member {
        let silent = self.silent(heard, now);
        let lost = heard.is_lost(silent);
        Member {
            name: self.name(who),
            service: heard.record.service.clone(),
            received: heard.received,
            applied: heard.applied,
            lost,
            refused: self.is_refused(heard, now),
            worker: heard.record.worker,
            waited_for: lost.then(|| heard.waited_for(silent, harmless_since, now)).flatten(),
        }
    }
}
