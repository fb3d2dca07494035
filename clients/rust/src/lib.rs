//! The Rust SDK of Cutover.

pub mod migrator;
pub mod report;
pub mod routing;
pub mod store;
pub mod watch;
