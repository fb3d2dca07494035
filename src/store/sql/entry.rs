//! An event as it is stored, and what its hash is made of.

use crate::{
    domain::{Event, Hash, HistoryEntry},
    store::Error,
};

/// Events as they are read without their rows.
pub(in crate::store) const EVENT: &str =
    r#"revision, "key", at_ms, actor, reason, request_id, "change", summary, document"#;

/// The parts of an event that are stored as JSON.
pub(in crate::store) struct Encoded {
    pub(in crate::store) summary: String,
    pub(in crate::store) document: Option<String>,
    pub(in crate::store) rows: String,
}

impl Encoded {
    pub(in crate::store) fn of(event: &Event) -> Result<Self, Error> {
        Ok(Self {
            summary: encoded(&event.summary)?,
            document: event.document.as_ref().map(encoded).transpose()?,
            rows: encoded(&event.rows)?,
        })
    }

    pub(in crate::store) fn entry<'a>(&'a self, event: &'a Event, history_id: &'a str) -> HistoryEntry<'a> {
        HistoryEntry {
            history_id,
            revision: event.revision,
            key: event.key.as_str(),
            at_ms: event.at_ms,
            actor: &event.actor,
            reason: &event.reason,
            request_id: &event.request_id,
            change: &event.change,
            summary: &self.summary,
            document: self.document.as_ref().map(|document| Hash::of(document.as_bytes())),
            rows: Hash::of(self.rows.as_bytes()),
        }
    }
}

pub(in crate::store) fn encoded<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Unavailable(format!("can't be written as JSON: {error}")))
}
