//! Which events are sent, and the contents of messages.

use serde_json::json;

use crate::domain::Event;

/// The kinds that are sent.
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
    "approve",
    "withdraw",
];

/// The format of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object with the event's fields.
    Webhook,
    /// `{"text": ...}`, for Slack and compatible services.
    Slack,
}

/// Whether an event of this kind is wanted. A wanted kind that ends in `*` is a prefix.
#[must_use]
pub fn matters(change: &str, wanted: &[impl AsRef<str>]) -> bool {
    wanted.iter().map(AsRef::as_ref).any(|kind| match kind.strip_suffix('*') {
        Some(prefix) => change.starts_with(prefix),
        None => change == kind,
    })
}

/// Whether this event is sent: its kind is wanted, and it is not the end of a clean pass. Or it waits for a second
/// person, whatever its kind.
#[must_use]
pub fn is_told(event: &Event, wanted: &[impl AsRef<str>]) -> bool {
    let evidence = event.document.as_ref().and_then(|document| document.evidence.last());
    let is_clean = event.change == "job-finish" && evidence.is_some_and(|evidence| evidence.clean);
    matters(&event.change, wanted) && !is_clean || awaits(event)
}

/// Whether the event only asks for something, which a second person has to approve.
fn awaits(event: &Event) -> bool {
    let mut requests = event.document.iter().flat_map(|document| &document.requests);
    requests.any(|request| request.revision == event.revision)
}

/// What happened, and what has to be done now.
fn lines(event: &Event) -> Vec<String> {
    let (key, revision) = (&event.key, event.revision);
    let approve = awaits(event).then(|| format!("to approve: cutover approve {key} {revision} --reason WHY"));
    event.summary.iter().cloned().chain(approve).collect()
}

/// The same for every attempt, and different for every event of every store. A receiver ignores a key that it
/// has seen before.
#[must_use]
pub fn idempotency_key(history_id: &str, event: &Event) -> String {
    format!("{history_id}-{}", event.revision)
}

/// The body of the request, UTF-8 JSON. It contains no current time, so every attempt sends the same bytes.
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
            "summary": lines(event),
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
    for line in lines(event) {
        text += &format!("\n• {}", escaped(&line));
    }
    text + &format!("\nrevision {}", event.revision)
}

/// Slack's three special characters: a reason that contains `<!channel>` notifies nobody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
