//! Sends batches of spans, and says once that it can't.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// An exporter whose failures are logged.
#[derive(Debug)]
pub(super) struct Told<E> {
    exporter: E,
    address: String,
    is_away: AtomicBool,
    dropped: AtomicU64,
}

impl<E> Told<E> {
    pub(super) fn new(exporter: E, address: &str) -> Self {
        Self {
            exporter,
            address: address.to_owned(),
            is_away: AtomicBool::default(),
            dropped: AtomicU64::default(),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        let address = &self.address;
        match &exported {
            Ok(()) => {
                let dropped = self.dropped.swap(0, Ordering::Relaxed);
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!(address, dropped, "traces are sent again");
                }
            }
            Err(error) => {
                self.dropped.fetch_add(spans, Ordering::Relaxed);
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(address, %error, "traces can't be sent and are dropped: is the address that of a collector's gRPC port?");
                }
            }
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
