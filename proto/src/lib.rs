//! Cutover's gRPC API: messages and services of the package `cutover.v1`.
//!
//! The `.proto` files next to this crate are the documentation; for every field they say what absence means.

/// Messages of `cutover.v1`, and with the feature `grpc` the clients and servers of its services.
#[allow(missing_docs, clippy::all, unreachable_pub)] // Generated.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/cutover.v1.rs"));
}

/// Messages, clients and servers of flagd's evaluation, by which OpenFeature's flagd providers ask.
#[cfg(feature = "flagd")]
#[allow(missing_docs, clippy::all, unreachable_pub)] // Generated.
pub mod flagd {
    /// Version 1. Its messages are those of version 2.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/flagd.evaluation.v1.rs"));
    }
    /// Version 2.
    pub mod v2 {
        include!(concat!(env!("OUT_DIR"), "/flagd.evaluation.v2.rs"));
    }
}

/// The encoded file descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Before the `history_id` of a [`v1::WatchRequest`]: the state of a file that is no base for changes. No history has such
/// a name.
pub const NO_BASE: &str = "before ";
