//! The results of a bench, and their arithmetic.

use serde::Serialize;

/// The results of a bench: rows for people, one object for scripts.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What was measured, in one line.
    pub title: String,
    /// The results as a table.
    pub rows: Vec<Row>,
    /// All results, with units in the names.
    pub json: serde_json::Value,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The unit of the numbers.
    pub unit: &'static str,
    /// Cutover's number.
    pub ours: f64,
    /// The bare baseline's number, if there is one.
    pub bare: Option<f64>,
    /// 1: as good as bare; 0.5: twice the cost, or half as many.
    pub ratio: Option<f64>,
}

impl Figures {
    pub(super) fn new(
        title: String,
        rows: Vec<Row>,
        numbers: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self { title, rows, json: serde_json::to_value(numbers)? })
    }
}

impl Row {
    /// Less is better. `bare` is `None` if there is nothing to compare with.
    pub(super) fn cost(what: impl Into<String>, unit: &'static str, ours: f64, bare: Option<f64>) -> Self {
        Self { what: what.into(), unit, ours, bare, ratio: bare.map(|bare| ratio(bare, ours)) }
    }

    /// More is better.
    pub(super) fn rate(what: impl Into<String>, unit: &'static str, ours: f64, bare: Option<f64>) -> Self {
        Self { what: what.into(), unit, ours, bare, ratio: bare.map(|bare| ratio(ours, bare)) }
    }
}

/// `part / whole`, and 0 if the whole is 0.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The smallest value that at least `percent` of the values do not exceed (nearest rank). 0: no values.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Median of rounds on a busy machine.
pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// Parses a duration to measure: above 0, at most 60 seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| *seconds > 0.0 && *seconds <= 60.0)
        .ok_or_else(|| format!("{text:?} is no time to measure: give seconds above 0 and up to 60, like 2.5"))
}

/// Parses a share of calls: 0 to 100 percent, fractions allowed.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.parse().ok();
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| format!("{text:?} is no percentage: give 0 to 100, like 0.1"))
}

/// Rounds to a sensible number of decimals.
pub(super) fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::{Row, median, percentile, round};

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=50).rev().map(f64::from).collect();
        assert_eq!(
            (percentile(&values, 50), percentile(&values, 99), percentile(&values, 1)),
            (25.0, 50.0, 1.0)
        );
        assert_eq!((median(&[7.0]), median(&[3.0, 9.0, 4.0]), median(&[])), (7.0, 4.0, 0.0));
    }

    #[test]
    fn a_ratio_below_one_is_worse_than_bare() {
        assert_eq!(Row::cost("cpu", "us", 20.0, Some(10.0)).ratio, Some(0.5));
        assert_eq!(Row::rate("calls", "/s", 20.0, Some(10.0)).ratio, Some(2.0));
        assert_eq!(Row::cost("cpu", "us", 0.0, Some(10.0)).ratio, Some(0.0));
        assert_eq!(Row::cost("memory", "bytes", 7.0, None).ratio, None);
        assert_eq!(round(1.25549, 2), 1.26);
    }
}
