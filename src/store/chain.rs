//! What proves that the history is as it was written.

use super::Dropped;
use crate::domain::{Event, Hash, HistoryEntry};

/// A page of the history, oldest first, as it was at one moment.
#[derive(Clone, Debug)]
pub struct ChainPage {
    /// Events without their rows.
    pub events: Vec<ChainedEvent>,
    /// What is known of the whole chain.
    pub state: ChainState,
}

/// What is known of the whole chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainState {
    /// Newest committed revision; 0 if there is none.
    pub revision: u64,
    /// The store's history now. Events from before a restore have another one.
    pub history_id: String,
    /// Which events were dropped.
    pub dropped: Dropped,
    /// Hash of the last one that was dropped. [`Hash::NONE`]: none was, or it had no hash.
    pub dropped_hash: Hash,
    /// Events up to this revision are older than hashes, and got theirs later. 0: none.
    pub hashed_through: u64,
    /// When they got them: Unix time.
    pub hashed_at_ms: u64,
}

/// An event with what chains it to the one before it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainedEvent {
    /// The event, without its rows.
    pub event: Event,
    /// The history in which it was committed.
    pub history_id: String,
    /// The summary as it is stored: JSON.
    pub summary: String,
    /// The document as it is stored: JSON. `None`: the migration was deleted.
    pub document: Option<String>,
    /// Of the rows as they are stored.
    pub rows: Hash,
    /// The hash of the event before it, as it is stored.
    pub before: Hash,
    /// Its own, as it is stored.
    pub hash: Hash,
}

impl ChainedEvent {
    /// What its hash has to be made of.
    pub fn entry(&self) -> HistoryEntry<'_> {
        let Event { revision, key, at_ms, actor, reason, request_id, change, .. } = &self.event;
        HistoryEntry {
            history_id: &self.history_id,
            revision: *revision,
            key: key.as_str(),
            at_ms: *at_ms,
            actor,
            reason,
            request_id,
            change,
            summary: &self.summary,
            document: self.document.as_ref().map(|document| Hash::of(document.as_bytes())),
            rows: self.rows,
        }
    }
}
