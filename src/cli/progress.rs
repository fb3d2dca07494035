//! The verb that shows what was reported, over time.

use std::{process::ExitCode, time::Duration};

use console::Term;
use cutover_proto::v1;

use super::{Global, connect::answer, out, render};

/// The columns of a pipe that asks for a table are nobody's; this is what a table takes.
const COLUMNS_MIN: u16 = 40;

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

fn span(text: &str) -> Result<Duration, String> {
    let span =
        humantime::parse_duration(text).map_err(|error| format!("{error}: give one like 10m or 24h"))?;
    match span.as_secs() {
        0 => Err("give 1s at least".to_owned()),
        seconds if seconds > 90 * 24 * 3_600 => Err("90 days are kept: give at most 90d".to_owned()),
        _ => Ok(span),
    }
}

impl Progress {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64;
        let request = v1::GetProgressRequest {
            key: self.key.clone(),
            since_ms: now_ms.saturating_sub(self.since.as_millis() as u64).max(1),
            until_ms: 0,
            points: self.rows,
        };
        let progress = answer(global.admin().await?.get_progress(request)).await?;
        let terminal = Term::stdout();
        if global.json {
            for point in &progress.points {
                out::json(&render::progress_json(&self.key, progress.width_ms, point));
            }
        } else if progress.points.is_empty() {
            let since = humantime::format_duration(self.since);
            out::line(&format!(
                "nothing was reported of {} in the last {since}: do its services run? cutover instances",
                self.key
            ));
        } else if terminal.is_term() {
            let columns = usize::from(terminal.size().1.max(COLUMNS_MIN));
            for line in render::progress_table(&self.key, &progress) {
                out::line(&console::truncate_str(&line, columns, "…"));
            }
        } else {
            progress.points.iter().for_each(|point| out::line(&render::progress_line(point)));
        }
        Ok(ExitCode::SUCCESS)
    }
}
