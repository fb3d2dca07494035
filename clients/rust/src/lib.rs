//! The Rust SDK of Cutover.

pub mod report;
pub mod routing;
pub mod watch;
pub mod wire;
