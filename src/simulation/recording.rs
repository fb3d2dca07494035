//! Recorded traffic to be replayed: what callers did, second by second, and how the stores answered, whatever
//! the stage was.

use cutover_core::histogram::BUCKETS;

use super::mix::{BASE_ERRORS, BASE_WRITE_ERRORS, Mix};
use crate::domain::{Calls, Counts, guard::Slow};

const DAY_S: u64 = 24 * 3_600;
/// The year 5138. Later times are invalid.
const TIME_END_S: u64 = 100_000_000_000;
/// Maximum calls in a second: far above what any controller counts.
const CALLS_PER_S_MAX: f64 = 1e6;

/// Indexes into [`Counts::calls`].
const SOURCE_READS: usize = 0;
const SOURCE_WRITES: usize = 1;
const TARGET_READS: usize = 2;
const TARGET_WRITES: usize = 3;

/// A window of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Unix time of its beginning.
    pub at_s: u64,
    /// Its length.
    pub width_s: u64,
    /// Its counts.
    pub counts: Counts,
}

/// What was reported of a migration over some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    from_s: u64,
    period_s: u64,
    /// Beginning, end, and the mix of a second in between; ascending. Gaps are silence.
    mixes: Vec<(u64, u64, Mix)>,
    /// What it does not contain, and what is assumed instead.
    pub assumed: Vec<String>,
}

impl Recording {
    /// Builds a recording from windows in order, or says what is wrong with them. Only whole days are used,
    /// the newest ones.
    pub fn of(windows: &[Window]) -> Result<Self, String> {
        check(windows)?;
        let all = windows.iter().fold(Counts::default(), |mut all, window| {
            all.merge(&window.counts);
            all
        });
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
            return Err("nothing was reported in it".to_owned());
        };
        if all.calls.iter().all(|calls| calls.calls == 0) {
            return Err("it has no call to any store".to_owned());
        }
        let until_s = last.at_s + last.width_s;
        let span_s = until_s - first.at_s;
        let period_s = if span_s < DAY_S { span_s } else { span_s - span_s % DAY_S };
        let mut slow = [Slow::default(), Slow::default()];
        let mixes = windows
            .iter()
            .map(|window| (window.at_s, window.at_s + window.width_s, mix(window, &all, &mut slow)));
        let from_s = until_s - period_s;
        let mixes = mixes.filter(|(_, end_s, _)| *end_s > from_s).collect();
        Ok(Self { from_s, period_s, mixes, assumed: assumed(&all) })
    }

    /// Unix time at which it begins.
    pub const fn from_s(&self) -> u64 {
        self.from_s
    }

    /// Its length, after which it repeats.
    pub const fn period_s(&self) -> u64 {
        self.period_s
    }

    /// Calls per second in its quietest and in its busiest window.
    pub fn calls_per_s(&self) -> (f64, f64) {
        let calls = self.mixes.iter().map(|(_, _, mix)| mix.reads + mix.writes);
        calls.fold((f64::INFINITY, 0.0), |(least, most), calls| (least.min(calls), most.max(calls)))
    }

    /// One second of it; silence if nothing was reported.
    pub(super) fn at(&self, now_s: u64) -> Mix {
        let second = self.from_s + now_s.saturating_sub(self.from_s) % self.period_s;
        let after = self.mixes.partition_point(|(at_s, _, _)| *at_s <= second);
        let found = after.checked_sub(1).and_then(|at| self.mixes.get(at));
        found.filter(|(_, end_s, _)| second < *end_s).map_or(Mix::default(), |(_, _, mix)| *mix)
    }
}

fn check(windows: &[Window]) -> Result<(), String> {
    let mut free_s = 0;
    for (at, Window { at_s, width_s, counts }) in windows.iter().enumerate() {
        let wrong = |what: &str| Err(format!("its window {} {what}", at + 1));
        if *width_s == 0 || *width_s > TIME_END_S || *at_s > TIME_END_S {
            return wrong("is at no time, or of no length");
        }
        if *at_s < free_s {
            return wrong("begins before the one before it has ended: give them in their order, each once");
        }
        free_s = at_s + width_s;
        if counts.calls.iter().any(|calls| calls.errors > calls.calls) {
            return wrong("has more errors than calls");
        }
        let most = CALLS_PER_S_MAX * *width_s as f64;
        let events = counts.events.named().into_iter().map(|(_, count)| count);
        if counts.calls.iter().map(|calls| calls.calls).chain(events).any(|count| count as f64 > most) {
            return wrong("has over a million calls a second");
        }
    }
    Ok(())
}

