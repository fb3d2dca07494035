//! What was reported once, as traffic to try a plan against: rows of `cutover progress KEY --json`, from
//! the controller or from a file.

use std::time::Duration;

use anyhow::Context as _;
use cutover_core::histogram::Histogram;
use cutover_proto::v1;
use serde::Deserialize;

use super::{
    super::{Global, progress, render},
    text,
};
use crate::{
    domain::{Calls, Counts, Latency, Totals},
    simulation::{Recording, Window},
};

/// A day by two minutes, a week by half an hour.
const ROWS: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Recorded {
    /// Against what was reported of this migration
    #[arg(long = "recorded", value_name = "KEY", conflicts_with_all = ["recording", "calls_per_s"])]
    key: Option<String>,
    /// How far back, such as 24h, 7d; at most 90d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = progress::span, requires = "key")]
    since: Duration,
    /// Against what `cutover progress KEY --since 7d --rows 1000 --json` wrote; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "calls_per_s"])]
    recording: Option<String>,
}

/// A row of `cutover progress --json`.
#[derive(Debug, Deserialize)]
struct Row {
    at_ms: u64,
    width_ms: u64,
    #[serde(flatten)]
    events: Totals,
    stores: Vec<Store>,
}

#[derive(Debug, Deserialize)]
struct Store {
    store: StoreName,
    operation: OperationName,
    calls: u64,
    errors: u64,
    /// Older versions wrote none.
    #[serde(default)]
    latency_us: Option<Buckets>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoreName {
    Source,
    Target,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OperationName {
    Read,
    Write,
    All,
}

#[derive(Debug, Deserialize)]
struct Buckets {
    index: Vec<u32>,
    count: Vec<u64>,
}

impl Recorded {
    /// What it is of, and itself. `None`: traffic is to be made up. `plan`: the plan's file.
    pub(super) async fn load(
        &self,
        global: &Global,
        plan: &str,
    ) -> anyhow::Result<Option<(String, Recording)>> {
        let (of, windows) = if let Some(key) = &self.key {
            let progress = progress::fetch(global, key, self.since, ROWS, true).await?;
            anyhow::ensure!(!progress.points.is_empty(), progress::nothing(key, self.since));
            let rows = progress.points.iter().map(|point| {
                window(serde_json::from_value(render::progress_json(key, progress.width_ms, point))?)
            });
            let mut windows = rows.collect::<anyhow::Result<Vec<_>>>()?;
            let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
            let is_open = |last: &Window| last.at_s + last.width_s > now_s;
            windows.pop_if(|last| is_open(last) && progress.points.len() > 1);
            (key.clone(), windows)
        } else if let Some(file) = &self.recording {
            anyhow::ensure!(file != "-" || plan != "-", "the plan and the recording can't both be -");
            let mut windows = read(&text(file)?).with_context(|| file.clone())?;
            // It need not have been over when the file was written.
            let is_alone = windows.len() == 1;
            windows.pop_if(|_| !is_alone);
            (file.clone(), windows)
        } else {
            return Ok(None);
        };
        let recording = Recording::of(&windows).map_err(|wrong| {
            let key = self.key.as_deref().unwrap_or("KEY");
            anyhow::anyhow!(
                "{of} can't be played: {wrong}; cutover progress {key} --json shows what there is"
            )
        })?;
        Ok(Some((of, recording)))
    }
}

fn read(text: &str) -> anyhow::Result<Vec<Window>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let windows = lines.map(|(at, line)| {
        let row = serde_json::from_str(line).map_err(anyhow::Error::from).and_then(window);
        row.map_err(|error| {
            anyhow::anyhow!("line {} is not a row of `cutover progress KEY --json`: {error}", at + 1)
        })
    });
    windows.collect()
}

fn window(row: Row) -> anyhow::Result<Window> {
    let mut calls: [Calls; 4] = Default::default();
    for Store { store, operation, calls: all, errors, latency_us } in row.stores {
        let slot = match (store, operation) {
            (_, OperationName::All) => continue,
            (StoreName::Source, OperationName::Read) => 0,
            (StoreName::Source, OperationName::Write) => 1,
            (StoreName::Target, OperationName::Read) => 2,
            (StoreName::Target, OperationName::Write) => 3,
        };
        let latency = match latency_us {
            Some(Buckets { index, count }) => Histogram::try_from(&v1::Histogram { index, count })?,
            None => Histogram::default(),
        };
        calls[slot] = Calls { calls: all, errors, latency: Latency::of(latency.counts()) };
    }
    let counts = Counts { events: row.events, calls, ..Counts::default() };
    Ok(Window { at_s: row.at_ms / 1_000, width_s: row.width_ms / 1_000, counts })
}
