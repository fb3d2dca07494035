//! Detects that a target fails, and decides who may go back on its own. Pure: counts are arguments.
//!
//! [`evalue`] and [`detector`] are also the code of the controller's guards. [`Local`] is the guard of a
//! process that can't reach the controller: it judges only the process's own calls.

mod back;
pub mod detector;
pub mod evalue;
mod local;

pub use back::{may_go_back, taken_back};
pub use local::{Calls, Failing, Finding, Local, SLOT_MS, Slot};
