//! Ramp plans: what a file says, and everything that is wrong with it at once.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use toml::{Table, Value};

use super::{Global, out, percent};
use crate::domain::plan::{Plan, Proof, Step};
use cutover_client::routing::Rung;

const RUNGS: [Rung; 4] = [Rung::Dual, Rung::Mirrored, Rung::TargetFirst, Rung::TargetOnly];
const FIELDS: [&str; 5] = ["stage", "percent", "bake", "evidence", "approval"];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Ramp plans
    #[command(subcommand)]
    Plan(Does),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Does {
    /// Say everything that is wrong with a plan's file, without a controller
    Lint {
        /// TOML; - is standard input
        file: String,
    },
}

impl Verb {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Plan(Does::Lint { file }) = self;
        let text = match file.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()).context("can't read standard input")?,
            path => std::fs::read_to_string(path).with_context(|| format!("can't read {path}"))?,
        };
        let plan = read(&text).map_err(|mistakes| {
            anyhow::anyhow!("{file}, {} wrong: {}", mistakes.len(), out::one_line(&mistakes.join(" | ")))
        })?;
        for (at, step) in plan.steps().iter().enumerate() {
            show(global, at + 1, step);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show(global: &Global, number: usize, step: &Step) {
    let evidence = match step.evidence {
        Proof::Guards => "guards",
        Proof::None => "none",
    };
    if global.json {
        out::json(&json!({
            "step": number, "stage": step.rung.name(), "share_ppm": step.share_ppm, "bake_ms": step.bake_ms,
            "evidence": evidence, "approval": step.approval,
        }));
        return;
    }
    let bake = humantime::format_duration(std::time::Duration::from_millis(step.bake_ms)).to_string();
    let share = percent::text(step.share_ppm);
    let approval = if step.approval { "  approval" } else { "" };
    let rung = step.rung.name();
    out::line(&format!("{number:>3}  {rung:<12} {share:>8} %  bake {bake:<8} evidence {evidence}{approval}"));
}

/// A plan, or everything that is wrong with the text. What steps mean together is looked at when each
/// can be read.
fn read(text: &str) -> Result<Plan, Vec<String>> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| vec![error.to_string()])?;
    let mut mistakes = unknown("", &table, &["steps"]);
    let mut steps = Vec::new();
    match table.get("steps") {
        None => {}
        Some(Value::Array(entries)) => {
            for (at, entry) in entries.iter().enumerate() {
                let name = format!("[[steps]] no. {}", at + 1);
                match entry {
                    Value::Table(entry) => steps.extend(expanded(&name, entry, &mut mistakes)),
                    _ => mistakes.push(format!("{name} is no table: write [[steps]]")),
                }
            }
        }
        Some(_) => mistakes.push("steps is no list: write [[steps]]".to_owned()),
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let told = |wrong: crate::domain::Violation| format!("{}: {}", wrong.field, wrong.message);
    Plan::of(steps).map_err(|wrong| wrong.into_iter().map(told).collect())
}

/// One step for each percentage.
fn expanded(name: &str, entry: &Table, mistakes: &mut Vec<String>) -> Vec<Step> {
    mistakes.extend(unknown(&format!("{name}: "), entry, &FIELDS));
    let mut note = |field: &str, why: String| mistakes.push(format!("{name}: {field}: {why}"));
    let rung = match entry.get("stage").map(|stage| stage.as_str().unwrap_or_default()) {
        None => Err("is missing".to_owned()),
        Some(stage) => RUNGS.into_iter().find(|rung| rung.name() == stage).ok_or_else(|| {
            let names = RUNGS.map(Rung::name);
            format!("{stage:?} is none{}: give one of {}", alike(stage, &names), names.join(", "))
        }),
    };
    let rung = rung.map_err(|why| note("stage", why));
    let shares: Vec<Value> = match entry.get("percent") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    if shares.is_empty() {
        note("percent", "is missing: give one, or a list".to_owned());
    }
    let mut read = Vec::new();
    for share in &shares {
        let text = share.as_str().map_or_else(|| share.to_string(), str::to_owned);
        match percent::ppm(text.strip_suffix(".0").unwrap_or(&text)) {
            Ok(ppm) => read.push(ppm),
            Err(why) => note("percent", why),
        }
    }
    let bake_ms = match entry.get("bake").map(|bake| humantime::parse_duration(bake.as_str().unwrap_or(""))) {
        None => 0,
        Some(Ok(bake)) => u64::try_from(bake.as_millis()).unwrap_or(u64::MAX),
        Some(Err(_)) => {
            note("bake", "is no time: give one like \"10m\"".to_owned());
            0
        }
    };
    let evidence = match entry.get("evidence").map(|evidence| evidence.as_str().unwrap_or_default()) {
        None | Some("guards") => Proof::Guards,
        Some("none") => Proof::None,
        Some(_) => {
            note("evidence", "give \"guards\" or \"none\"".to_owned());
            Proof::Guards
        }
    };
    let approval = entry.get("approval").map_or(Some(false), Value::as_bool).unwrap_or_else(|| {
        note("approval", "give true or false".to_owned());
        false
    });
    let step = |share_ppm| rung.ok().map(|rung| Step { rung, share_ppm, bake_ms, evidence, approval });
    read.into_iter().filter_map(step).collect()
}

fn unknown(name: &str, table: &Table, known: &[&str]) -> Vec<String> {
    let strange = table.keys().filter(|key| !known.contains(&key.as_str()));
    strange.map(|key| format!("{name}there is no field {key:?}{}", alike(key, known))).collect()
}

fn alike(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|name| (strsim::jaro_winkler(word, name), name));
    let best = near.filter(|(near, _)| *near > 0.75).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, name)| format!(", did you mean {name}?")).unwrap_or_default()
}
