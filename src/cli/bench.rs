//! The verb that measures.

use std::process::ExitCode;

use super::{Global, out};
use crate::bench::{Bench, Figures};

/// Measures, and prints a table or one object.
pub(super) async fn run(bench: Bench, global: &Global) -> anyhow::Result<ExitCode> {
    let figures = bench.run().await?;
    if global.json {
        out::json(&figures.json);
    } else {
        table(&figures).iter().for_each(|line| out::line(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// Ours beside bare. A ratio of 1 is as good as bare, of 0.5 twice the cost.
fn table(figures: &Figures) -> Vec<String> {
    let width = figures.rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    let mut lines = vec![
        figures.title.clone(),
        format!("{:<width$} {:>10} {:>10} {:>6}  unit", "", "cutover", "bare", "ratio"),
    ];
    lines.extend(figures.rows.iter().map(|row| {
        let or_none = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
        let (bare, ratio) = (row.bare.map(number), row.ratio.map(|ratio| format!("{ratio:.2}")));
        let (what, ours, unit) = (&row.what, number(row.ours), row.unit);
        format!("{what:<width$} {ours:>10} {:>10} {:>6}  {unit}", or_none(bare), or_none(ratio))
    }));
    lines
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
