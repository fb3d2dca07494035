//! Who is live, and what each has acknowledged.
//!
//! Registrations are durable before an instance routes, so that a restarted controller knows whom
//! to ask. Acknowledgements are not: after a restart everybody has acknowledged nothing until it
//! reports again, within a second.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cutover_client::clock::Instant;
use tokio::sync::{Notify, mpsc, oneshot};

use super::registry::Entry;
use crate::{
    domain::{Fleet, Member, Violation},
    store::{self, InstanceRecord, Store, Upkeep},
};

/// Silent for longer: lost.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long a remote decision may be used.
pub const DECISION_VALID: Duration = Duration::from_secs(5);
/// A migration that was asked about within this time may still be asked about.
const ASKED_WINDOW: Duration = Duration::from_secs(60);
/// Writer slots: 12 bits of a version.
const SLOTS: u16 = 4096;
/// Most registrations in one commit.
const BATCH_MAX: usize = 256;

/// An instance as people see it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is durable of it.
    pub record: InstanceRecord,
    /// No operation starts there under an older revision.
    pub received: u64,
    /// Every operation begun there under an older revision has ended.
    pub applied: u64,
    /// Since it was last heard.
    pub silent: Duration,
}

/// What an instance is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Of this instance alone.
    pub writer_slot: u16,
    /// It had been removed: what it began before must not be acknowledged.
    pub readmitted: bool,
    /// It is another process under a known id.
    pub restarted: bool,
}

