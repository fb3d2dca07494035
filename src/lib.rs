//! Cutover: the controller of live data-store migrations.

pub mod domain;
pub mod service;
pub mod store;
