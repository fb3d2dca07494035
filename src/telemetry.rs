//! What the SDKs report, counted once, and how it leaves: statsd lines and a Prometheus scrape.
//!
//! Metrics are since this process started; what is to outlive it is taken from here and kept as windows
//! (`service::Windows`). A tenant is never a label.

mod heard;
mod ingest;
pub mod prometheus;
mod reading;
pub mod statsd;
mod tally;

pub use cutover_client::clock::now_ms;
pub use heard::Heard;
pub use ingest::{Accepted, Ingest, Known, Refused, Taken};
pub use tally::{MigrationView, SLOTS, StoreRate, StoreView, View};

/// What the controller knows of a migration beside the reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Its key.
    pub migration: String,
    /// Share of the tenants to write to both stores.
    pub dual_ppm: u32,
    /// Share of the tenants whose reads are compared.
    pub mirrored_ppm: u32,
    /// Share of the tenants to be read from the target first.
    pub target_first_ppm: u32,
    /// Share of the tenants that have left the source.
    pub target_only_ppm: u32,
    /// Instances connected.
    pub instances: u64,
    /// Of these, the ones that have not acknowledged its newest step.
    pub unsettled: u64,
}

/// What came of the messages to one endpoint since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Its name.
    pub endpoint: String,
    /// Messages that arrived.
    pub delivered: u64,
    /// Attempts that are made again.
    pub retried: u64,
    /// Messages that it will never take.
    pub dropped: u64,
}

impl Gauges {
    /// All values by their names.
    fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("dual_ppm", self.dual_ppm.into()),
            ("mirrored_ppm", self.mirrored_ppm.into()),
            ("target_first_ppm", self.target_first_ppm.into()),
            ("target_only_ppm", self.target_only_ppm.into()),
            ("instances", self.instances),
            ("unsettled", self.unsettled),
        ]
    }
}