/// Why an instance can't register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A field is malformed.
    #[error(transparent)]
    Invalid(#[from] Violation),
    /// All writer slots are taken.
    #[error("all {SLOTS} writer slots are taken: evict instances that are dead (cutover instances)")]
    Full,
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The instances of this controller.
#[derive(Debug)]
pub struct Instances {
    store: Arc<dyn Store>,
    live: Mutex<Live>,
    keep: mpsc::Sender<Keep>,
    acknowledged: Notify,
}

#[derive(Debug, Default)]
struct Live {
    seen: HashMap<String, Heard>,
    /// Ids that were removed: who comes back under one of them is told so.
    removed: BTreeSet<String>,
    slots: BTreeSet<u16>,
}

#[derive(Debug)]
struct Heard {
    record: InstanceRecord,
    received: u64,
    applied: u64,
    at: Instant,
    /// Drawn by the process; 0: not heard since this controller started.
    incarnation: u64,
    /// The store has it.
    durable: bool,
}

/// A registration on its way to the store.
#[derive(Debug)]
pub struct Keep {
    record: InstanceRecord,
    done: oneshot::Sender<Result<(), String>>,
}

/// Ids remembered after removal; older ones are told nothing.
const REMOVED_MAX: usize = 10_000;

impl Instances {
    /// Instances that a store knows, and the queue for [`Self::keep`].
    pub fn new(store: Arc<dyn Store>, known: Vec<InstanceRecord>) -> (Self, mpsc::Receiver<Keep>) {
        let (keep, kept) = mpsc::channel(BATCH_MAX);
        let at = Instant::now();
        let slots = known.iter().map(|record| record.writer_slot).collect();
        let heard = |record: InstanceRecord| Heard {
            record,
            received: 0,
            applied: 0,
            at,
            incarnation: 0,
            durable: true,
        };
        let seen = known.into_iter().map(|record| (record.instance_id.clone(), heard(record))).collect();
        let live = Mutex::new(Live { seen, slots, ..Live::default() });
        (Self { store, live, keep, acknowledged: Notify::new() }, kept)
    }

    /// Registers an instance, durably.
    ///
    /// `record.writer_slot` is ignored: a known id keeps its slot, a new one gets a free one. `held`
    /// is the newest revision it has: it may be a new process under an old name, so what the old
    /// one acknowledged beyond that counts no more. `never_held`: the newest revision, if it says
    /// that it never had any: unless it is known here, it has nothing to end that began before.
    pub async fn register(
        &self,
        mut record: InstanceRecord,
        held: u64,
        never_held: Option<u64>,
        incarnation: u64,
    ) -> Result<Registration, RegisterError> {
        check_name("instance_id", &record.instance_id)?;
        check_name("service", &record.service)?;
        for (field, text) in [("sdk", &record.sdk), ("tenant_fingerprint", &record.tenant_fingerprint)] {
            if text.len() > 128 || text.chars().any(char::is_control) {
                return Err(Violation::new(field, "give at most 128 bytes without control characters").into());
            }
        }
        let mut restarted = false;
        let readmitted = {
            let mut live = self.live();
            let live = &mut *live;
            match live.seen.get_mut(&record.instance_id) {
                Some(heard) => {
                    record.writer_slot = heard.record.writer_slot;
                    heard.at = Instant::now();
                    restarted = std::mem::replace(&mut heard.incarnation, incarnation) != incarnation;
                    heard.received = heard.received.min(held);
                    heard.applied = heard.applied.min(held);
                    if heard.durable && heard.record == record {
                        let writer_slot = record.writer_slot;
                        return Ok(Registration { writer_slot, readmitted: false, restarted });
                    }
                }
                None => {
                    let slot =
                        (0..SLOTS).find(|slot| !live.slots.contains(slot)).ok_or(RegisterError::Full)?;
                    record.writer_slot = slot;
                    live.slots.insert(slot);
                    let known = live.removed.contains(&record.instance_id);
                    let acknowledged = never_held.filter(|_| !known).unwrap_or(0);
                    let heard = Heard {
                        record: record.clone(),
                        received: acknowledged,
                        applied: acknowledged,
                        at: Instant::now(),
                        incarnation,
                        durable: false,
                    };
                    live.seen.insert(record.instance_id.clone(), heard);
                }
            }
            live.removed.remove(&record.instance_id)
        };
        let kept = self.make_durable(record.clone()).await;
        let mut live = self.live();
        match kept {
            Ok(()) => {
                if let Some(heard) = live.seen.get_mut(&record.instance_id) {
                    heard.durable = true;
                    heard.record.clone_from(&record);
                }
            }
            Err(error) => {
                if live.seen.get(&record.instance_id).is_some_and(|heard| !heard.durable) {
                    live.seen.remove(&record.instance_id);
                    live.slots.remove(&record.writer_slot);
                }
                return Err(error.into());
            }
        }
        tracing::info!(instance = record.instance_id, service = record.service, "registered");
        Ok(Registration { writer_slot: record.writer_slot, readmitted, restarted })
    }

    async fn make_durable(&self, record: InstanceRecord) -> Result<(), store::Error> {
        let (done, kept) = oneshot::channel();
        let gone = || store::Error::Unavailable("the controller is shutting down".to_owned());
        self.keep.send(Keep { record, done }).await.map_err(|_| gone())?;
        kept.await.map_err(|_| gone())?.map_err(store::Error::Unavailable)
    }

    /// Makes registrations durable, many in one commit, until the queue is closed.
    pub async fn keep(&self, mut queue: mpsc::Receiver<Keep>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let put_instances = batch.iter().map(|keep| keep.record.clone()).collect();
            let kept = self
                .store
                .keep(&Upkeep { put_instances, ..Upkeep::default() })
                .await
                .map_err(|error| error.to_string());
            for keep in batch.drain(..) {
                // Who has gone meanwhile does not want to know.
                let _ = keep.done.send(kept.clone());
            }
        }
    }

    /// An instance was heard, and says what it has acknowledged. False: it is not registered.
    pub fn acknowledge(&self, instance_id: &str, received: u64, applied: u64) -> bool {
        let mut live = self.live();
        let Some(heard) = live.seen.get_mut(instance_id) else { return false };
        heard.at = Instant::now();
        let news = received > heard.received || applied > heard.applied;
        // A reconnected instance may be told of older ones first; what it said stays true.
        heard.received = heard.received.max(received);
        heard.applied = heard.applied.max(applied);
        drop(live);
        if news {
            self.acknowledged.notify_one();
        }
        true
    }

    /// Waits until somebody has acknowledged something new.
    pub async fn acknowledged(&self) {
        self.acknowledged.notified().await;
    }

    /// Takes an instance off: it said goodbye, or an operator asserts that it is dead.
    /// False: it was not registered.
    pub async fn remove(&self, instance_id: &str) -> Result<bool, store::Error> {
        if !self.live().seen.contains_key(instance_id) {
            return Ok(false);
        }
        let remove_instances = vec![instance_id.to_owned()];
        self.store.keep(&Upkeep { remove_instances, ..Upkeep::default() }).await?;
        let mut live = self.live();
        if let Some(heard) = live.seen.remove(instance_id) {
            live.slots.remove(&heard.record.writer_slot);
        }
        if live.removed.len() < REMOVED_MAX {
            live.removed.insert(instance_id.to_owned());
        }
        drop(live);
        self.acknowledged.notify_one();
        Ok(true)
    }

    /// Everybody, by service and id.
    pub fn seen(&self) -> Vec<Seen> {
        let live = self.live();
        let mut seen: Vec<Seen> = live
            .seen
            .values()
            .map(|heard| Seen {
                record: heard.record.clone(),
                received: heard.received,
                applied: heard.applied,
                silent: heard.at.elapsed(),
            })
            .collect();
        drop(live);
        seen.sort_by(|a, b| {
            (&a.record.service, &a.record.instance_id).cmp(&(&b.record.service, &b.record.instance_id))
        });
        seen
    }

    /// How many are not lost, and how many of these have not received a revision.
    pub fn live_and_behind(&self, revision: u64) -> (u32, u32) {
        let live = self.live();
        let there = live.seen.values().filter(|heard| heard.at.elapsed() <= LEASE);
        there.fold((0, 0), |(live, behind), heard| (live + 1, behind + u32::from(heard.received < revision)))
    }

    /// Who has to acknowledge the steps of a migration.
    pub fn fleet(&self, entry: Option<&Entry>) -> Fleet {
        let live = self.live();
        let mut members: Vec<Member> = live
            .seen
            .values()
            .map(|heard| Member {
                name: heard.record.instance_id.clone(),
                service: heard.record.service.clone(),
                received: heard.received,
                applied: heard.applied,
                lost: heard.at.elapsed() > LEASE,
            })
            .collect();
        drop(live);
        members.extend(entry.and_then(remote_callers));
        Fleet::new(members)
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who ask over the network hold no lease, only answers that expire: while a migration is
/// asked about, its newest change is not settled before the answers given until then have expired.
fn remote_callers(entry: &Entry) -> Option<Member> {
    let asked = entry.last_asked().is_some_and(|since| since < ASKED_WINDOW);
    let expired = entry.changed.elapsed() >= DECISION_VALID;
    (asked && !expired).then(|| Member {
        name: format!("callers of Decide (their answers expire within {} s)", DECISION_VALID.as_secs()),
        service: String::new(),
        received: entry.migration.revision - 1,
        applied: entry.migration.revision - 1,
        lost: false,
    })
}

fn check_name(field: &str, name: &str) -> Result<(), Violation> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Violation::new(
        field,
        format!("{name:?} is no name: use 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"),
    ))
}
