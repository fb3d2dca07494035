//! The instances, and what each has acknowledged.
//!
//! Registrations are durable before an instance routes, so that a restarted controller knows whom to ask.
//! Acknowledgements are not: after a restart nobody has acknowledged anything until it reports again, within
//! a second. See docs/protocol.md, "The right to act expires".

mod credentials;
mod leaving;
mod live;
mod member;
mod registration;
mod seen;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_clock::Instant;
use cutover_core::routing::Mutation;
use tokio::sync::{mpsc, oneshot, watch};

pub use live::{Acknowledging, Asking, Fenced};
use live::{Live, Registering};
pub use member::{Admitted, Who};
use registration::check;
pub use registration::{RegisterError, Registration, check_name, shown};
pub use seen::{Dead, InstanceView};

use super::{Registry, registry::Entry, steady::Steady, tokens::RefusedBy};
use crate::{
    domain::{Fleet, Glance, HeldRoutes, Key, Member},
    store::{self, InstanceRecord, Store, Upkeep},
};

/// Maximum registrations in one commit.
const BATCH_MAX: usize = 256;

/// The instances of this controller.
#[derive(Debug)]
pub struct Instances {
    store: Arc<dyn Store>,
    live: Mutex<Live>,
    keep: mpsc::UnboundedSender<Keep>,
    acknowledged: watch::Sender<()>,
    steady: Arc<Steady>,
}

/// Records to be stored, by label. `None`: to be removed.
type Changes = Vec<(String, Option<InstanceRecord>)>;

/// Changes to be stored together.
#[derive(Debug)]
pub struct Keep {
    changes: Changes,
    done: oneshot::Sender<Result<(), String>>,
}

/// The result of changes that were sent to the store.
struct Kept(oneshot::Receiver<Result<(), String>>);

impl Kept {
    async fn result(self) -> Result<(), store::Error> {
        let gone = |_| store::Error::Unavailable("the controller is shutting down".to_owned());
        self.0.await.map_err(gone)?.map_err(store::Error::Unavailable)
    }
}

/// An open stream to an instance. While there is one, the instance is connected.
#[derive(Debug)]
pub struct Connected {
    instances: Arc<Instances>,
    who: Who,
    membership: u64,
}

impl Instances {
    /// Starts with the instances in the store. Also returns the queue for [`Self::keep`].
    pub fn new(
        store: Arc<dyn Store>,
        registry: &Registry,
        known: Vec<InstanceRecord>,
    ) -> (Self, mpsc::UnboundedReceiver<Keep>) {
        // Everybody who sends something waits for the result, or sends it once.
        let (keep, kept) = mpsc::unbounded_channel();
        let steady = registry.steady();
        let mut live = Live::new(known, Instant::now(), steady.now_ms());
        if Mutation::HeardAnew.is_left_out() {
            live.acknowledged_by_all(registry.state().revision);
        }
        let live = Mutex::new(live);
        (Self { store, live, keep, acknowledged: watch::Sender::new(()), steady }, kept)
    }

    /// The store was restored: it does not know all instances, nor their writer slots.
    pub fn restored(&self) {
        self.live().restored(Instant::now());
    }

    /// For how many seconds new processes can't register because the store was restored. 0: they can.
    pub fn refuses_new_for_s(&self) -> u64 {
        registration::seconds(self.live().refuses_new(Instant::now()))
    }

    /// Registers a process, durably.
    pub async fn register(&self, asking: Asking, at: Fenced) -> Result<Registration, RegisterError> {
        check(&asking.record)?;
        let (who, readmitted, duplicate, put) = {
            let mut live = self.live();
            let asking = live.checked(asking)?;
            let holds = asking.holds;
            match live.register(asking, at, Instant::now()) {
                Registering::Gone => return Err(RegisterError::Gone),
                Registering::NoSlot(why) => {
                    let refused = RegisterError::from(why);
                    // It goes on by what it holds, and can't say what that is.
                    live.tokens.iter().filter(|_| holds).for_each(|tokens| {
                        tokens.refusals().note_process(RefusedBy::Slots, &refused.to_string());
                    });
                    return Err(refused);
                }
                Registering::Member { who, readmitted, duplicate, put } => {
                    let put = put.map(|(record, change)| (self.put(&live, &record), record, change));
                    (who, readmitted, duplicate, put)
                }
            }
        };
        if let Some((kept, record, change)) = put {
            let kept = kept.result().await;
            self.live().registered(&who, record, change, kept.is_ok());
            kept?;
            tracing::info!(instance = who.instance_id, "registered");
        }
        if duplicate {
            tracing::warn!(
                instance = who.instance_id,
                "two processes are connected with one instance id; give each an id of its own"
            );
        }
        let gone =
            || RegisterError::Store(store::Error::Unavailable("given up while it registered".to_owned()));
        let live = self.live();
        // It must not act by a membership that is about to end.
        let heard = live.members.get(&who).filter(|heard| !heard.has_been_given_up());
        let record = &heard.ok_or_else(gone)?.record;
        let (writer_slot, admission) = (record.writer_slot, record.admission);
        drop(live);
        Ok(Registration { who, writer_slot, admission, readmitted, duplicate })
    }

    /// Records that somebody asks for decisions of a migration over the network, for the first time. Durable
    /// when it returns.
    pub async fn note_callers(&self, key: &Key) -> Result<(), store::Error> {
        let kept = self.put(&self.live(), &InstanceRecord::callers(key));
        kept.result().await
    }

    fn put(&self, live: &MutexGuard<'_, Live>, record: &InstanceRecord) -> Kept {
        self.change(live, vec![(record.label(), Some(record.clone()))])
    }

