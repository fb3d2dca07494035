//! Notifications of commits: contents, signature and retries. Pure; service/notify does the sending.
//!
//! The event log is the outbox (docs/adr/0014): a message is built from one event and nothing else.

mod attempt;
mod endpoint;
mod message;
mod signature;

pub use attempt::{Answer, Outcome, after, delay_ms};
pub use endpoint::{Endpoint, EndpointError};
pub use message::{KINDS, Shape, body, idempotency_key, is_told, matters};
pub use signature::{HEADER, Secret};
