//! The wire of Cutover: messages and gRPC services of package `cutover.v1`.
//!
//! The `.proto` files beside this crate are the documentation; they say what absence means.

/// Messages, clients and servers of `cutover.v1`.
#[allow(missing_docs, clippy::all, unreachable_pub)] // Generated.
pub mod v1 {
    tonic::include_proto!("cutover.v1");
}

/// The encoded file descriptors, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
