//! The chain of events in memory. Nobody can change them there, so hashes are made when they are asked for.

use serde::Serialize;

use super::Kept;
use crate::{
    domain::{Event, Hash},
    store::chain::{ChainPage, ChainState, ChainedEvent},
};

impl Kept {
    pub(super) fn chain(&self, after: u64, limit: u32) -> ChainPage {
        let state = ChainState {
            revision: self.revision(),
            history_id: self.history_id.clone(),
            dropped: self.dropped,
            dropped_hash: self.dropped_hash,
            hashed_through: 0,
            hashed_at_ms: 0,
        };
        let events = self.chained().skip_while(|chained| chained.event.revision <= after);
        ChainPage { events: events.take(limit as usize).collect(), state }
    }

    /// The hash of an event that is kept.
    pub(super) fn hash_of(&self, revision: u64) -> Hash {
        let mut chained = self.chained();
        chained.find(|chained| chained.event.revision == revision).map_or(Hash::NONE, |chained| chained.hash)
    }

    fn chained(&self) -> impl Iterator<Item = ChainedEvent> {
        let events = self.events.iter().zip(&self.histories);
        events.scan(self.dropped_hash, |before, (event, history_id)| {
            let mut chained = ChainedEvent {
                history_id: history_id.clone(),
                summary: json(&event.summary),
                document: event.document.as_ref().map(json),
                rows: Hash::of(json(&event.rows).as_bytes()),
                before: *before,
                hash: Hash::NONE,
                event: Event { rows: Vec::new(), ..event.clone() },
            };
            chained.hash = chained.entry().hash(before);
            *before = chained.hash;
            Some(chained)
        })
    }
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("whatever a commit has can be written as JSON")
}
