//! All migrations at a glance: a line each, for a terminal of 80 columns.

use console::{measure_text_width, pad_str, style, truncate_str};
use cutover_proto::v1;
use serde_json::{Value, json};

use super::{migration_json, pass_kind};
use crate::{cli::percent, gist};

/// Columns of a key on a terminal; of a pipe nobody cuts it.
const KEY_MAX: usize = 10;

/// The table with its head. `is_terminal`: keys are cut, so that it fits 80 columns.
pub(in crate::cli) fn list_table(listed: &v1::ListMigrationsResponse, is_terminal: bool) -> Vec<String> {
    let longest = listed.migrations.iter().map(|it| measure_text_width(&it.key)).max().unwrap_or(0);
    let width = if is_terminal { longest.clamp(9, KEY_MAX) } else { longest.max(9) };
    let head = row(
        &pad_str("MIGRATION", width, console::Alignment::Left, None),
        "STATE    ",
        ["DUAL", "MIRROR", "FIRST", "ONLY"].map(str::to_owned),
        ["PLAN", "PASS", "LOST", "SINCE"].map(str::to_owned),
    );
    let rows = listed.migrations.iter().map(|migration| {
        let glance = listed.glances.iter().find(|glance| glance.key == migration.key);
        line(migration, &glance.cloned().unwrap_or_default(), listed.at_ms, width)
    });
    std::iter::once(style(head).dim().to_string()).chain(rows).collect()
}

fn line(migration: &v1::Migration, glance: &v1::Glance, now_ms: u64, width: usize) -> String {
    let key = truncate_str(&migration.key, width, "…");
    let key = pad_str(&key, width, console::Alignment::Left, None);
    let standing = standing(migration, glance);
    let state = style(format!("{standing:<9}"));
    let state = match standing.as_str() {
        "tripped" => state.red().bold(),
        "paused" | "blocked" => state.yellow().bold(),
        "ramping" => state.cyan(),
        "finished" | "abandoned" => state.dim(),
        _ => state,
    };
    let shares = gist::stages(&migration.rollout.unwrap_or_default()).map(|(_, ppm)| share(ppm));
    let [_, dual, mirrored, first, only] = shares;
    let shares = [dual, mirrored, first, only];
    let since = migration.state_since.as_ref();
    let since = since.map_or("-".to_owned(), |since| short(now_ms.saturating_sub(since.at_ms)));
    let lost = match glance.lost {
        0 => "-".to_owned(),
        lost => style(lost).red().to_string(),
    };
    row(&key, &state.to_string(), shares, [plan(glance), pass(glance), lost, since])
}

/// What it is doing, in a word.
fn standing(migration: &v1::Migration, glance: &v1::Glance) -> String {
    match &glance.gist {
        Some(gist) if !gist.standing.is_empty() => gist.standing.clone(),
        // The controller is older.
        _ => super::state(migration).to_owned(),
    }
}

/// 10 + 10 + 24 + 8 + 12 + 4 + 5 and what is between them: 80.
fn row(key: &str, state: &str, shares: [String; 4], [plan, pass, lost, since]: [String; 4]) -> String {
    let right = |text: &str, width| pad_str(text, width, console::Alignment::Right, None).into_owned();
    let left = |text: &str, width| pad_str(text, width, console::Alignment::Left, None).into_owned();
    let [dual, mirrored, first, only] = shares.map(|share| right(&share, 5));
    let (mirrored, first) = (format!("  {mirrored}"), format!(" {first}"));
    let (plan, pass) = (left(&plan, 8), left(&pass, 12));
    let line = format!(
        "{key} {state} {dual}{mirrored}{first}{only}  {plan} {pass}{} {}",
        right(&lost, 4),
        right(&since, 5)
    );
    line.trim_end().to_owned()
}

/// In five characters, of which one is a blank: more than nobody is never 0, less than everybody never 100.
fn share(ppm: u32) -> String {
    let exact = percent::text(ppm);
    match ppm {
        _ if exact.len() <= 4 => exact,
        0..=999 => "<0.1".to_owned(),
        _ => percent::text(ppm / 1_000 * 1_000),
    }
}

