//! Instances as people see them, and as people name them.

use std::time::Duration;

use crate::store::InstanceRecord;

/// An instance as people see it.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Its id or, if several processes have that, `ID#INCARNATION`.
    pub name: String,
    /// Its durable part.
    pub record: InstanceRecord,
    /// Received: no operation starts there under an older revision.
    pub received: u64,
    /// Quiesced: every operation begun there under an older revision has ended.
    pub applied: u64,
    /// Time since it was last heard.
    pub silent: Duration,
    /// Silent for longer than its lease.
    pub lost: bool,
    /// It is lost, and its token has ended, or it shows another one: it may run, and be refused.
    pub refused: bool,
    /// Another process with the same id is connected.
    pub duplicate: bool,
    /// Longest time that it is still waited for, by the migrations that wait least.
    pub waited_for: Option<Duration>,
}

/// The instances to evict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dead {
    /// Every process with this id, or the one with this [label](super::Who::label).
    Named {
        /// The id or label.
        name: String,
        /// Also those that are heard.
        force: bool,
    },
    /// Lost processes.
    Lost {
        /// Only those with this id. Empty: all, except those that left a file that has not expired.
        instance_id: String,
        /// Only those that have been silent for longer than this.
        older_than: Duration,
        /// Only those of this service. Empty: of any service.
        service: String,
    },
}
