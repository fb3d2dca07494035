//! Which events are told, and the bytes that tell them.

use serde_json::json;

use crate::domain::Event;

/// The kinds that are told.
pub const KINDS: &[&str] = &[
    "rollback",
    "hold",
    "observe",
    "acknowledge",
    "pause",
    "resume",
    "finish",
    "evict",
    "delete",
    "job-finish",
    "plan-*",
];

/// What an endpoint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The event's fields, an object.
    Webhook,
    /// `{"text": ...}`, as Slack and what imitates it take it.
    Slack,
}

/// Is an event of this kind told, given the kinds that are wanted? A kind that ends in `*` is a prefix.
#[must_use]
pub fn matters(change: &str, wanted: &[impl AsRef<str>]) -> bool {
    wanted.iter().map(AsRef::as_ref).any(|kind| match kind.strip_suffix('*') {
        Some(prefix) => change.starts_with(prefix),
        None => change == kind,
    })
}

/// Is this event told? It is if its kind matters; but of a pass that ended clean nobody has to hear.
#[must_use]
pub fn is_told(event: &Event, wanted: &[impl AsRef<str>]) -> bool {
    let evidence = event.document.as_ref().and_then(|document| document.evidence.last());
    let is_clean = event.change == "job-finish" && evidence.is_some_and(|evidence| evidence.clean);
    matters(&event.change, wanted) && !is_clean
}

/// The same for every attempt, another for every event of every store: a receiver that has seen it
/// does nothing.
#[must_use]
pub fn idempotency_key(history_id: &str, event: &Event) -> String {
    format!("{history_id}-{}", event.revision)
}

/// The body of the request, UTF-8 JSON. It has no clock in it: each attempt sends the same bytes.
#[must_use]
pub fn body(shape: Shape, history_id: &str, event: &Event) -> Vec<u8> {
    let value = match shape {
        Shape::Webhook => json!({
            "idempotency_key": idempotency_key(history_id, event),
            "migration": event.key.as_str(),
            "revision": event.revision,
            "change": event.change,
            "at_ms": event.at_ms,
            "actor": event.actor,
            "reason": event.reason,
            "summary": event.summary,
        }),
        Shape::Slack => json!({ "text": text(event) }),
    };
    value.to_string().into_bytes()
}

fn text(event: &Event) -> String {
    let mut text =
        format!("*{}*: {} by {}", escaped(event.key.as_str()), escaped(&event.change), escaped(&event.actor));
    if !event.reason.is_empty() {
        text += &format!(" ({})", escaped(&event.reason));
    }
    for line in &event.summary {
        text += &format!("\n• {}", escaped(line));
    }
    text + &format!("\nrevision {}", event.revision)
}

/// Slack's three: a reason that says `<!channel>` wakes nobody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
