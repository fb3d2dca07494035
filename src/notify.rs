//! Notifications of commits: contents, signature and retries. Pure; service/notify does the sending.
//!
//! The event log is the outbox (docs/adr/0014): a message is built from one event and nothing else.

mod attempt;
mod backlog;
mod endpoint;
mod message;
mod signature;

pub use attempt::{Answer, AttemptOutcome, RETRY_AFTER_MAX, after, delay_ms, retry_after};
pub use backlog::{Attempt, Backlog, Message, Next, PATIENCE};
pub use endpoint::{Endpoint, EndpointError};
pub use message::{KINDS, Shape, body, idempotency_key, is_told, matters};
pub use signature::{HEADER, Secret};
