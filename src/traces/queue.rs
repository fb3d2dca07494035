//! Spans that wait to be sent. The library drops what has no room in silence, so this counts them before it does.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::exporter::{Delivery, Told, WAITING_MAX};

/// Hands spans over to a thread that sends them, and never waits for it.
#[derive(Debug)]
pub(super) struct Queue {
    batches: BatchSpanProcessor,
    delivery: Arc<Delivery>,
}

impl Queue {
    /// `shown`: the address, as the log has it.
    pub(super) fn to(exporter: impl SpanExporter + 'static, shown: String) -> Self {
        let delivery = Arc::new(Delivery { address: shown, ..Delivery::default() });
        let exporter = Told { exporter, delivery: delivery.clone() };
        let config = BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).build();
        Self { batches: BatchSpanProcessor::new(exporter, config), delivery }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.delivery.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX {
            return self.batches.on_end(span);
        }
        self.delivery.waiting.fetch_sub(1, Ordering::Relaxed);
        self.delivery.dropped(1, "the collector takes them more slowly than they are made");
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// A collector that answers when it is told to.
    #[derive(Debug)]
    struct Slow(std::sync::Mutex<mpsc::Receiver<()>>);

    impl SpanExporter for Slow {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            // Nobody tells it any more: the test is over.
            _ = self.0.lock().map(|told| told.recv());
            Ok(())
        }
    }

    #[test]
    fn spans_for_which_a_slow_collector_leaves_no_room_are_counted() {
        let (answer, told) = mpsc::channel();
        let queue = Queue::to(Slow(told.into()), "http://collector".to_owned());
        let delivery = queue.delivery.clone();
        let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
        let tracer = provider.tracer("test");
        for _ in 0..2 * WAITING_MAX {
            drop(tracer.start("span"));
        }
        let dropped = delivery.dropped.load(Ordering::Relaxed);
        let waiting = delivery.waiting.load(Ordering::Relaxed);
        assert!(waiting <= WAITING_MAX && dropped > 0, "{waiting} wait, {dropped} were dropped");
        assert!(delivery.is_failing.load(Ordering::Relaxed), "it was said");
        drop(answer);
        provider.force_flush().expect("all are sent");
        assert_eq!(delivery.waiting.load(Ordering::Relaxed), 0);
        assert!(!delivery.is_failing.load(Ordering::Relaxed), "that is over");
    }
}
