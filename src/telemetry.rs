//! Placeholder until the telemetry branch lands.
#![allow(missing_docs)]
use cutover_proto::v1;
use std::time::Instant;
#[derive(Debug, Default)]
pub struct Ingest {}
#[derive(Debug, Default)]
pub struct Totals {}
#[derive(Debug, Default)]
pub struct StoreRate {}
impl Ingest {
    pub fn accept(&self, report: &v1::ReportRequest, _newest: u64, _now: Instant) -> u64 {
        report.sequence
    }
    pub fn totals(&self, _key: &str) -> Totals {
        Totals {}
    }
    pub fn rates(&self, _key: &str, _now: Instant) -> Vec<StoreRate> {
        Vec::new()
    }
    pub fn forget(&self, _key: &str) {}
    pub fn forget_instance(&self, _id: &str) {}
}