/// The mix of a second in a window. What the window does not contain is taken from `all`, or is as for
/// generated traffic.
fn mix(window: &Window, all: &Counts, slow: &mut [Slow; 2]) -> Mix {
    let per_s = |count: u64| count as f64 / window.width_s as f64;
    let (counts, calls) = (&window.counts, &window.counts.calls);
    let events = &counts.events;
    // Everything else that touched the target also had to go to the source.
    let reads = (calls[SOURCE_READS].calls + events.hit).max(calls[TARGET_READS].calls);
    let (source, target) = (calls[SOURCE_WRITES].calls, calls[TARGET_WRITES].calls);
    let writes = (source + target).saturating_sub(written(counts)).max(source).max(target);
    let failed = |slot: usize| {
        let of = |calls: &Calls| share(calls.errors, calls.calls);
        of(&calls[slot]).or(of(&all.calls[slot])).unwrap_or(BASE_ERRORS)
    };
    let failed_alone = |slot: usize| {
        let of = |counts: &Counts| {
            let alone = match slot {
                SOURCE_WRITES => counts.events.only_source_failed,
                _ => counts.events.only_target_failed,
            };
            share(alone, written(counts))
        };
        of(counts).or(of(all)).unwrap_or(BASE_WRITE_ERRORS)
    };
    let lacking = |counts: &Counts| {
        let of = &counts.events;
        share(of.miss + of.lacking, of.hit + of.miss + of.compared)
    };
    let differing = |counts: &Counts| share(counts.events.mismatch, counts.events.compared);
    Mix {
        reads: per_s(reads),
        writes: per_s(writes),
        source_errors: failed(SOURCE_READS),
        target_errors: failed(TARGET_READS),
        write_source_errors: failed_alone(SOURCE_WRITES),
        write_target_errors: failed_alone(TARGET_WRITES),
        misses: lacking(counts).or(lacking(all)).unwrap_or(0.0),
        mismatches: differing(counts).or(differing(all)).unwrap_or(0.0),
        slow: slowness(window, slow),
    }
}

/// Writes to both stores.
fn written(counts: &Counts) -> u64 {
    let of = &counts.events;
    of.both_ok + of.only_target_failed + of.only_source_failed + of.both_failed
}

/// Shares that are slower than the limit from earlier windows, as guards compute it. If the target was not
/// called, it is assumed to be as slow as the source.
fn slowness(window: &Window, slow: &mut [Slow; 2]) -> [f64; 4] {
    let latencies = [SOURCE_READS, SOURCE_WRITES, TARGET_READS, TARGET_WRITES]
        .map(|slot| window.counts.calls[slot].latency.counts::<BUCKETS>());
    let from = [SOURCE_READS, SOURCE_WRITES].map(|slot| {
        let slow = &mut slow[slot];
        let before = slow.from();
        slow.add(latencies[slot].into_iter().enumerate());
        slow.tick((window.at_s + window.width_s) * 1_000);
        before.or(slow.from())
    });
    let of = |slot: usize| {
        let counts = &latencies[slot];
        let from = from[slot % 2]? as usize;
        share(counts[from.min(counts.len())..].iter().sum(), counts.iter().sum())
    };
    [SOURCE_READS, SOURCE_WRITES, TARGET_READS, TARGET_WRITES]
        .map(|slot| of(slot).or(of(slot % 2)).unwrap_or(0.0))
}

/// `None` if the whole is 0.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).min(1.0))
}

fn assumed(all: &Counts) -> Vec<String> {
    let mut assumed = Vec::new();
    let base = BASE_ERRORS * 100.0;
    if all.calls[TARGET_READS].calls == 0 {
        assumed.push(format!("the target was not read from: {base} % of its reads fail, none misses"));
    }
    if written(all) == 0 {
        let base = BASE_WRITE_ERRORS * 100.0;
        assumed
            .push(format!("nothing was written to both stores: {base} % of such writes fail in one alone"));
    }
    if all.calls.iter().all(|calls| calls.latency.is_empty()) {
        assumed.push("no latencies were recorded: no call is slow".to_owned());
    }
    assumed
}
