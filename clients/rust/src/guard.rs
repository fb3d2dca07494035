//! When a target fails for certain, and who may go back from it without asking. Pure: counts are
//! arguments.
//!
//! [`evalue`] and [`detector`] are the very code of the controller's guards. [`Local`] is the guard of
//! a process that the controller can't reach: it judges nothing but the process's own calls.

mod back;
pub mod detector;
pub mod evalue;
mod local;

pub use back::{may_go_back, taken_back};
pub use local::{Calls, Failing, Finding, Local, SLOT_MS, Slot};
