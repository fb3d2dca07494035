//! Sends batches of spans, and says once that it can't.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// Maximum spans that wait.
pub(super) const WAITING_MAX: usize = 2_048;

/// What becomes of spans.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) address: String,
    /// Spans that wait.
    pub(super) waiting: AtomicUsize,
    pub(super) is_failing: AtomicBool,
    /// Spans that were dropped since the collector took all.
    pub(super) dropped: AtomicU64,
}

impl Delivery {
    /// The collector took a batch. Once nothing waits that has no room, all are sent again.
    pub(super) fn sent(&self) {
        if self.waiting.load(Ordering::Relaxed) >= WAITING_MAX / 2 {
            return;
        }
        if self.is_failing.swap(false, Ordering::Relaxed) {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::info!(address = self.address, dropped, "traces are sent again");
        }
    }

    /// Spans are lost.
    pub(super) fn dropped(&self, spans: usize, why: &str) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let address = &self.address;
            tracing::warn!(
                address,
                error = why,
                "traces can't be sent and are dropped: is the address that of a collector's gRPC port?"
            );
        }
    }
}

/// An exporter whose failures are logged.
#[derive(Debug)]
pub(super) struct Told<E> {
    pub(super) exporter: E,
    pub(super) delivery: Arc<Delivery>,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.delivery.waiting.fetch_sub(spans, Ordering::Relaxed);
        let exported = self.exporter.export(batch).await;
        match &exported {
            Ok(()) => self.delivery.sent(),
            Err(error) => self.delivery.dropped(spans, &error.to_string()),
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
