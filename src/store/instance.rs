//! What is stored of a member, and of who else has to be waited for.

use serde::{Deserialize, Serialize};

use crate::domain::{Credential, Key};

/// The durable part of an instance, so that a barrier knows whom to ask after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The id that operators see. Only one process should use it at a time.
    pub instance_id: String,
    /// The service it belongs to.
    pub service: String,
    /// Name and version of the SDK.
    pub sdk: String,
    /// A worker (backfill, verify or reverse), not a service.
    pub worker: bool,
    /// 0..=16382, exclusive to this instance.
    pub writer_slot: u16,
    /// How it splits versions ([`Version::LAYOUT`](cutover_store::Version::LAYOUT)). 0: with 12 bits of slot.
    #[serde(default)]
    pub version_layout: u32,
    /// Identifies the function that derives its tenants; empty: unknown.
    pub tenant_fingerprint: String,
    /// Drawn by its process. 0: it registered at an earlier version, or is no process.
    #[serde(default)]
    pub incarnation: u64,
    /// Drawn when it became a member; one that comes back after it was given up gets another.
    #[serde(default)]
    pub admission: u64,
    /// How long its last calls may take after its right to act has expired. 0: unknown.
    #[serde(default)]
    pub drain_ms: u32,
    /// How long its file may be used after it was last heard. 0: it keeps none.
    #[serde(default)]
    pub file_valid_ms: u32,
    /// It has said goodbye and left a file.
    #[serde(default)]
    pub parked: bool,
    /// Its right to act has expired; migrations with a fence no longer wait for it.
    #[serde(default)]
    pub counted_out: bool,
    /// Another process with its id has run at the same time, so that one more does not show that it has ended.
    #[serde(default)]
    pub shares_id: bool,
    /// If it is parked: the reading of the steady clock when it was last heard. 0: unknown.
    #[serde(default)]
    pub heard_ms: u64,
    /// It has received this revision, which made the right to act expire. 0: none known.
    #[serde(default)]
    pub fence_heard: u64,
    /// The token by which it registered. `None`: the controller had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// Prefix of the ids of [`InstanceRecord::callers`]. No instance id contains this character.
const CALLERS: &str = "#callers:";
/// The same for [`InstanceRecord::resting`].
const RESTING: &str = "#slot:";
/// The same for [`InstanceRecord::history`].
const HISTORY: &str = "#history:";

impl InstanceRecord {
    /// Represents all callers that ever asked for a decision of a migration over the network: after a restart
    /// the controller must know that there may be some.
    pub fn callers(key: &Key) -> Self {
        Self { instance_id: format!("{CALLERS}{key}"), ..Self::default() }
    }

    /// The migration, if the record represents callers.
    pub fn callers_of(&self) -> Option<&str> {
        self.instance_id.strip_prefix(CALLERS)
    }

    /// Represents the writer slot of a process that is gone, which nobody else may have yet.
    pub fn resting(&self) -> Self {
        let Self { writer_slot, version_layout, drain_ms, .. } = *self;
        // The slot still counts for whoever had it.
        let (service, credential) = (self.service.clone(), self.credential.clone());
        let instance_id = resting_slot(writer_slot);
        Self { instance_id, service, writer_slot, version_layout, drain_ms, credential, ..Self::default() }
    }

    /// Represents every free slot of a store that was restored.
    pub fn all_free_slots_rest() -> Self {
        Self { instance_id: resting_slot(ALL_FREE_SLOTS), writer_slot: ALL_FREE_SLOTS, ..Self::default() }
    }

    /// Whether the record represents slots that rest.
    pub fn is_resting(&self) -> bool {
        self.instance_id.starts_with(RESTING)
    }

    /// Represents a history that is not this store's, and that it may have no event of: one that began here before another,
    /// or one by which a process came. `newest`: the newest revision of it that anybody held, in `fence_heard`.
    pub fn history(history_id: &str, newest: u64) -> Self {
        Self { instance_id: format!("{HISTORY}{history_id}"), fence_heard: newest, ..Self::default() }
    }

    /// The history and its newest revision, if the record represents one.
    pub fn history_of(&self) -> Option<(&str, u64)> {
        Some((self.instance_id.strip_prefix(HISTORY)?, self.fence_heard))
    }

    /// A name that no other process has.
    pub fn label(&self) -> String {
        label(&self.instance_id, self.incarnation)
    }
}

/// In a record of a slot that rests: every slot that is free. No process has it.
pub const ALL_FREE_SLOTS: u16 = u16::MAX;

/// The name of the record of a slot that rests.
pub fn resting_slot(writer_slot: u16) -> String {
    format!("{RESTING}{writer_slot}")
}

/// The name of one process among all that ever had an id.
pub fn label(instance_id: &str, incarnation: u64) -> String {
    match incarnation {
        0 => instance_id.to_owned(),
        // No id contains this character.
        incarnation => format!("{instance_id}#{incarnation:x}"),
    }
}
