//! The Rust SDK of Cutover. It decides in process where each tenant's reads and writes go, from a snapshot
//! that the controller streams, and reports the outcomes.
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
//! | [`routing`] | decides where a tenant's reads and writes go; pure, and used by the controller too |
//! | [`watch`] | keeps the newest snapshot and tracks the operations in flight under it |
//! | [`guard`] | detects that a target fails; the controller's guards use it too |
//! | [`report`] | counts outcomes and reports them to the controller |
//! | [`migrator`] | reads and writes two stores as the tenant's rung says |
//! | [`store`] | the trait of a store, and the stores that are included |
//! | `spec` | the file that names both stores and how records map, with the feature `spec` |
//! | [`persisted`] | keeps the last snapshot in a file |
//! | [`wire`] | converts between wire messages and routing types, for both sides |
//! | [`host`] | connections and threads; a simulation replaces them |
//! | [`clock`] | the monotonic clock of leases, and the wall clock |
//! | [`client`] | the entry point |

pub mod client;
pub mod host;
pub mod migrator;
pub mod persisted;
pub mod report;
mod stamp;
pub mod watch;

pub use client::{Client, ConnectError, Options, Status};
pub use cutover_clock as clock;
pub use cutover_core::{guard, routing, wire};
pub use cutover_store as store;
#[cfg(feature = "spec")]
pub use cutover_store::spec;

/// The Rust code of the guides, which the documentation tests compile and run.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guides/errors.md")]
    mod errors {}
    #[doc = include_str!("../../../docs/guides/queries.md")]
    mod queries {}
    #[doc = include_str!("../../../docs/guides/testing.md")]
    mod testing {}
}
