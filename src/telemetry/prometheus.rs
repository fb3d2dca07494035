//! Exports counts as OpenMetrics text, which Prometheus reads.

use std::fmt;

use cutover_core::histogram::{BUCKETS, Histogram};
use cutover_proto::v1;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{Deliveries, Gauges, StoreView, View};

/// Content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// This many fine buckets, two octaves, form one here.
const COARSE: usize = 16;

/// Everything as one scrape.
pub fn text(view: View, gauges: Vec<Gauges>, deliveries: Vec<Deliveries>) -> String {
    let mut registry = Registry::with_prefix("cutover");
    registry.register_collector(Box::new(Scrape { view, gauges, deliveries }));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        }
    }
}

#[derive(Debug)]
struct Scrape {
    view: View,
    gauges: Vec<Gauges>,
    deliveries: Vec<Deliveries>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.events(&mut encoder)?;
        self.calls(&mut encoder)?;
        self.placements(&mut encoder)?;
        self.notifications(&mut encoder)?;
        let dropped = "Cells that instances had to drop";
        let plain = [
            ("dropped_cells", dropped, self.view.dropped_cells),
            ("rejected_cells", "Cells that came malformed", self.view.rejected_cells),
            ("unknown_cells", "Cells of migrations that there are not", self.view.unknown_cells),
            ("lost_reports", "Reports whose counts a crash of the controller lost", self.view.lost_reports),
        ];
        for (name, help, count) in plain {
            ConstCounter::new(count).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        let help = "Reports that were not counted";
        let mut family = encoder.encode_descriptor("refused_reports", help, None, MetricType::Counter)?;
        for (reason, count) in &self.view.refused_reports {
            ConstCounter::new(*count).encode(family.encode_family(&[("reason", *reason)])?)?;
        }
        Ok(())
    }
}

impl Scrape {
    fn notifications(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Notifications by endpoint and outcome";
        let mut family = encoder.encode_descriptor("notifications", help, None, MetricType::Counter)?;
        for Deliveries { endpoint, delivered, retried, dropped } in &self.deliveries {
            for (outcome, count) in [("delivered", delivered), ("retried", retried), ("dropped", dropped)] {
                let labels = [("endpoint", endpoint.as_str()), ("outcome", outcome)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn events(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "What operations came to";
        let mut family = encoder.encode_descriptor("events", help, None, MetricType::Counter)?;
        for migration in &self.view.migrations {
            for (event, count) in migration.totals.named() {
                let labels = [("migration", migration.key.as_str()), ("event", event)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls to a store";
        let mut family = encoder.encode_descriptor("store_calls", help, None, MetricType::Counter)?;
        self.each_store(|labels, store| {
            ConstCounter::new(store.calls).encode(family.encode_family(labels)?)
        })?;
        let help = "Calls to a store that failed";
        let mut family = encoder.encode_descriptor("store_errors", help, None, MetricType::Counter)?;
        self.each_store(|labels, store| {
            ConstCounter::new(store.errors).encode(family.encode_family(labels)?)
        })?;
        let help = "How long calls to a store took; the sum is estimated";
        let mut family =
            encoder.encode_descriptor("store_latency_seconds", help, None, MetricType::Histogram)?;
        self.each_store(|labels, store| latency(&store.latency, family.encode_family(labels)?))
    }

    fn each_store(
        &self,
        mut encode: impl FnMut(&[(&'static str, &str); 3], &StoreView) -> fmt::Result,
    ) -> fmt::Result {
        for migration in &self.view.migrations {
            for store in &migration.stores {
                let role = if store.store == v1::StoreRole::Target { "target" } else { "source" };
                let operation = if store.operation == v1::Operation::Write { "write" } else { "read" };
                let labels =
                    [("migration", migration.key.as_str()), ("store", role), ("operation", operation)];
                encode(&labels, store)?;
            }
        }
        Ok(())
    }

    fn placements(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (at, (name, _)) in Gauges::default().named().into_iter().enumerate() {
            let help = match name {
                "instances" => "Instances connected",
                "unsettled" => "Instances that have not acknowledged the newest step",
                _ => "Share of the tenants, in millionths",
            };
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for of in &self.gauges {
                let (_, value) = of.named()[at];
                let labels = [("migration", of.migration.as_str())];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Buckets of two octaves. The last one is unbounded.
fn latency(histogram: &Histogram, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let seconds = |bucket| Histogram::start_us(bucket) / 1e6;
    let coarse = |(at, counts): (usize, &[u64])| {
        let end = (at + 1) * COARSE;
        let end = if end >= BUCKETS { f64::INFINITY } else { seconds(end) };
        (end, counts.iter().sum())
    };
    let buckets: Vec<(f64, u64)> = histogram.counts().chunks(COARSE).enumerate().map(coarse).collect();
    let middle = |at| (seconds(at) + seconds(at + 1)) / 2.0;
    let sum = histogram.counts().iter().enumerate().map(|(at, count)| middle(at) * *count as f64).sum();
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.total(), &buckets, None)
}
