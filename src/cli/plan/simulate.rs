//! A plan played against synthetic traffic and the guards.

use std::process::ExitCode;

use serde_json::json;

use super::{
    super::{Global, out, percent},
    load,
};
use crate::simulation::{End, Fault, Played, Rehearsal, rehearse};

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
    #[arg(long, default_value = "10s")]
    after: humantime::Duration,
    /// Reads and writes a second, three to one
    #[arg(long, default_value_t = 2_000.0)]
    calls_per_s: f64,
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
    pub(super) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let plan = load(&self.file)?;
        let steps = plan.steps().len();
        let at_step = self.at_step.unwrap_or(steps);
        anyhow::ensure!(
            (1..=steps).contains(&at_step),
            "--at-step {at_step}: the plan has steps 1 to {steps}"
        );
        anyhow::ensure!((1..=1_000).contains(&self.instances), "--instances: give 1 to 1000");
        let is_rate = self.calls_per_s.is_finite() && (0.0..=1e6).contains(&self.calls_per_s);
        anyhow::ensure!(is_rate, "--calls-per-s: give 0 to 1000000");
        let what = Rehearsal {
            fault: self.fault,
            at_step,
            after_ms: u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX),
            calls_per_s: self.calls_per_s,
            shadow: f64::from(self.shadow) / 1e6,
            instances: self.instances,
            seed: self.seed,
        };
        show(global, &what, &rehearse(&plan, &what)?);
        Ok(ExitCode::SUCCESS)
    }
}

fn show(global: &Global, what: &Rehearsal, played: &Played) {
    let (outcome, step, after_ms, told) = match &played.end {
        End::Tripped { step, after_ms, told } => ("tripped", Some(*step), *after_ms, told.clone()),
        End::Waits { step, missing } => ("waits", Some(*step), None, missing.clone()),
        End::Done { unnoticed: false } => ("done", None, None, Vec::new()),
        End::Done { unnoticed: true } => ("unnoticed", None, None, Vec::new()),
    };
    if global.json {
        out::json(&json!({
            "outcome": outcome, "step": step, "after_ms": after_ms, "told": told, "taken_ms": played.taken_ms,
            "fault": what.fault.to_string(), "at_step": what.at_step, "seed": what.seed,
        }));
        return;
    }
    for (at, ms) in played.taken_ms.iter().enumerate() {
        let after = humantime::format_duration(std::time::Duration::from_secs(ms / 1000));
        out::line(&format!("step {:>3} taken after {after}", at + 1));
    }
    let after = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    out::line(&match (&played.end, after_ms) {
        (End::Tripped { step, .. }, Some(ms)) => {
            format!("{} would have tripped after {} at step {step}", what.fault, after(ms))
        }
        (End::Tripped { step, .. }, None) => {
            format!("would have tripped at step {step} although all was well")
        }
        (End::Waits { step, .. }, _) => format!("would wait for over an hour at step {step}"),
        (End::Done { unnoticed: true }, _) => format!("would be done, and {} would go unnoticed", what.fault),
        (End::Done { unnoticed: false }, _) if what.fault != Fault::None => {
            format!("would be done before {} begins: give a shorter --after", what.fault)
        }
        (End::Done { unnoticed: false }, _) => "would be done".to_owned(),
    });
    told.iter().for_each(|line| out::line(&format!("  {line}")));
}
