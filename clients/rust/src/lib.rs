//! The Rust SDK of Cutover.

pub mod report;
pub mod routing;
pub mod store;
pub mod watch;
