//! What the model remembers: one record in two stores, and everybody who may still touch it.

use cutover_client::{
    migrator::rules::{Condition, Read, ReadCall, Seen, Write, WriteCall},
    report::StoreRole::{self, Source},
    routing::Rung,
    store::Version,
};

use crate::{history::History, overrides::Neighbour, restart::Known};

/// What a store holds. Versions are ranks; contents are identified by their writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) version: Version,
    /// [`DELETED`], or the number of the write that made it.
    pub(crate) content: u8,
    /// Stores remove it once it has expired.
    pub(crate) expires: bool,
}

/// The content of a tombstone.
pub(crate) const DELETED: u8 = 0;

pub(crate) type Held = Option<Record>;

/// Both stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stores {
    pub(crate) source: Held,
    pub(crate) target: Held,
}

/// The condition of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum When {
    Rules(Condition),
    /// Newer, or without a version over another one without.
    Unversioned,
    /// Only mutations ask for these two.
    Always,
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) stores: Stores,
    /// Who is alive.
    pub(crate) clients: Vec<Client>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) late: Vec<Late>,
    pub(crate) ladder: Ladder,
    pub(crate) budget: Budget,
    pub(crate) history: History,
    pub(crate) broken: Option<Promise>,
    /// Whatever expires has expired.
    pub(crate) expired: bool,
    /// The highest version that anybody knows of.
    pub(crate) highest: u64,
}

/// An instance of the SDK, or a caller of remote decisions. One that has died without a file is removed, and
/// evicted at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// The revision that it routes by: an index of [`Ladder::window`].
    pub(crate) heard: u8,
    /// It has gone back on its own from the revision it has received.
    pub(crate) gone_back: bool,
    /// The controller does not wait for it, although it is alive.
    pub(crate) evicted: bool,
    /// A step down was taken while it was silent, and did not wait for it.
    pub(crate) left_behind: bool,
    /// The controller was restarted since, and does not know of that.
    pub(crate) forgotten: bool,
    pub(crate) known: Known,
    /// It may act: begin operations, make calls, and acknowledge.
    pub(crate) leased: bool,
    /// The revision in its file, while that has not expired.
    pub(crate) saved: Option<u8>,
    pub(crate) life: Life,
    pub(crate) doing: Option<Doing>,
}

/// The kind of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// An instance on the controller's stream.
    Watching,
    /// Its process has ended and has left a file.
    Parked,
    /// Started from the file; it does not hear the controller.
    Offline,
    /// It has no stream: it asks for one decision at a time, and each answer expires.
    Caller,
    /// An instance on the controller's stream; another process makes the store calls of its operation.
    Sidecar,
    /// Its process was killed, and the other one may not know that.
    Killed,
}

impl Life {
    /// Whether nobody waits for an operation for longer than it was told when it began.
    pub(crate) const fn has_deadlines(self) -> bool {
        matches!(self, Self::Caller | Self::Sidecar | Self::Killed)
    }

    /// Whether it is on the controller's stream.
    pub(crate) const fn is_on_stream(self) -> bool {
        matches!(self, Self::Watching | Self::Sidecar)
    }
}

/// An operation in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Doing {
    /// The revision of its decision.
    pub(crate) begun: u8,
    /// Begun at mirrored by a client that had gone back by itself.
    pub(crate) gone_back: bool,
    /// A caller's answer that it was begun under has not expired; at a sidecar: the deadline has not passed, and the
    /// sidecar holds it.
    pub(crate) leased: bool,
    pub(crate) work: Work,
    /// What it got last.
    pub(crate) source: Held,
    pub(crate) target: Held,
    /// The highest version that was acknowledged when it began.
    pub(crate) acknowledged: Option<Seen>,
    /// The highest version that was read when it began.
    pub(crate) read: Version,
}

