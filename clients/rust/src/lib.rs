//! The Rust SDK of Cutover: decides in process, by a snapshot that the controller streams, where
//! each tenant's reads and writes go, and reports what came of it.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use cutover_client::client::{Client, Options};
//!
//! let client = Client::connect("http://127.0.0.1:7070", "orders-api", Options::default()).await?;
//! let decision = client.decide("orders", "acme")?;
//! println!("{} at revision {}", decision.stage(), decision.revision);
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`routing`] | who goes where: pure, and the very code that the controller runs |
//! | [`watch`] | the newest snapshot, and the operations that run under it |
//! | [`guard`] | when a target fails for certain; the controller's guards are made of it too |
//! | [`report`] | counts outcomes and brings them to the controller |
//! | [`migrator`] | reads and writes two stores as the rung says |
//! | [`store`] | the interface of a store, and the stores that come along |
//! | `spec` | the file that names both stores and how records map, with the feature `spec` |
//! | [`persisted`] | the last snapshot in a file |
//! | [`wire`] | messages to and from routing's types, for both sides |
//! | [`host`] | connections and threads, which a simulation replaces |
//! | [`clock`] | the monotonic clock of leases, and the wall clock |
//! | [`client`] | the door to all of it |

pub mod client;
pub mod clock;
pub mod guard;
pub mod host;
pub mod migrator;
pub mod persisted;
pub mod report;
pub mod routing;
#[cfg(feature = "spec")]
pub mod spec;
pub mod store;
pub mod watch;
pub mod wire;

pub use client::{Client, ConnectError, Options, Status};
