//! A plan played against traffic, made up or recorded, and the guards.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{Global, duration, exit::Failure, out, percent, render, render::plan::time},
    load,
    recorded::Recorded,
};
use crate::simulation::{Demand, End, Fault, Played, Recording, Rehearsal, Waited, rehearse};

/// What is waited for less long is not told.
const WAITED_LEAST_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Simulate {
    /// TOML or YAML; - is standard input
    file: String,
    /// What goes wrong: none, target-errors[=PCT], target-writes[=PCT], both-errors[=PCT],
    /// misses[=PCT] or sick-instance
    #[arg(long, default_value = "none")]
    fault: Fault,
    /// At which step [default: the last]
    #[arg(long, value_name = "N")]
    at_step: Option<usize>,
    /// So long after that step was taken
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    after: Duration,
    /// Reads and writes a second, three to one
    #[arg(long, default_value_t = 2_000.0)]
    calls_per_s: f64,
    #[command(flatten)]
    recorded: Recorded,
    /// Share of the reads that are compared with the target before target-first
    #[arg(long, value_name = "PCT", value_parser = percent::ppm, default_value = "1")]
    shadow: u32,
    /// Instances that report
    #[arg(long, default_value_t = 20)]
    instances: usize,
    /// The same seed plays the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Simulate {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let plan = load(&self.file)?;
        let steps = plan.steps().len();
        let at_step = self.at_step.unwrap_or(steps);
        let usage = |message: String| Err(Failure::usage(message).into());
        if !(1..=steps).contains(&at_step) {
            return usage(format!("--at-step {at_step}: the plan has steps 1 to {steps}"));
        }
        if !(1..=1_000).contains(&self.instances) {
            return usage(format!("--instances {}: give 1 to 1000", self.instances));
        }
        let is_rate = self.calls_per_s.is_finite() && (0.0..=1e6).contains(&self.calls_per_s);
        if !is_rate {
            return usage(format!("--calls-per-s {}: give 0 to 1000000", self.calls_per_s));
        }
        let recorded = self.recorded.load(global, &self.file).await?;
        let (of, demand) = match recorded {
            Some((of, recording)) => (Some(of), Demand::Recorded(recording)),
            None => (None, Demand::MadeUp { calls_per_s: self.calls_per_s }),
        };
        let what = Rehearsal {
            fault: self.fault,
            at_step,
            after_ms: u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX),
            demand,
            shadow: f64::from(self.shadow) / 1e6,
            instances: self.instances,
            seed: self.seed,
        };
        let played = rehearse(&plan, &what)?;
        match (global.json, of) {
            (true, of) => out::json(&object(of.as_deref(), &what, &played)),
            (false, of) => lines(of.as_deref(), &what, &played).iter().for_each(|line| out::line(line)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn object(of: Option<&str>, what: &Rehearsal, played: &Played) -> Value {
    let (outcome, step, after_ms, told) = match &played.end {
        End::Tripped { step, after_ms, told } => ("tripped", Some(*step), *after_ms, told.clone()),
        End::Waits { step, missing } => ("waits", Some(*step), None, missing.clone()),
        End::Done { unnoticed: false } => ("done", None, None, Vec::new()),
        End::Done { unnoticed: true } => ("unnoticed", None, None, Vec::new()),
    };
    let waited = |Waited { step, from_ms, until_ms, missing, .. }: &Waited| json!({ "step": step, "from_ms": from_ms, "until_ms": until_ms, "missing": missing });
    let recorded = recording(what).map(|recording| {
        let (least, most) = recording.calls_per_s();
        json!({
            "of": of, "from_ms": recording.from_s() * 1_000, "period_ms": recording.period_s() * 1_000,
            "calls_per_s": [least, most], "assumed": recording.assumed,
        })
    });
    json!({
        "outcome": outcome, "step": step, "after_ms": after_ms, "told": told, "taken_ms": played.taken_ms,
        "waited": played.waited.iter().map(waited).collect::<Vec<_>>(), "lasted_ms": played.lasted_ms,
        "fault": what.fault.to_string(), "at_step": what.at_step, "seed": what.seed, "recorded": recorded,
    })
}

fn lines(of: Option<&str>, what: &Rehearsal, played: &Played) -> Vec<String> {
    let recording = recording(what);
    let mut lines = Vec::new();
    if let Some(recording) = recording {
        let (least, most) = recording.calls_per_s();
        lines.push(format!(
            "{} of {} from {} on, {least:.1} to {most:.1} calls a second",
            span(recording.period_s() * 1_000),
            of.unwrap_or_default(),
            time(recording.from_s() * 1_000)
        ));
        lines.extend(recording.assumed.iter().map(|assumed| format!("taken as given: {assumed}")));
    }
    for step in 0..=played.taken_ms.len() {
        if let Some(ms) = step.checked_sub(1).and_then(|at| played.taken_ms.get(at)) {
            lines.push(format!("step {step:>3} taken after {}", span(*ms)));
        }
        for waited in longer(&played.waited).filter(|waited| waited.step == step) {
            lines.push(format!("step {step:>3} waited {}", told(waited, recording)));
        }
    }
    let (told, more) = ended(what, played);
    lines.push(told);
    lines.extend(more.iter().map(|line| format!("  {line}")));
    lines
}

/// How it ended, and more about it.
fn ended<'a>(what: &Rehearsal, played: &'a Played) -> (String, &'a [String]) {
    let fault = what.fault;
    match &played.end {
        End::Tripped { step, after_ms: Some(ms), told } => {
            let after = format!("{}.{} s", ms / 1000, ms % 1000 / 100);
            (format!("{fault} would have tripped after {after} at step {step}"), told)
        }
        End::Tripped { step, after_ms: None, told } if recording(what).is_some() => {
            (format!("would have tripped at step {step} after {}", span(played.lasted_ms)), told)
        }
        End::Tripped { step, after_ms: None, told } => {
            (format!("would have tripped at step {step} although all was well"), told)
        }
        End::Waits { step, missing } => {
            let patience = match what.patience_ms() {
                3_600_000 => "an hour".to_owned(),
                ms => span(ms),
            };
            (format!("would wait for over {patience} at step {step}"), missing)
        }
        End::Done { unnoticed: true } => (format!("would be done, and {fault} would go unnoticed"), &[]),
        End::Done { unnoticed: false } if fault != Fault::None => {
            (format!("would be done before {fault} begins: give a shorter --after"), &[])
        }
        End::Done { unnoticed: false } if recording(what).is_none() => ("would be done".to_owned(), &[]),
        End::Done { unnoticed: false } => {
            let mut told = format!("would have needed {}", span(played.lasted_ms));
            if let Some(longest) =
                longer(&played.waited).max_by_key(|waited| waited.until_ms - waited.from_ms)
            {
                let for_ms = longest.until_ms - longest.from_ms;
                told.push_str(&format!(": longest waited step {}, {}", longest.step, span(for_ms)));
            }
            (told, &[])
        }
    }
}

const fn recording(what: &Rehearsal) -> Option<&Recording> {
    match &what.demand {
        Demand::Recorded(recording) => Some(recording),
        Demand::MadeUp { .. } => None,
    }
}

fn longer(waited: &[Waited]) -> impl Iterator<Item = &Waited> {
    waited.iter().filter(|waited| waited.until_ms - waited.from_ms >= WAITED_LEAST_MS)
}

/// `9h 20m, from 2026-11-24T22:40:00Z to 2026-11-25T08:00:00Z, for 1203 more write calls to the target`
fn told(waited: &Waited, recording: Option<&Recording>) -> String {
    let begins_ms = recording.map(|recording| recording.from_s() * 1_000);
    let clock = begins_ms.map_or(String::new(), |begins_ms| {
        format!(", from {} to {}", time(begins_ms + waited.from_ms), time(begins_ms + waited.until_ms))
    });
    let missing = waited.missing.join(" and ");
    format!("{}{clock}, for {missing}", span(waited.until_ms - waited.from_ms))
}

/// To the second.
fn span(ms: u64) -> String {
    render::span(Duration::from_secs(ms / 1000))
}
