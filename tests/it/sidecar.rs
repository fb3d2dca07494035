//! `cutover sidecar` as a process, called as a service in another language would.

mod bounds;
pub mod client;
mod ends;
mod examples;
mod killed;
mod metrics;
mod records;
mod urgent;