/// The rules' own state is the program counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Read { state: Read, call: ReadCall },
    Write { state: Write, call: WriteCall, write: Writing },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writing {
    /// Among all writes that are not forgotten.
    pub(crate) number: u8,
    pub(crate) record: Record,
    pub(crate) compare: bool,
    /// The content that a `put_if` expects.
    pub(crate) expected: Option<u8>,
    /// The content that a mutation was made of, once it is put.
    pub(crate) base: Option<u8>,
    /// It may be in a store.
    pub(crate) sent: bool,
}

/// A worker with one record in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) pass: ModelPass,
    /// The revision under which the record was read.
    pub(crate) begun: u8,
    pub(crate) record: Record,
    /// A sweep, or a repair, has read the target only, so far.
    pub(crate) half: bool,
    /// It may act; only a repair looks at that, and is not waited for any more without it.
    pub(crate) leased: bool,
    /// It overwrites a record of the target that has this version.
    pub(crate) expected: Option<Version>,
    /// The gates that it satisfies when it ends.
    pub(crate) for_target_first: bool,
    pub(crate) for_target_only: bool,
    pub(crate) for_mirrored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ModelPass {
    /// Source to target.
    Full,
    /// What the target has, from the source.
    Sweep,
    /// Target to source.
    Reverse,
    /// A comparison that makes the target what the source has.
    SourceWins,
}

/// A put whose caller has given up, and which may still land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    pub(crate) store: StoreRole,
    pub(crate) record: Record,
    pub(crate) when: When,
    /// Of an operation of target-only.
    pub(crate) target_only: bool,
    /// Of an operation or a copy that was begun after the second barrier in mirrored.
    pub(crate) drained: bool,
}

/// The controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ladder {
    /// Steps of the scenario that were taken.
    pub(crate) taken: u8,
    /// Revisions that somebody may still route by; the last is the newest.
    pub(crate) window: Vec<Revision>,
    /// The revision of the last step. Later ones are steps of another tenant.
    pub(crate) since: u8,
    /// The rung that the last step left.
    pub(crate) was: Rung,
    /// The revision since which it has been at mirrored or above without interruption.
    pub(crate) mirrored_since: Option<u8>,
    /// The same for target-first.
    pub(crate) target_first_since: Option<u8>,
    /// It is in mirrored by a second step there: once that has settled, everything that was begun before the
    /// first had settled has ended.
    pub(crate) drained: bool,
    /// Writes are in the target alone: not below target-first.
    pub(crate) floor: bool,
    /// Evidence.
    pub(crate) full_since_mirrored: bool,
    pub(crate) full_since_target_first: bool,
    pub(crate) swept: bool,
    /// Steps up to this rung need no full pass.
    pub(crate) overridden: Option<Rung>,
    /// Somebody has asked for the scenario's steps.
    pub(crate) asked: bool,
    pub(crate) neighbour: Option<Neighbour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Revision {
    pub(crate) rung: Rung,
    pub(crate) no_fallback: bool,
    /// A client that routes by it may go back on its own.
    pub(crate) local_guard: bool,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) reads: u8,
    /// Reads of the store that has every acknowledged write. At level acknowledged only.
    pub(crate) queries: u8,
    pub(crate) puts: u8,
    /// Of records that expire.
    pub(crate) expiring: u8,
    pub(crate) deletes: u8,
    /// Read, change, write if unchanged.
    pub(crate) mutates: u8,
    /// Write if the content is what the caller expected.
    pub(crate) put_ifs: u8,
    /// Mutations that keep the record, whatever it is.
    pub(crate) keeps: u8,
    /// Passes over the record, of any kind.
    pub(crate) passes: u8,
    /// Calls that fail and do nothing.
    pub(crate) failures: u8,
    /// Puts that are applied without an answer.
    pub(crate) lost: u8,
    /// Puts without an answer that land later, or never.
    pub(crate) late: u8,
    pub(crate) crashes: u8,
}

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    AcknowledgedStays,
    DeletedStays,
    InRealTime,
    ReadsOnward,
    Linearizable,
}

