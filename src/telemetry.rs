//! Counts what SDKs report, once, and exports it: statsd lines and a Prometheus scrape.
//!
//! Metrics count since this process started. What has to outlive it is taken from here and stored as windows
//! (`service::Windows`). A tenant is never a label.

mod heard;
mod ingest;
pub mod prometheus;
mod reading;
pub mod statsd;
mod tally;

pub use cutover_clock::now_ms;
pub use heard::Heard;
pub use ingest::{Accepted, Ingest, Refused, Taken};
pub use reading::SLOTS;
pub use tally::{Known, MigrationView, StoreRate, StoreView, View};

/// What the controller knows of a migration besides the reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Its key.
    pub migration: String,
    /// Share of the tenants at dual or above.
    pub dual_ppm: u32,
    /// Share of the tenants at mirrored or above.
    pub mirrored_ppm: u32,
    /// Share of the tenants at target-first or above.
    pub target_first_ppm: u32,
    /// Share of the tenants at target-only.
    pub target_only_ppm: u32,
    /// Connected instances.
    pub instances: u64,
    /// Those of them that have not acknowledged the newest step.
    pub unsettled: u64,
}

/// Results of the messages to one endpoint since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Its name.
    pub endpoint: String,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Attempts that will be repeated.
    pub retried: u64,
    /// Messages that the endpoint rejects for good.
    pub dropped: u64,
}

impl Gauges {
    /// All values by name.
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
