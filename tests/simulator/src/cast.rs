//! The processes of the world: what each of them runs.

pub mod caller;
pub mod controller;
pub mod legacy;
pub mod operator;
pub mod service;
pub mod traffic;
pub mod worker;

/// The migration's key.
pub const KEY: &str = "orders";
