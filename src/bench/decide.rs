//! Decisions as an SDK makes them: the newest snapshot, its migration, the tenant.

use std::{hint::black_box, sync::Arc};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use cutover_client::watch::Current;
use cutover_core::routing::{Band, Policy, Reason, Route, Rung, Salt, Snapshot, Table};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::{
    child::cpu_us,
    figures::{Figures, Row, median, ratio, round},
};

/// Number of passes; the median counts.
const PASSES: usize = 7;
/// Minimum number of questions in a pass: all tenants, repeatedly if they are few.
const QUESTIONS: usize = 100_000;
/// The migrations, one without overrides and one with.
const PLAIN: &str = "plain";
const OVERRIDDEN: &str = "overridden";
const SALT: &str = "a1b2c3d4";

/// Flags of `cutover bench decide`.
#[derive(Clone, Debug, clap::Args)]
pub struct Decide {
    /// Number of random tenants, each with an override
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    overrides: u32,
}

/// The results.
#[derive(Debug, Serialize)]
struct Numbers {
    bench: &'static str,
    overrides: u32,
    tenant_bytes: u64,
    none_ns: f64,
    none_per_s: f64,
    overrides_ns: f64,
    overrides_per_s: f64,
    bare_load_ns: f64,
    bare_murmur3_ns: f64,
    overhead_bytes_per_override: f64,
}

impl Decide {
    pub(super) fn run(self) -> anyhow::Result<Figures> {
        let count = self.overrides as usize;
        let tenants = Tenants::random(count);
        let route = Route { rung: Rung::Mirrored, reason: Reason::Pin, no_fallback: false };
        let plain = Table::new(1, SALT, &[Band { upto_ppm: 250_000, route }], Policy::default());
        let overridden = plain.with_overrides(tenants.iter().map(|tenant| (tenant, Some(route))));
        let overhead = ratio(overridden.heap_bytes() as f64, count as f64) - tenants.bytes as f64;
        let mut snapshot = Snapshot::empty(1);
        snapshot.insert(PLAIN, Ok(Arc::new(plain)));
        snapshot.insert(OVERRIDDEN, Ok(Arc::new(overridden)));
        let bare = ArcSwap::from_pointee(snapshot.clone());
        let salt = Salt::new(SALT);
        let current = Current::default();
        current.replace(snapshot);
        let taken = current.decide(OVERRIDDEN, tenants.get(0)).context("no decision")?;
        anyhow::ensure!(taken.reason == Reason::Pin, "the table has lost an override");

        let mut ns: [Vec<f64>; 4] = Default::default();
        for _ in 0..PASSES {
            ns[0].push(tenants.pass(|_| _ = black_box(bare.load().revision())));
            ns[1].push(tenants.pass(|tenant| _ = black_box(salt.hash(tenant))));
            ns[2].push(tenants.pass(|tenant| _ = black_box(current.decide(PLAIN, tenant))));
            ns[3].push(tenants.pass(|tenant| _ = black_box(current.decide(OVERRIDDEN, tenant))));
        }
        let [load, murmur3, none, overrides] = ns.map(|passes| median(&passes));
        let numbers = Numbers {
            bench: "decide",
            overrides: self.overrides,
            tenant_bytes: tenants.bytes as u64,
            none_ns: round(none, 1),
            none_per_s: ratio(1e9, none).round(),
            overrides_ns: round(overrides, 1),
            overrides_per_s: ratio(1e9, overrides).round(),
            bare_load_ns: round(load, 1),
            bare_murmur3_ns: round(murmur3, 1),
            overhead_bytes_per_override: round(overhead, 2),
        };
        let bare = Some(load + murmur3);
        let rows = vec![
            Row::cost("a decision, no overrides", "ns", none, bare),
            Row::cost(format!("a decision, {count} overrides"), "ns", overrides, bare),
            Row::rate("decisions, no overrides", "/s", ratio(1e9, none), None),
            Row::rate(format!("decisions, {count} overrides"), "/s", ratio(1e9, overrides), None),
            Row::cost("an override beyond its tenant", "bytes", overhead, None),
        ];
        let title = format!(
            "decide: CPU on one core, tenants of {} bytes in random order; bare is an ArcSwap load and a murmur3",
            tenants.bytes
        );
        Ok(Figures::new(title, rows, &numbers)?)
    }
}

/// Random tenants, stored in the order in which they are visited. So the cache misses come from the table,
/// whose order is the hash's, and not from the questions.
struct Tenants {
    text: String,
    bytes: usize,
}

impl Tenants {
    fn random(count: usize) -> Self {
        let bytes = 36;
        let mut random = StdRng::seed_from_u64(7);
        let mut text = String::with_capacity(count * bytes);
        for _ in 0..count {
            text.push_str(&format!("org-{:032x}", random.random::<u128>()));
        }
        Self { text, bytes }
    }

    fn get(&self, at: usize) -> &str {
        &self.text[at * self.bytes..(at + 1) * self.bytes]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.text.len() / self.bytes).map(|at| self.get(at))
    }

    /// Asks for each tenant; returns ns of CPU per question.
    fn pass(&self, mut ask: impl FnMut(&str)) -> f64 {
        let tenants = self.text.len() / self.bytes;
        let times = QUESTIONS.div_ceil(tenants);
        let begun_us = cpu_us();
        for _ in 0..times {
            self.iter().for_each(|tenant| ask(black_box(tenant)));
        }
        ratio((cpu_us() - begun_us) * 1e3, (times * tenants) as f64)
    }
}
