//! Cutover: the controller of live data-store migrations.

pub mod api;
#[cfg(feature = "sqlite")]
pub mod bench;
pub mod cli;
pub mod config;
#[cfg(feature = "sqlite")]
pub mod demo;
mod etag;
pub mod gist;
pub mod grpc;
pub mod http;
pub mod https;
pub mod jobs;
pub mod listen;
pub mod notify;
pub mod oidc;
pub mod refusal;
pub mod server;
pub mod service;
pub mod sidecar;
pub mod simulation;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod view;

pub use cutover_domain as domain;