impl Record {
    pub(crate) const fn seen(self) -> Seen {
        Seen { version: self.version, tombstone: self.content == DELETED }
    }
}

impl Stores {
    /// The contents that somebody may expect, each once.
    pub(crate) fn contents(&self) -> Vec<u8> {
        let content = |held: Held| held.map_or(DELETED, |record| record.content);
        let mut all = vec![content(self.source), content(self.target)];
        all.dedup();
        all
    }

    pub(crate) fn newest(&self) -> Held {
        // Of equal ones the source's is the last, so it is the one taken.
        [self.target, self.source].into_iter().flatten().max_by_key(|record| record.version)
    }

    /// The application's record, before there is an SDK.
    pub(crate) fn truth(&self) -> Held {
        self.newest().filter(|_| !self.has_extra())
    }

    /// Whether the target has what the protocol never writes there.
    pub(crate) fn has_foreign(&self) -> bool {
        match (self.source, self.target) {
            (Some(source), Some(target)) => source.version <= target.version && source != target,
            (None, Some(target)) => target.content != DELETED,
            (_, None) => false,
        }
    }

    /// Whether only the target has a record, of unknown origin.
    pub(crate) fn has_extra(&self) -> bool {
        self.source.is_none() && self.target.is_some_and(|record| record.version == Version::ZERO)
    }

    pub(crate) const fn held(&mut self, store: StoreRole) -> &mut Held {
        if matches!(store, Source) { &mut self.source } else { &mut self.target }
    }
}

impl Ladder {
    pub(crate) fn newest(&self) -> u8 {
        (self.window.len() - 1) as u8
    }

    pub(crate) fn rung(&self) -> Rung {
        self.window[self.window.len() - 1].rung
    }

    /// Whether this revision follows the second barrier in mirrored.
    pub(crate) fn is_drained(&self, begun: u8) -> bool {
        self.drained && begun >= self.since
    }

    pub(crate) fn revision(&self, at: u8) -> Revision {
        self.window[usize::from(at)]
    }

    /// What a client routes by now.
    pub(crate) fn route(&self, client: &Client) -> Revision {
        self.taken_back(client.heard, client.gone_back)
    }

    /// The rung of an operation.
    pub(crate) fn rung_of(&self, doing: &Doing) -> Rung {
        self.taken_back(doing.begun, doing.gone_back).rung
    }

    fn taken_back(&self, at: u8, gone_back: bool) -> Revision {
        let revision = self.revision(at);
        if gone_back { Revision { rung: Rung::Mirrored, ..revision } } else { revision }
    }
}

impl State {
    /// Whether everybody who is waited for has quiesced for this revision.
    pub(crate) fn quiesced(&self, revision: u8) -> bool {
        self.received(revision)
            && self.clients.iter().all(|client| client.evicted || client.has_ended(revision))
            && self.jobs.iter().all(|job| job.begun >= revision || !job.leased)
    }

    /// Whether no operation starts under an older revision, at anybody who is waited for.
    pub(crate) fn received(&self, revision: u8) -> bool {
        self.clients.iter().all(|client| client.evicted || client.has_received(revision))
    }
}

impl Client {
    /// An instance acknowledges what is in its file too. A caller acknowledges nothing: its older
    /// answers expire.
    fn has_received(&self, revision: u8) -> bool {
        match self.life {
            Life::Caller => self.heard >= revision || !self.leased,
            _ if self.known == Known::Unheard => false,
            Life::Watching | Life::Parked | Life::Offline | Life::Sidecar | Life::Killed => {
                self.is_assumed(revision) || self.saved.unwrap_or(self.heard).min(self.heard) >= revision
            }
        }
    }

    fn has_ended(&self, revision: u8) -> bool {
        let is_over = |doing: &Doing| doing.begun >= revision || self.life.has_deadlines() && !doing.leased;
        self.doing.as_ref().is_none_or(is_over) || self.is_assumed(revision)
    }
}
