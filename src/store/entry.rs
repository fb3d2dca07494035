//! An event as it is stored, what its hash is made of, and what is damage.

use crate::{
    domain::{Event, Hash, HistoryEntry, Violation},
    store::Error,
};

/// The parts of an event that are stored as JSON.
pub(super) struct Encoded {
    pub(super) summary: String,
    pub(super) document: Option<String>,
    pub(super) rows: String,
}

impl Encoded {
    pub(super) fn of(event: &Event) -> Result<Self, Error> {
        Ok(Self {
            summary: encoded(&event.summary)?,
            document: event.document.as_ref().map(encoded).transpose()?,
            rows: encoded(&event.rows)?,
        })
    }

    pub(super) fn entry<'a>(&'a self, event: &'a Event, history_id: &'a str) -> HistoryEntry<'a> {
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

pub(super) fn encoded<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Unavailable(format!("can't be written as JSON: {error}")))
}

pub(super) fn parse<T>(
    text: &str,
    what: &str,
    parse: impl Fn(&str) -> Result<T, Violation>,
) -> Result<T, Error> {
    parse(text).map_err(|violation| unreadable(what, violation))
}

pub(super) fn unreadable(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Corrupt(format!("{what} can't be read ({error}): restore the store from a backup"))
}

/// Nobody else draws the same.
#[cfg(any(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
pub(super) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
