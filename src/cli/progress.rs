//! The verb that shows what was reported, over time.

use std::{process::ExitCode, time::Duration};

use cutover_proto::v1;

use super::{Global, connect::answer, duration, out, render};

/// 1,000 rows with all that a histogram can have.
const ANSWER_BYTES: usize = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Progress {
    /// The migration
    key: String,
    /// How far back, such as 10m, 24h, 30d; at most 90d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
    since: Duration,
    /// About so many rows
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rows: u32,
}

pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text)?;
    match span.as_secs() {
        0 => Err("give 1s at least".to_owned()),
        seconds if seconds > 90 * 24 * 3_600 => Err("90 days are kept: give at most 90d".to_owned()),
        _ => Ok(span),
    }
}

/// What was reported since then, in about so many rows. `latencies`: with histograms.
pub(super) async fn fetch(
    global: &Global,
    key: &str,
    since: Duration,
    rows: u32,
    latencies: bool,
) -> anyhow::Result<v1::Progress> {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64;
    let since_ms = now_ms.saturating_sub(since.as_millis() as u64).max(1);
    let request =
        v1::GetProgressRequest { key: key.to_owned(), since_ms, until_ms: 0, points: rows, latencies };
    answer(global.admin().await?.max_decoding_message_size(ANSWER_BYTES).get_progress(request)).await
}

impl Progress {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let progress = fetch(global, &self.key, self.since, self.rows, global.json).await?;
        if global.json {
            for point in &progress.points {
                out::json(&render::progress_json(&self.key, progress.width_ms, point));
            }
        } else if progress.points.is_empty() {
            out::line(&nothing(&self.key, self.since));
        } else {
            render::progress_table(&self.key, &progress, out::columns())
                .iter()
                .for_each(|line| out::line(line));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// That nothing was reported, in words.
pub(super) fn nothing(key: &str, since: Duration) -> String {
    // Nobody says "the last 1 day".
    let since = match render::span(since).as_str() {
        "1 day" => "day".to_owned(),
        "1h" => "hour".to_owned(),
        "1m" => "minute".to_owned(),
        "1s" => "second".to_owned(),
        other => other.to_owned(),
    };
    format!("nothing was reported of {key} in the last {since}: do its services run? cutover instances")
}
