//! The members, and what each has acknowledged: checked before a step is taken.

use std::{collections::BTreeSet, time::Duration};

use cutover_client::routing::Mutation;

use super::placement::Wait;

/// One instance (an SDK process or a worker), connected or lost; or the callers of remote decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, for people.
    pub name: String,
    /// The service it belongs to.
    pub service: String,
    /// Received: no operation starts there under an older revision.
    pub received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub applied: u64,
    /// Silent for longer than its lease, or ended with a snapshot file left behind.
    pub lost: bool,
    /// Steps wait for it no longer than this. `None`: until it acknowledges, or is evicted.
    pub waited_for: Option<Duration>,
}

/// Everybody who has to acknowledge.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    members: Vec<Member>,
    received: Option<u64>,
    applied: Option<u64>,
}

impl Fleet {
    /// A fleet of these members.
    pub fn new(members: Vec<Member>) -> Self {
        Self {
            received: members.iter().filter(|member| !member.lost).map(|member| member.received).min(),
            applied: members
                .iter()
                .filter(|member| !(member.lost && Mutation::LostInstances.is_left_out()))
                .map(|member| member.applied)
                .min(),
            members,
        }
    }

    /// Whether everybody has acknowledged a step in the way that the next one requires.
    pub fn acknowledged(&self, step: u64, wait: Wait) -> bool {
        match wait {
            _ if Mutation::Barrier.is_left_out() => true,
            Wait::Quiesced if Mutation::Quiesced.is_left_out() => self.acknowledged(step, Wait::Received),
            Wait::Nothing => true,
            Wait::Received => self.received.is_none_or(|received| received >= step),
            Wait::Quiesced => self.applied.is_none_or(|applied| applied >= step),
        }
    }

    /// The members that have not.
    pub fn behind(&self, step: u64, wait: Wait) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| match wait {
            Wait::Nothing => false,
            Wait::Received => !member.lost && member.received < step,
            Wait::Quiesced => member.applied < step,
        })
    }

    /// The newest settled revision: everybody, lost members included, has quiesced for it. `newest` (the
    /// controller's) if there are no members.
    pub fn settled(&self, newest: u64) -> u64 {
        self.applied.unwrap_or(newest).min(newest)
    }

    /// Services with an instance that is not lost.
    pub fn services(&self) -> BTreeSet<&str> {
        self.members.iter().filter(|member| !member.lost).map(|member| member.service.as_str()).collect()
    }

    /// Lost instances that had not received a step which was taken without them.
    pub fn left_behind(&self, step: u64) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.lost && member.received < step)
    }
}
