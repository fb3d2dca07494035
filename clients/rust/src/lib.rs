//! The Rust SDK of Cutover. It decides in process where each tenant's reads and writes go, from a snapshot
//! that the controller streams, and reports the outcomes.
//!
//! A service connects once, and reads and writes through a migrator:
//!
//! ```no_run
//! use cutover_client::{Client, Options, migrator::Edit};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     items: u32,
//! }
//!
//! # #[cfg(feature = "spec")]
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:7070", "orders-api", Options::default()).await?;
//! let orders = client.migrator_from_spec("orders.toml").await?;
//!
//! orders.put("acme", "order-1", &Order { items: 3 }).await?;
//! let order = orders.get::<Order>("acme", "order-1").await?;
//! orders.mutate("acme", "order-1", |_: Option<Order>| Edit::Delete).await?;
//!
//! client.close().await; // at the end of the process
//! # Ok(())
//! # }
//! ```
//!
//! A service that calls its stores itself asks [`Client::begin`] where to go. The repository has an example of each
//! in `examples/`. docs/guides/errors.md says what a handler does with each error, docs/guides/testing.md how to
//! test a service.
//!
//! | start here | what it does |
//! |---|---|
//! | [`Client`] | the connection to the controller: one for each process |
//! | [`migrator`] | reads and writes two stores as the tenant's rung says |
//! | [`store`] | the trait of a store, the stores that are included, [documents](store::document) and your types |
//! | `spec` | the file that names both stores and how records map, with the feature `spec` |
//! | [`testing`] | a fake controller and failing stores, for tests of services |
//!
//! | rarely needed | what it does |
//! |---|---|
//! | [`routing`] | decides where a tenant's reads and writes go; pure, and used by the controller too |
//! | [`watch`] | keeps the newest snapshot and tracks the operations in flight under it |
//! | [`report`] | counts outcomes and reports them to the controller |
//! | [`guard`] | detects that a target fails; the controller's guards use it too |
//! | [`persisted`] | keeps the last snapshot in a file |
//! | [`wire`] | converts between wire messages and routing types, for both sides |
//! | [`host`] | connections and threads; a simulation replaces them |
//! | [`clock`] | the monotonic clock of leases, and the wall clock |
//!
//! Errors grow: match those that you handle, and treat any other error of a write as an unknown outcome.

mod access;
mod address;
pub mod client;
pub mod host;
pub mod migrator;
pub mod persisted;
pub mod report;
mod stamp;
pub mod testing;
mod tls;
pub mod watch;
mod words;

pub use access::{Access, AccessError, AuthorizedChannel};
pub use address::{Address, AddressError, FindError, IntoServer, Probed, State as AddressState};
pub use client::{Client, ConnectError, Options, Status};
pub use cutover_clock as clock;
pub use cutover_core::{guard, routing, wire};
pub use cutover_store as store;
#[cfg(feature = "spec")]
pub use cutover_store::spec;
pub use tls::TlsError;

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
