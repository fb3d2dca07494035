//! Ramp plans: docs/plans.md.

mod file;
mod read;
mod recorded;
mod simulate;

use std::process::ExitCode;

use anyhow::Context as _;
use cutover_proto::v1;

use super::{
    ChangeArgs, Global,
    connect::answer,
    exit::{Failure, Reason},
    out, render,
};
pub use read::plan as parse;

use crate::{domain::plan::Plan, grpc::plan::to_wire};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Ramp by a plan: lint, simulate, apply, show, approve, skip, stop
    #[command(subcommand)]
    Plan(Does),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Does {
    /// Say everything that is wrong with a plan's file, without a controller
    Lint {
        /// TOML or YAML; - is standard input
        file: String,
    },
    /// Play a plan against traffic, made up or recorded, and the guards; nothing is touched
    Simulate(simulate::Simulate),
    /// Ramp by a plan from here on
    Apply {
        /// The migration
        key: String,
        /// TOML or YAML; - is standard input
        file: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// How far the plan is, step by step, and what it waits for
    Show {
        /// The migration
        key: String,
    },
    /// Approve the next step
    Approve {
        /// The migration
        key: String,
        /// The next step that needs it, even if it is not next
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        step: u32,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Wait no longer for what the last step taken lacks; wants --reason
    Skip {
        /// The migration
        key: String,
        /// Only if it is this one
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        step: u32,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End the plan; everybody stays where they are
    Stop {
        /// The migration
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Plan(does) = self;
        let mut follow = None;
        let answered = match does {
            Does::Lint { file } => {
                let plan = to_wire(&load(&file)?);
                render::plan::steps(global, &plan);
                if !global.json {
                    out::line(&render::plan::verdict(&plan));
                }
                return Ok(ExitCode::SUCCESS);
            }
            Does::Simulate(simulate) => return simulate.run(global).await,
            Does::Show { key } => {
                let view = answer(global.admin().await?.get_plan(v1::GetPlanRequest { key })).await?;
                render::plan::view(global, &view);
                return Ok(ExitCode::SUCCESS);
            }
            Does::Apply { key, file, change } => {
                let plan = to_wire(&load(&file)?);
                if change.dry_run && !global.json {
                    render::plan::steps(global, &plan);
                }
                follow = (!change.dry_run && !global.json).then(|| key.clone());
                let request =
                    v1::StartPlanRequest { mutation: Some(change.to_wire()), key, plan: Some(plan) };
                answer(global.admin().await?.start_plan(request)).await?
            }
            Does::Approve { key, step, change } => {
                let request = v1::ApprovePlanRequest { mutation: Some(change.to_wire()), key, step };
                answer(global.admin().await?.approve_plan(request)).await?
            }
            Does::Skip { key, step, change } => {
                let request = v1::SkipPlanStepRequest { mutation: Some(change.to_wire()), key, step };
                answer(global.admin().await?.skip_plan_step(request)).await?
            }
            Does::Stop { key, change } => {
                let request = v1::StopPlanRequest { mutation: Some(change.to_wire()), key };
                answer(global.admin().await?.stop_plan(request)).await?
            }
        };
        let exit = render::changed(global, &answered, &render::Waits::All);
        if let Some(key) = follow.filter(|_| !render::is_asked(&answered)) {
            out::line(&format!(
                "cutover plan show {key} says what it waits for; cutover status {key} -w follows it"
            ));
        }
        Ok(exit)
    }
}

fn load(file: &str) -> anyhow::Result<Plan> {
    parse(file, &text(file)?).map_err(|mistakes| {
        let count =
            if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
        let reasons = mistakes.into_iter().map(Reason::mistake).collect();
        Failure::refused(format!("{file} has {count}"), reasons).into()
    })
}

/// - is standard input.
fn text(file: &str) -> anyhow::Result<String> {
    match file {
        "-" => std::io::read_to_string(std::io::stdin()).context("can't read standard input"),
        path => std::fs::read_to_string(path)
            .map_err(|error| Failure::unreadable(path, &error, ". Give a plan's file: docs/plans.md").into()),
    }
}
