//! Records that no pass could move: which, why, and another try.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::spec::Missing;
use serde_json::json;

use super::{
    super::{Global, actor_or_user, out, render},
    PassArgs, expiring, failed, read, tables,
};
use crate::jobs::{
    Plan,
    findings::generic,
    quarantine::{Row, Rows},
    retry::{self, Retried},
};

/// Records listed by default.
const LISTED: usize = 100;
/// Characters of a tenant or key in a line; --json has all of it.
const NAME_MAX: usize = 40;
/// How long the quarantine may fail.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between lines that say how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Quarantine {
    /// List the records that no pass could move, each with its reason; no values
    List {
        /// The file that names both stores: docs/spec.md
        spec: PathBuf,
        /// List at most this many; 100, and all with --json
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
    },
    /// Try exactly these records again; take out those that fit by now, and those that are gone
    Retry {
        /// The file that names both stores: docs/spec.md
        spec: PathBuf,
    },
}

impl Quarantine {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self {
            Self::List { spec, limit } => list(global, spec, limit).await,
            Self::Retry { spec } => retry(global, spec).await,
        }
    }
}

async fn list(global: &Global, path: PathBuf, limit: Option<u64>) -> anyhow::Result<ExitCode> {
    let spec = read(&path)?;
    let quarantine = spec.open_quarantine(Missing::Refuse, |name| std::env::var(name).ok()).await;
    let quarantine = quarantine.with_context(|| format!("the quarantine {:?}", spec.quarantine_table))?;
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let most = limit.unwrap_or(if global.json { usize::MAX } else { LISTED });
    let (mut all, mut shown) = (0_usize, Vec::new());
    let mut reasons: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut rows = quarantine.as_deref().map(|quarantine| Rows::of(quarantine, &spec.migration, PATIENCE));
    while let Some(rows) = &mut rows
        && let Some(page) = rows.next().await?
    {
        for row in page {
            all += 1;
            if global.json {
                if all <= most {
                    out::json(&row_json(&row));
                }
                continue;
            }
            // Lengths differ from record to record, limits do not: the first record's reason stands for all like it.
            reasons.entry(generic(&row.reason)).or_insert_with(|| (0, row.reason.clone())).0 += 1;
            if all <= most {
                shown.push(row_cells(&row));
            }
        }
    }
    if global.json {
        return Ok(ExitCode::SUCCESS);
    }
    let migration = &spec.migration;
    if all == 0 {
        out::line(&format!("no record of {migration} is in quarantine"));
        return Ok(ExitCode::SUCCESS);
    }
    let records = render::records(all as u64);
    out::line(&format!("{records} of {migration} can't be moved:"));
    let mut reasons: Vec<_> = reasons.into_values().collect();
    reasons.sort_by_key(|(records, _)| std::cmp::Reverse(*records));
    reasons.iter().for_each(|(records, reason)| {
        let like = if *records > 1 { "like this: " } else { "" };
        out::text(&format!("  {records} {like}{reason}"));
    });
    out::line("");
    let head = ["RECORD", "TO", "SINCE", "PASS", "REASON"];
    render::table(head, &shown).iter().for_each(|line| out::line(line));
    if all > most {
        out::line(&format!("and {} more: --limit {all} shows all", all - most));
    }
    out::line(&format!("correct them, then: cutover quarantine retry {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

async fn retry(global: &Global, path: PathBuf) -> anyhow::Result<ExitCode> {
    let pass = PassArgs {
        spec: path.clone(),
        create_tables: false,
        full: false,
        new_tables: Vec::new(),
        reason: None,
    };
    let spec = pass.read()?;
    let global = &global.of_spec(&spec);
    global.channel().await?;
    let stores = pass.stores(&spec).await?;
    tables::check(global, &spec, &stores).await?;
    expiring::check_stores(&spec, &stores).await?;
    let mut plan = Plan::of(&spec, v1::PassKind::Full, actor_or_user(None));
    plan.access = global.access()?;
    let (mut moved, mut present, mut gone, mut left) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut told_at = Instant::now();
    let told = |row: &Row, retried: &Retried| {
        match retried {
            Retried::Moved => moved += 1,
            Retried::Present => present += 1,
            Retried::Gone => gone += 1,
            Retried::Left(why) => {
                left += 1;
                if global.json {
                    out::json(&json!({ "tenant": row.tenant, "key": row.key, "left": why }));
                } else if left <= LISTED as u64 {
                    out::line(&format!("still in quarantine {}: {why}", row.place()));
                }
            }
        }
        if !global.json && told_at.elapsed() >= PROGRESS_EVERY {
            told_at = Instant::now();
            out::error(&format!("{} tried so far, {left} left", moved + present + gone + left));
        }
    };
    retry::retry(&global.server, &stores, &plan, told, out::stop_signal()).await.map_err(failed)?;
    let tried = moved + present + gone + left;
    if global.json {
        let counts = json!({
            "tried": tried, "moved": moved, "present": present, "gone": gone, "left": left,
        });
        out::json(&counts);
    } else {
        let mut text = format!("{tried} tried, {moved} moved");
        for (count, what) in [(present, "there already"), (gone, "gone"), (left, "left")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        out::line(&text);
        if left > LISTED as u64 {
            out::line(&format!(
                "all that are left: cutover quarantine list {} --limit {left}",
                path.display()
            ));
        }
        if tried > left {
            out::line("a gate asks for a pass that quarantines nothing: run the pass again");
        }
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row_cells(row: &Row) -> [String; 5] {
    let short = |name: &str| console::truncate_str(name, NAME_MAX, "…").into_owned();
    let (tenant, key) = (short(&row.tenant), short(&row.key));
    let (to, since) = (row.toward.name().to_owned(), render::time(row.quarantined_at_ms));
    let pass = row.pass.split('/').next_back().unwrap_or_default().to_owned();
    [format!("{tenant:?}/{key:?}"), to, since, pass, row.reason.clone()]
}

fn row_json(row: &Row) -> serde_json::Value {
    json!({
        "tenant": row.tenant,
        "key": row.key,
        "toward": row.toward.name(),
        "version": row.version,
        "reason": row.reason,
        "pass": row.pass,
        "quarantined_at_ms": row.quarantined_at_ms,
    })
}