    /// Sends changes to the store while the lock under which they were decided is still held. So they reach it in the
    /// order of the decisions, and a restarted controller finds the last one.
    fn change(&self, _: &MutexGuard<'_, Live>, changes: Changes) -> Kept {
        let (done, kept) = oneshot::channel();
        // If nobody takes it, the result says so.
        let _ = self.keep.send(Keep { changes, done });
        Kept(kept)
    }

    /// Stores registrations, many in one commit, until the queue is closed.
    pub async fn keep(&self, mut queue: mpsc::UnboundedReceiver<Keep>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // For each instance, the last change counts.
            let changes = batch.iter().flat_map(|keep| &keep.changes);
            let last: BTreeMap<_, _> = changes.map(|(label, record)| (label, record)).collect();
            let (put, removed): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, record)| record.is_some());
            let upkeep = Upkeep {
                put_instances: put.into_iter().filter_map(|(_, record)| record.clone()).collect(),
                remove_instances: removed.into_iter().map(|(label, _)| label.clone()).collect(),
                ..Upkeep::default()
            };
            let kept = self.store.keep(&upkeep).await.map_err(|error| error.to_string());
            if kept.is_ok() {
                let mut live = self.live();
                upkeep.put_instances.iter().for_each(|record| live.stored(record));
            }
            for keep in batch.drain(..) {
                // The receiver may have gone meanwhile.
                let _ = keep.done.send(kept.clone());
            }
        }
    }

    /// The process that reports under this id, also if it was given up. `None`: there is none, or it said goodbye.
    pub fn who(&self, instance_id: &str, incarnation: u64) -> Option<Who> {
        let live = self.live();
        live.who(instance_id, incarnation).filter(|who| !live.has_said_goodbye(who))
    }

    /// Records a report, with what the process has received and quiesced for. `None`: it has to register
    /// first.
    pub fn acknowledge(&self, instance_id: &str, incarnation: u64, said: &Acknowledging) -> Option<Who> {
        let mut live = self.live();
        let who = live.who(instance_id, incarnation)?;
        let live::Acknowledged { news, put } = live.acknowledge(&who, said, Instant::now())?;
        for record in put {
            // If it fails: after a restart the controller waits for it until it is back, which is safe. That it shares its
            // id is sent again.
            drop(self.put(&live, &record));
        }
        drop(live);
        if news {
            self.acknowledged.send_replace(());
        }
        Some(who)
    }

    /// Tells whenever somebody has acknowledged something new, or is not waited for any more.
    pub fn acknowledged(&self) -> watch::Receiver<()> {
        self.acknowledged.subscribe()
    }

    /// Records that a stream to a process was opened.
    pub fn connected(self: Arc<Self>, who: Who) -> Connected {
        let mut membership = 0;
        if let Some(heard) = self.live().members.get_mut(&who) {
            heard.streams += 1;
            membership = heard.membership;
        }
        Connected { instances: self, who, membership }
    }

    /// All instances, by service and id.
    pub fn seen(&self) -> Vec<InstanceView> {
        let now = Instant::now();
        let live = self.live();
        let one = |(who, heard): (&Who, &member::Heard)| {
            let silent = live.silent(heard, now);
            let lost = heard.is_lost(silent);
            InstanceView {
                name: live.name(who),
                record: heard.record.clone(),
                received: heard.received,
                applied: heard.applied,
                silent,
                lost,
                refused: live.is_refused(heard, now),
                duplicate: live.is_duplicate(who),
                waited_for: lost.then(|| heard.waited_for(silent, Some(1), now)).flatten(),
            }
        };
        let mut seen: Vec<InstanceView> = live.members.iter().map(one).collect();
        drop(live);
        seen.sort_by(|a, b| {
            (&a.record.service, &a.record.instance_id).cmp(&(&b.record.service, &b.record.instance_id))
        });
        seen
    }

    /// How many are not lost, and how many of these have not received a revision.
    pub fn live_and_behind(&self, revision: u64) -> (u32, u32) {
        let now = Instant::now();
        let live = self.live();
        let there = live.members.values().filter(|heard| !heard.is_lost(live.silent(heard, now)));
        there.fold((0, 0), |(live, behind), heard| (live + 1, behind + u32::from(heard.received < revision)))
    }

    /// The members that have to acknowledge the steps of a migration.
    pub fn fleet(&self, entry: Option<&Entry>) -> Fleet {
        let document = entry.map(|entry| &*entry.migration.document);
        let mut members = self.live().members(document, Instant::now());
        members.extend(entry.and_then(Entry::remote_callers));
        Fleet::new(members)
    }

    /// What the steps of a migration depend on of its fleet. It copies nobody.
    pub(super) fn glance(&self, entry: &Entry) -> Glance {
        let mut glance = self.live().glance(&entry.migration.document, Instant::now());
        if let Some(Member { service, received, applied, lost, .. }) = entry.remote_callers() {
            glance.add(&service, received, applied, lost);
        }
        glance
    }

    /// What the current instances routed a migration by when they registered.
    pub fn routes(&self, key: &Key) -> Vec<HeldRoutes> {
        let live = self.live();
        let routes = live.members.values().flat_map(|heard| &heard.routes);
        routes.filter(|(of, _)| of == key.as_str()).map(|(_, routes)| routes.clone()).collect()
    }

    /// For how long the controller has listened without a break.
    pub fn listened(&self) -> Duration {
        self.live().listening.since().elapsed()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        // Anything concluded under this lock may be concluded from silence.
        live.listening.look(Instant::now());
        live
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut live = self.instances.live();
        let heard = live.members.get_mut(&self.who).filter(|heard| heard.membership == self.membership);
        if let Some(heard) = heard {
            heard.streams = heard.streams.saturating_sub(1);
        }
    }
}
