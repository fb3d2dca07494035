//! Counts what SDKs report, once, and exports it: statsd lines and a Prometheus scrape.
//!
//! Metrics count since this process started. What has to outlive it is taken from here and stored as windows
//! (`service::Windows`). A tenant is never a label.

mod gauges;
mod heard;
mod ingest;
pub mod prometheus;
mod reading;
pub mod statsd;
mod tally;

pub use cutover_clock::now_ms;
pub use gauges::{Gauges, PassGauges, PlanGauges};
pub use heard::Heard;
pub use ingest::{Accepted, Ingest, RefusedReport, Taken};
pub use reading::SLOTS;
pub use tally::{Known, MigrationView, StoreRate, StoreView, View};

/// What the gRPC port holds and refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsView {
    /// Connections that are open.
    pub connections: u64,
    /// Who was refused, by limit.
    pub refused: Vec<(&'static str, u64)>,
}

/// How TLS is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsView {
    /// The files can't be used, and an older certificate is.
    pub is_stale: bool,
    /// When the certificate in use expires, in seconds since 1970. `None`: unknown.
    pub expires_s: Option<u64>,
    /// Connections that were refused before their first request, by port and reason.
    pub refused: Vec<(&'static str, &'static str, u64)>,
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
    /// Messages that kept failing while later ones were delivered.
    pub set_aside: u64,
    /// Messages in hand that it has yet to get.
    pub waiting: u64,
    /// For how long the first of them has been failing. `None`: it has not failed.
    pub failing_ms: Option<u64>,
    /// The last answer, for people.
    pub answer: String,
    /// The last message that was set aside, for people. Empty: none was.
    pub last_set_aside: String,
}
