//! What is told to others about commits, and how it is signed and tried again: pure, the sending is not.
//!
//! The event log is the outbox (docs/adr/0014): a message is made of an event, and of nothing else.

mod attempt;
mod message;
mod signature;

pub use attempt::{Answer, Outcome, after, delay_ms};
pub use message::{Shape, body, idempotency_key, matters};
pub use signature::{HEADER, Secret};
