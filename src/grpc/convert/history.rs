//! Events of the history.

use cutover_proto::v1;

use super::guard;
use crate::{
    domain::{Document, Event},
    service::{ChainState, ChainedEvent},
};

/// Between two facts of a summary.
pub const BETWEEN_FACTS: &str = "; ";

pub(in crate::grpc) fn event(event: Event) -> v1::HistoryEvent {
    v1::HistoryEvent {
        trip: event.document.as_ref().and_then(|document| trip(document, event.revision)),
        revision: event.revision,
        migration: event.key.to_string(),
        at_ms: event.at_ms,
        actor: event.actor,
        reason: event.reason,
        change: event.change,
        summary: event.summary.join(BETWEEN_FACTS),
        request_id: event.request_id,
        proof: None,
    }
}

/// The event with what proves it.
pub(in crate::grpc) fn proven(chained: ChainedEvent) -> v1::HistoryEvent {
    let entry = chained.entry();
    let document_sha256 = entry.document.map_or_else(String::new, |hash| hash.to_string());
    let mut proof = v1::HistoryProof {
        hash: chained.hash.to_string(),
        before: chained.before.to_string(),
        document_sha256,
        rows_sha256: entry.rows.to_string(),
        history_id: chained.history_id,
        summary: chained.summary,
        document: String::new(),
    };
    let event = event(chained.event);
    if event.trip.is_some() {
        proof.document = chained.document.unwrap_or_default();
    }
    v1::HistoryEvent { proof: Some(proof), ..event }
}

pub(in crate::grpc) fn chain(state: ChainState) -> v1::HistoryChain {
    v1::HistoryChain {
        revision: state.revision,
        history_id: state.history_id,
        dropped_through: state.dropped.through,
        dropped_hash: state.dropped_hash.to_string(),
        hashed_through: state.hashed_through,
        hashed_at_ms: state.hashed_at_ms,
    }
}

/// The trip that a guard committed as this revision, from the document after it.
pub fn trip(document: &Document, revision: u64) -> Option<v1::Trip> {
    document.trips.last().filter(|trip| trip.revision == revision).map(guard::trip)
}
