//! Who is live, and what each has acknowledged: what a step looks at before it is taken.

use std::{collections::BTreeSet, time::Duration};

use cutover_client::routing::Mutation;

use super::placement::Wait;

/// One live or lost instance (an SDK process or a worker), or the callers of remote decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, for people.
    pub name: String,
    /// Whose instance it is.
    pub service: String,
    /// No operation starts there under an older revision.
    pub received: u64,
    /// Every operation begun there under an older revision has ended.
    pub applied: u64,
    /// Silent for longer than its lease, or gone with a file left behind.
    pub lost: bool,
    /// It is waited for no longer than this. `None`: until it acknowledges, or is evicted.
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
    /// A fleet of these.
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

    /// Has everybody acknowledged a step in the way that the next one asks for?
    pub fn acknowledged(&self, step: u64, wait: Wait) -> bool {
        match wait {
            _ if Mutation::Barrier.is_left_out() => true,
            Wait::Quiesced if Mutation::Quiesced.is_left_out() => self.acknowledged(step, Wait::Received),
            Wait::Nothing => true,
            Wait::Received => self.received.is_none_or(|received| received >= step),
            Wait::Quiesced => self.applied.is_none_or(|applied| applied >= step),
        }
    }

    /// Who has not.
    pub fn behind(&self, step: u64, wait: Wait) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| match wait {
            Wait::Nothing => false,
            Wait::Received => !member.lost && member.received < step,
            Wait::Quiesced => member.applied < step,
        })
    }

    /// The newest revision that everybody, lost ones included, has quiesced for; `newest` (the
    /// controller's) when nobody is there.
    pub fn settled(&self, newest: u64) -> u64 {
        self.applied.unwrap_or(newest).min(newest)
    }

    /// Services with an instance that is not lost.
    pub fn services(&self) -> BTreeSet<&str> {
        self.members.iter().filter(|member| !member.lost).map(|member| member.service.as_str()).collect()
    }

    /// Lost instances that had not received a step which went on without them.
    pub fn left_behind(&self, step: u64) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.lost && member.received < step)
    }
}
