//! An event as `history --export` writes it, with what proves it.

use anyhow::{Context as _, ensure};
use cutover_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::render;
use crate::{
    domain::{Chain, Document, Hash, HistoryEntry},
    grpc::history,
};

/// An exported event. An unknown field is an error: nothing that a line shows may be without proof.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) revision: u64,
    pub(super) migration: String,
    at_ms: u64,
    actor: String,
    reason: String,
    change: String,
    summary: String,
    request_id: String,
    trip: Option<Value>,
    pub(super) proof: Proof,
}

/// As in the proto.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    hash: String,
    pub(super) before: String,
    pub(super) history_id: String,
    summary: String,
    document_sha256: String,
    rows_sha256: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    document: String,
}

/// Said of a controller that sends no proofs.
pub(super) const NO_HASHES: &str = "the controller is older than this command and has no hashes: upgrade it";

/// The line of an event.
pub(super) fn written(event: &v1::HistoryEvent) -> anyhow::Result<Value> {
    let proof = event.proof.clone().context(NO_HASHES)?;
    let v1::HistoryProof { hash, before, history_id, summary, document_sha256, rows_sha256, document } =
        proof;
    let proof = Proof { hash, before, history_id, summary, document_sha256, rows_sha256, document };
    let mut line = render::event_json(event);
    line["proof"] = json!(proof);
    Ok(line)
}

impl Line {
    /// Takes it as the next one of a chain.
    pub(super) fn follow(&self, chain: &mut Chain) -> anyhow::Result<()> {
        let Self { revision, proof, .. } = self;
        let document = match proof.document_sha256.as_str() {
            "" => None,
            hash => Some(self.hash(hash)?),
        };
        let entry = HistoryEntry {
            history_id: &proof.history_id,
            revision: *revision,
            key: &self.migration,
            at_ms: self.at_ms,
            actor: &self.actor,
            reason: &self.reason,
            request_id: &self.request_id,
            change: &self.change,
            summary: &proof.summary,
            document,
            rows: self.hash(&proof.rows_sha256)?,
        };
        chain.follow(&entry, &self.before()?, self.hash(&proof.hash)?)?;
        // The hash holds for what is stored. This holds for what is shown of it.
        let facts: Vec<String> = serde_json::from_str(&proof.summary)
            .with_context(|| format!("the stored summary of revision {revision} can't be read"))?;
        ensure!(
            facts.join(history::BETWEEN_FACTS) == self.summary,
            "revision {revision} shows another summary than its proof has: it was changed after it was written"
        );
        ensure!(
            self.trip.is_none() || self.shows_its_trip(document)?,
            "revision {revision} shows another trip than its document has: it was changed after it was written"
        );
        Ok(())
    }

    /// The hash of the event before it.
    pub(super) fn before(&self) -> anyhow::Result<Hash> {
        self.hash(&self.proof.before)
    }

    fn hash(&self, text: &str) -> anyhow::Result<Hash> {
        let hash = text.parse().ok();
        hash.with_context(|| format!("revision {} has a malformed hash: {text:?}", self.revision))
    }

    /// Whether all that is shown of the trip is in the document, which has to be the one that was hashed.
    fn shows_its_trip(&self, hash: Option<Hash>) -> anyhow::Result<bool> {
        let stored = &self.proof.document;
        if hash != Some(Hash::of(stored.as_bytes())) {
            return Ok(false);
        }
        let document: Document = serde_json::from_str(stored)
            .with_context(|| format!("the stored document of revision {} can't be read", self.revision))?;
        let Some(trip) = history::trip(&document, self.revision) else { return Ok(false) };
        // Written and read like the line, so that numbers are rounded alike. A newer program may show more of a trip.
        let stored: Value = serde_json::from_str(&render::trip_json(&trip).to_string())?;
        let shown = self.trip.as_ref().and_then(Value::as_object);
        Ok(shown.is_some_and(|shown| shown.iter().all(|(name, value)| stored.get(name) == Some(value))))
    }
}