/// `40s`, `119m`, `47h`, `5d`
fn short(ms: u64) -> String {
    let short = gist::short(ms).replace(" min", "m");
    short.replace(' ', "")
}

fn plan(glance: &v1::Glance) -> String {
    let of = format!("{}/{}", glance.plan_taken, glance.plan_steps);
    match glance.plan() {
        v1::PlanStatus::Unspecified => "-".to_owned(),
        v1::PlanStatus::Running if glance.plan_held.is_empty() => of,
        v1::PlanStatus::Running => style(format!("{of} held")).yellow().to_string(),
        v1::PlanStatus::Stopped => style("stopped".to_owned()).yellow().to_string(),
        v1::PlanStatus::Ended => "ended".to_owned(),
        v1::PlanStatus::Done => "done".to_owned(),
    }
}

fn pass(glance: &v1::Glance) -> String {
    let Some(job) = glance.jobs.first() else { return "-".to_owned() };
    let more = if glance.jobs.len() > 1 { "+" } else { "" };
    let kind = pass_kind(job.kind());
    match (job.claims.is_empty(), job.segments) {
        (true, 1..) if job.waiting.is_empty() => style(format!("{kind} idle{more}")).yellow().to_string(),
        _ => {
            let read = gist::read(job);
            let far = match job.expected {
                0 => format!("{read}"),
                // It is done when it has ended.
                expected => format!("{}%", (read * 100 / expected).min(99)),
            };
            format!("{kind} {far}{more}")
        }
    }
}

/// One migration as scripts see it.
pub(in crate::cli) fn glance_json(migration: &v1::Migration, glance: Option<&v1::Glance>) -> Value {
    let mut json = migration_json(migration);
    if let Some(glance) = glance {
        let plan = glance.plan().as_str_name().trim_start_matches("PLAN_STATUS_").to_lowercase();
        json["plan"] = (glance.plan != 0)
            .then(|| {
                json!({
                    "status": plan, "taken": glance.plan_taken, "steps": glance.plan_steps,
                    "held": Some(&glance.plan_held).filter(|held| !held.is_empty()),
                })
            })
            .into();
        json["jobs"] = glance.jobs.iter().map(|job| job.id.as_str()).collect();
        json["lost"] = glance.lost.into();
        json["settled"] = glance.settled.into();
        json["standing"] = standing(migration, glance).into();
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_somebody_asks_first_and_fits_80_columns() {
        let all = v1::Rollout {
            dual_ppm: 1_000_000,
            mirrored_ppm: 999_999,
            target_first_ppm: 123_456,
            target_only_ppm: 1,
        };
        let since = v1::Attribution { at_ms: 0, ..Default::default() };
        let migration = |key: &str| v1::Migration {
            key: key.to_owned(),
            state: v1::State::Finished.into(),
            rollout: Some(all),
            state_since: Some(since.clone()),
            ..Default::default()
        };
        let job = v1::Job {
            kind: v1::PassKind::Reverse.into(),
            segments: 64,
            expected: 100_000,
            counts: Some(v1::PassCounts { scanned: 18_900, ..Default::default() }),
            ..Default::default()
        };
        let job = v1::Job { claims: vec![v1::Claim::default()], ..job };
        let glance = |key: &str| v1::Glance {
            key: key.to_owned(),
            plan: v1::PlanStatus::Running.into(),
            plan_taken: 11,
            plan_steps: 12,
            jobs: vec![job.clone(), job.clone()],
            lost: 120,
            ..Default::default()
        };
        let long = "k".repeat(63);
        let listed = v1::ListMigrationsResponse {
            migrations: vec![migration("orders"), migration(&long)],
            glances: vec![glance("orders"), glance(&long)],
            at_ms: 119 * 60_000,
            revision: 1,
        };
        let table = list_table(&listed, true);
        assert!(table.iter().all(|line| measure_text_width(line) <= 80), "{table:#?}");
        let plain = console::strip_ansi_codes(&table[1]).into_owned();
        assert_eq!(
            plain.split_whitespace().collect::<Vec<_>>().join(" "),
            "orders finished <0.1 87.6 12.3 <0.1 11/12 reverse 18%+ 120 119m"
        );
        assert!(list_table(&listed, false)[2].contains(&long), "a pipe gets all of a key");
    }
}
