//! The Rust SDK of Cutover.

pub mod routing;
pub mod watch;
pub mod wire;
