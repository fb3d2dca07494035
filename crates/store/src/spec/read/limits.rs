//! The section `[limits]`.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::{
    section::{Given, Section},
    told::Told,
};
use crate::spec::Limits;

pub(super) fn read(given: Given<Section<'_>>, told: &mut Told<'_>) -> Limits {
    let default = Limits::default();
    let Some(mut section) = given.is().map(Spanned::into_inner) else { return default };
    let most = i64::MAX as u64;
    let (tuned, rows) = (section.take("records_per_s", told), section.take::<u64>("rows_per_s", told));
    if let (Given::Is(_), Given::Is(rows)) = (&tuned, &rows) {
        let what = "it is records_per_s by another name: give one of the two";
        told.invalid(rows.span(), "rows_per_s", what);
    }
    let (name, rows) = if rows.is_absent() { ("records_per_s", tuned) } else { ("rows_per_s", rows) };
    let mut number = |key, default, range| {
        let given = section.take(key, told);
        in_range(key, given, default, range, told)
    };
    let limits = Limits {
        bytes_per_s: number("bytes_per_s", default.bytes_per_s, 0..=most),
        chunk_ms: number("chunk_ms", default.chunk_ms, 10..=60_000),
        chunk_bytes: number("chunk_bytes", default.chunk_bytes, 1_000..=64_000_000),
        lag_ms: number("lag_ms", default.lag_ms, 0..=86_400_000),
        latency_ms: number("latency_ms", default.latency_ms, 0..=60_000),
        segments: number("segments", default.segments.into(), 1..=Limits::SEGMENTS_MAX.into()) as u32,
        workers: number("workers", default.workers.into(), 1..=256) as u32,
        rows_per_s: 0,
    };
    let rows_per_s = in_range(name, rows, default.rows_per_s, 0..=most, told);
    section.end(told);
    Limits { rows_per_s, ..limits }
}

/// The number, or its default.
pub(super) fn in_range(
    key: &'static str,
    given: Given<u64>,
    default: u64,
    range: RangeInclusive<u64>,
    told: &mut Told<'_>,
) -> u64 {
    match given.is() {
        Some(given) if range.contains(given.as_ref()) => *given.as_ref(),
        Some(given) => {
            let what =
                format!("{} is out of range: give {} to {}", given.as_ref(), range.start(), range.end());
            told.invalid(given.span(), key, what);
            default
        }
        None => default,
    }
}
