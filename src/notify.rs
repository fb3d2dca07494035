//! What is told to others about commits, and how it is signed and tried again: pure, the sending (service/notify) is not.
//!
//! The event log is the outbox (docs/adr/0014): a message is made of an event, and of nothing else.

mod attempt;
mod endpoint;
mod message;
mod signature;

pub use attempt::{Answer, Outcome, after, delay_ms};
pub use endpoint::{Endpoint, EndpointError};
pub use message::{KINDS, Shape, body, idempotency_key, is_told, matters};
pub use signature::{HEADER, Secret};
