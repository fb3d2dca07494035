//! The one integration binary: a module for each capability.
// Tests read as stories; a panic is a failure, and nothing of this is an API.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "sqlite")]
mod bench;
mod controller;
#[cfg(feature = "sqlite")]
mod crash;
mod http;
mod ladder;
mod store;
mod structure;
mod support;
mod telemetry;
