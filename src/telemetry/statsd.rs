//! Sends counts as statsd lines, once a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cutover_clock::Instant;
use cutover_proto::v1;
use statsd::client::{Client, Pipeline};

use super::{Gauges, Ingest, StoreView, View, now_ms};

const EVERY: Duration = Duration::from_secs(1);
/// How often the address is resolved again, since it may change.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);
/// Prefix of all names.
const PREFIX: &str = "cutover";
/// Fits into an Ethernet frame.
const DATAGRAM_MAX: usize = 1400;
/// The events that are sent.
const EVENTS: [&str; 7] = ["hit", "miss", "not_found", "migrated", "backfill", "repaired", "mismatch"];

/// The value of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An increment.
    Count(u64),
    /// A current value.
    Gauge(u64),
    /// A duration in milliseconds.
    TimerMs(f64),
}

/// One line, without the prefix.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The metric.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Converts counters to differences; remembers the previous values.
#[derive(Debug, Default)]
pub struct Lines {
    said: HashMap<String, u64>,
}

impl Lines {
    /// The lines to send now. An unchanged counter sends nothing, and neither does the timer of a store
    /// without calls.
    pub fn next(&mut self, view: &View, gauges: &[Gauges]) -> Vec<Line> {
        let before = std::mem::take(&mut self.said);
        let mut lines = Vec::new();
        let mut count = |name: String, now: u64, lines: &mut Vec<Line>| {
            let said = before.get(&name).copied().unwrap_or(0);
            // Less than before: the migration was deleted and created again.
            let more = now.checked_sub(said).unwrap_or(now);
            self.said.insert(name.clone(), now);
            if more > 0 {
                lines.push(Line { name, value: Value::Count(more) });
            }
            more
        };
        for migration in &view.migrations {
            let key = &migration.key;
            for (event, total) in migration.totals.named() {
                if EVENTS.contains(&event) {
                    count(format!("{key}.{event}"), total, &mut lines);
                }
            }
            count(format!("{key}.rollback"), migration.rollbacks, &mut lines);
            for store in &migration.stores {
                let name = format!("{key}.{}", of_store(store));
                let more = count(format!("{name}.calls"), store.calls, &mut lines);
                count(format!("{name}.errors"), store.errors, &mut lines);
                if more > 0 && store.p50_us > 0 {
                    let value = Value::TimerMs(store.p50_us as f64 / 1000.0);
                    lines.push(Line { name: format!("{name}.latency"), value });
                }
            }
        }
        for of in gauges {
            let mut gauge = |name: &str, value: u64| {
                lines.push(Line { name: format!("{}.{name}", of.migration), value: Value::Gauge(value) });
            };
            of.named().iter().for_each(|(name, _, value)| gauge(name, *value));
            if let Some(plan) = &of.plan {
                plan.states().iter().for_each(|(state, is)| gauge(&format!("plan_state.{state}"), *is));
                plan.named().iter().for_each(|(name, _, value)| gauge(name, *value));
            }
            for pass in &of.passes {
                let kind = pass.kind_name();
                pass.named().iter().for_each(|(name, _, value)| gauge(&format!("{name}.{kind}"), *value));
            }
        }
        lines
    }
}

fn of_store(store: &StoreView) -> String {
    let operation = if store.operation == v1::Operation::Write { "write" } else { "read" };
    let role = if store.store == v1::StoreRole::Target { "target" } else { "source" };
    format!("{operation}.{role}")
}

/// Sends lines to `address` until dropped. If nobody is there, or the name does not resolve, it keeps trying;
/// what could not be sent is lost.
pub async fn run(address: String, ingest: Arc<Ingest>, gauges: impl Fn() -> Vec<Gauges> + Send) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lines = Lines::default();
    let mut client: Option<(Client, Instant)> = None;
    let mut complained = false;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let said = lines.next(&ingest.view(now_ms()), &gauges());
        let (address, had) = (address.clone(), client.take());
        // Resolving names and sending datagrams are blocking calls.
        let sent = tokio::task::spawn_blocking(move || send(&address, had, &said, now));
        match sent.await.map_err(|error| error.to_string()).flatten() {
            Ok(used) => (client, complained) = (Some(used), false),
            Err(error) if !complained => {
                tracing::warn!(error, "can't reach statsd; retrying");
                complained = true;
            }
            Err(_) => {}
        }
    }
}

fn send(
    address: &str,
    client: Option<(Client, Instant)>,
    lines: &[Line],
    now: Instant,
) -> Result<(Client, Instant), String> {
    let fresh = client.filter(|(_, since)| now.saturating_duration_since(*since) < RESOLVE_EVERY);
    let (client, since) = match fresh {
        Some(fresh) => fresh,
        None => (Client::new(address, PREFIX).map_err(|error| error.to_string())?, now),
    };
    let mut pipeline = Pipeline::new();
    pipeline.set_max_udp_size(DATAGRAM_MAX);
    for Line { name, value } in lines {
        match value {
            Value::Count(more) => pipeline.count(name, *more as f64),
            Value::Gauge(now) => pipeline.gauge(name, *now as f64),
            Value::TimerMs(ms) => pipeline.timer(name, *ms),
        }
    }
    pipeline.send(&client);
    Ok((client, since))
}
