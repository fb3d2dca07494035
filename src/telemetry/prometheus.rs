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

use super::{Deliveries, Gauges, LimitsView, PassGauges, PlanGauges, StoreView, TlsView, View};
use crate::domain::PassKind;

/// Content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// This many fine buckets, two octaves, form one here.
const COARSE: usize = 16;

/// Everything as one scrape. `refused_calls`: by reason. `tls`: `None` without TLS.
pub fn text(
    view: View,
    gauges: Vec<Gauges>,
    deliveries: Vec<Deliveries>,
    refused_calls: Vec<(&'static str, u64)>,
    limits: LimitsView,
    tls: Option<TlsView>,
    oidc_keys_read_s: Option<u64>,
) -> String {
    let mut registry = Registry::with_prefix("cutover");
    registry.register_collector(Box::new(Scrape {
        view,
        gauges,
        deliveries,
        refused_calls,
        limits,
        tls,
        oidc_keys_read_s,
    }));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        }
    }
}

/// The scrape of a controller on standby: it counts nothing.
pub fn standby_text() -> String {
    format!("# HELP cutover_leading {LEADING}.\n# TYPE cutover_leading gauge\ncutover_leading 0\n# EOF\n")
}

const LEADING: &str = "1 if this controller leads, 0 if it is on standby";

#[derive(Debug)]
struct Scrape {
    view: View,
    gauges: Vec<Gauges>,
    deliveries: Vec<Deliveries>,
    refused_calls: Vec<(&'static str, u64)>,
    limits: LimitsView,
    tls: Option<TlsView>,
    oidc_keys_read_s: Option<u64>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let leading = encoder.encode_descriptor("leading", LEADING, None, MetricType::Gauge)?;
        ConstGauge::new(1_u64).encode(leading)?;
        self.events(&mut encoder)?;
        self.calls(&mut encoder)?;
        self.migrations(&mut encoder)?;
        self.notifications(&mut encoder)?;
        let dropped = "Cells that instances had to drop, and sums that may not be stored";
        let plain = [
            ("dropped_cells", dropped, self.view.dropped_cells),
            ("rejected_cells", "Malformed cells", self.view.rejected_cells),
            ("unknown_cells", "Cells of unknown migrations", self.view.unknown_cells),
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
        let help = "Calls that were refused for their token";
        let mut family = encoder.encode_descriptor("refused_calls", help, None, MetricType::Counter)?;
        for (reason, count) in &self.refused_calls {
            ConstCounter::new(*count).encode(family.encode_family(&[("reason", *reason)])?)?;
        }
        let help = "Connections to the gRPC port that are open";
        let open = encoder.encode_descriptor("grpc_connections", help, None, MetricType::Gauge)?;
        ConstGauge::new(self.limits.connections).encode(open)?;
        let help = "Connections, calls, streams and requests that were refused because of a limit";
        let mut family = encoder.encode_descriptor("limited", help, None, MetricType::Counter)?;
        for (limit, count) in &self.limits.refused {
            ConstCounter::new(*count).encode(family.encode_family(&[("limit", *limit)])?)?;
        }
        if let Some(read_s) = self.oidc_keys_read_s {
            let help = "When the identity provider's keys were last read, in seconds since 1970; 0: not yet";
            let name = "oidc_keys_read_timestamp_seconds";
            let read = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(read_s).encode(read)?;
        }
        self.tls.as_ref().map_or(Ok(()), |tls| certificate(tls, &mut encoder))
    }
}

fn certificate(tls: &TlsView, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "1 while the files for TLS can't be used and an older certificate is";
    let stale = encoder.encode_descriptor("tls_certificate_stale", help, None, MetricType::Gauge)?;
    ConstGauge::new(u64::from(tls.is_stale)).encode(stale)?;
    if let Some(expires_s) = tls.expires_s {
        let help = "When the certificate in use expires, in seconds since 1970";
        let name = "tls_certificate_expires_timestamp_seconds";
        ConstGauge::new(expires_s).encode(encoder.encode_descriptor(
            name,
            help,
            None,
            MetricType::Gauge,
        )?)?;
    }
    let help = "Connections that were refused before their first request";
    let mut family = encoder.encode_descriptor("refused_connections", help, None, MetricType::Counter)?;
    for (port, reason, count) in &tls.refused {
        let labels = [("port", *port), ("reason", *reason)];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Scrape {
    fn notifications(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Messages to endpoints by outcome; attempts that failed are `retried`";
        let mut family = encoder.encode_descriptor("notifications", help, None, MetricType::Counter)?;
        for Deliveries { endpoint, delivered, retried, dropped, set_aside, .. } in &self.deliveries {
            let counts = [
                ("delivered", delivered),
                ("retried", retried),
                ("dropped", dropped),
                ("set_aside", set_aside),
            ];
            for (outcome, count) in counts {
                let labels = [("endpoint", endpoint.as_str()), ("outcome", outcome)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "For how long the first message in hand has been failing; 0: it has not failed";
        let mut family =
            encoder.encode_descriptor("notifications_failing_seconds", help, None, MetricType::Gauge)?;
        for Deliveries { endpoint, failing_ms, .. } in &self.deliveries {
            // Failing since just now is not 0.
            let seconds = failing_ms.map_or(0, |ms| ms.div_ceil(1_000).max(1));
            ConstGauge::new(seconds).encode(family.encode_family(&[("endpoint", endpoint.as_str())])?)?;
        }
        Ok(())
    }

    fn events(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Operations by what happened";
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

    fn migrations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (at, (name, help, _)) in Gauges::default().named().into_iter().enumerate() {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for of in &self.gauges {
                let labels = [("migration", of.migration.as_str())];
                ConstGauge::new(of.named()[at].2).encode(family.encode_family(&labels)?)?;
            }
        }
        self.plans(encoder)?;
        self.passes(encoder)
    }

    fn plans(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plans = || self.gauges.iter().filter_map(|of| Some((of.migration.as_str(), of.plan?)));
        let help = "1 for the present state of the plan";
        let mut family = encoder.encode_descriptor("plan_state", help, None, MetricType::Gauge)?;
        for (migration, plan) in plans() {
            for (state, is) in plan.states() {
                let labels = [("migration", migration), ("state", state)];
                ConstGauge::new(is).encode(family.encode_family(&labels)?)?;
            }
        }
        for (at, (name, help, _)) in PlanGauges::NONE.named().into_iter().enumerate() {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (migration, plan) in plans() {
                ConstGauge::new(plan.named()[at].2)
                    .encode(family.encode_family(&[("migration", migration)])?)?;
            }
        }
        Ok(())
    }

    fn passes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (at, (name, help, _)) in PassGauges::none(PassKind::Full).named().into_iter().enumerate() {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for of in &self.gauges {
                for pass in &of.passes {
                    let labels = [("migration", of.migration.as_str()), ("kind", pass.kind_name())];
                    ConstGauge::new(pass.named()[at].2).encode(family.encode_family(&labels)?)?;
                }
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
