//! The only integration binary: one module for each capability.
// Tests read as stories; a panic is a failure, and nothing of this is an API.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "sqlite")]
mod access;
#[cfg(feature = "sqlite")]
mod api;
#[cfg(feature = "sqlite")]
mod bench;
#[cfg(feature = "sqlite")]
mod bounds;
mod callers;
mod cli;
mod compaction;
mod console;
mod controller;
#[cfg(feature = "sqlite")]
mod crash;
#[cfg(feature = "sqlite")]
mod demo;
#[cfg(feature = "sqlite")]
mod deploy;
#[cfg(feature = "sqlite")]
mod docs;
mod guard;
mod hold;
mod http;
mod ladder;
#[cfg(feature = "sqlite")]
mod local_guard;
#[cfg(feature = "sqlite")]
mod metrics;
mod notify;
mod operate;
#[cfg(feature = "sqlite")]
mod passes;
mod plan;
mod put_back;
#[cfg(all(feature = "dynamodb", feature = "mysql", feature = "postgres"))]
mod replicas;
#[cfg(feature = "sqlite")]
mod reports;
mod rollback;
#[cfg(feature = "sqlite")]
mod sidecar;
mod store;
mod structure;
mod support;
mod telemetry;
#[cfg(feature = "sqlite")]
mod tls;
mod traces;
#[cfg(feature = "sqlite")]
mod windows;
