//! Verbs that move tenants.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use cutover_client::routing::{Rung, check_tenant};
use cutover_proto::v1;
use serde_json::json;
use tonic::{Code, Status};

use super::{
    Change, Global,
    connect::{answer, failure},
    out, percent, plan, render,
};

/// Between looks at a plan.
const LOOK: Duration = Duration::from_millis(250);
/// The answer to whether it is there already may take so long.
const ONE_LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Ask for shares; each is "at least at this stage"
    Ramp(Ramp),
    /// Pin one tenant to a stage
    Pin {
        /// The migration
        key: String,
        /// The tenant
        tenant: String,
        /// source-only, dual, mirrored, target-first or target-only
        stage: Rung,
        #[command(flatten)]
        ask: Ask,
        #[command(flatten)]
        change: Change,
    },
    /// Let a tenant follow the rollout again
    Unpin {
        /// The migration
        key: String,
        /// The tenant
        tenant: String,
        #[command(flatten)]
        ask: Ask,
        #[command(flatten)]
        change: Change,
    },
    /// One stage back, at once and latched
    Rollback {
        /// The migration
        key: String,
        /// Only this tenant
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Acknowledge a rollback; wants --reason
    Ack {
        /// The migration
        key: String,
        #[command(flatten)]
        change: Change,
    },
    /// Stop going up
    Pause {
        /// The migration
        key: String,
        #[command(flatten)]
        change: Change,
    },
    /// Go on
    Resume {
        /// The migration
        key: String,
        #[command(flatten)]
        change: Change,
    },
    /// Pin the tenants of a file of lines TENANT,STAGE
    ImportPins {
        /// The migration
        key: String,
        /// The file; - for standard input
        file: String,
        /// Accept stages that must be waited for
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Wait, for scripts: exit 0 done, 2 rolled back, 3 timeout, 4 held
    Wait {
        /// The migration
        key: String,
        /// For what: settled, everybody is where they were asked to be and knows it; step=N, that step
        /// of the plan is over; done, all are
        #[arg(long = "for", value_name = "WHAT", value_parser = awaited, default_value = "settled")]
        what: Awaited,
        /// Give up after so many seconds, or a time like 5m; after 1s at the earliest, to have looked
        #[arg(long, default_value = "1h", value_parser = seconds)]
        timeout: Duration,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Awaited {
    /// Everybody is where they were asked to be.
    Settled,
    /// This step of the plan, counted from 1; 0: all of them.
    Step(usize),
}

/// How to go about what can't be done at once.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ask {
    /// Let the controller go on as soon as it can, and wait for it
    #[arg(long)]
    wait: bool,
    /// With --wait: give up watching after so long (the controller goes on)
    #[arg(long, default_value = "1h")]
    timeout: humantime::Duration,
    /// Gate to pass without evidence (services, full-pass, soak); wants --reason
    #[arg(long = "override", value_name = "GATE")]
    overrides: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ramp {
    /// The migration
    key: String,
    /// Share at least at dual, 0..100
    #[arg(long, value_name = "PCT", value_parser = percent::ppm, allow_negative_numbers = true)]
    dual: Option<u32>,
    /// Share whose writes are acknowledged by both stores
    #[arg(long, value_name = "PCT", value_parser = percent::ppm, allow_negative_numbers = true)]
    mirrored: Option<u32>,
    /// Share that reads the target first
    #[arg(long, value_name = "PCT", value_parser = percent::ppm, allow_negative_numbers = true)]
    target_first: Option<u32>,
    /// Share that has left the source
    #[arg(long, value_name = "PCT", value_parser = percent::ppm, allow_negative_numbers = true)]
    target_only: Option<u32>,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    change: Change,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let mut admin = global.admin().await?;
        let (waits, key, answered) = match self {
            Self::Wait { key, what: Awaited::Settled, timeout } => return follow(global, key, timeout).await,
            Self::Wait { key, what: Awaited::Step(step), timeout } => {
                return follow_plan(global, key, step, timeout).await;
            }
            Self::Ramp(Ramp { key, dual, mirrored, target_first, target_only, ask, change }) => {
                anyhow::ensure!(
                    [dual, mirrored, target_first, target_only].iter().any(Option::is_some),
                    "ramp to what? Give --dual, --mirrored, --target-first or --target-only PCT"
                );
                let request = v1::SetRolloutRequest {
                    mutation: Some(change.to_wire()),
                    key: key.clone(),
                    dual_ppm: dual,
                    mirrored_ppm: mirrored,
                    target_first_ppm: target_first,
                    target_only_ppm: target_only,
                    wait: ask.wait,
                    override_gates: ask.overrides.clone(),
                };
                (Some(ask), key, answer(admin.set_rollout(request)).await?)
            }
            Self::Pin { key, tenant, stage, ask, change } => {
                let request = v1::SetPinRequest {
                    mutation: Some(change.to_wire()),
                    key: key.clone(),
                    tenant,
                    rung: v1::Rung::from(stage).into(),
                    wait: ask.wait,
                    override_gates: ask.overrides.clone(),
                };
                (Some(ask), key, answer(admin.set_pin(request)).await?)
            }
            Self::Unpin { key, tenant, ask, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::ClearPinRequest { mutation, key: key.clone(), tenant, wait: ask.wait };
                (Some(ask), key, answer(admin.clear_pin(request)).await?)
            }
            Self::Rollback { key, tenant, change } => {
                // On the wire no tenant means everybody, which an empty variable of a script must not.
                tenant.as_deref().map(check_tenant).transpose().context("--tenant")?;
                let mutation = Some(change.to_wire());
                let request =
                    v1::RollbackRequest { mutation, key: key.clone(), tenant: tenant.unwrap_or_default() };
                (None, key, answer(admin.rollback(request)).await?)
            }
            Self::Ack { key, change } => {
                let request = v1::AcknowledgeRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.acknowledge(request)).await?)
            }
            Self::Pause { key, change } => {
                let request = v1::PauseRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.pause(request)).await?)
            }
            Self::Resume { key, change } => {
                let request = v1::ResumeRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.resume(request)).await?)
            }
            Self::ImportPins { key, file, wait, change } => {
                let pins = read_pins(&file)?;
                let head = v1::ImportPinsHead { mutation: Some(change.to_wire()), key, wait };
                let first = v1::ImportPinsRequest { head: Some(head), pins: Vec::new() };
                let rest: Vec<_> = pins
                    .chunks(1000)
                    .map(|pins| v1::ImportPinsRequest { head: None, pins: pins.to_vec() })
                    .collect();
                let messages = tokio_stream::iter(std::iter::once(first).chain(rest));
                let done =
                    admin.import_pins(messages).await.map_err(|status| half_way(&status))?.into_inner();
                let v1::ImportPinsResponse { imported, revision } = done;
                if global.json {
                    let dry_run = change.dry_run;
                    let done = json!({ "imported": imported, "revision": revision, "dry_run": dry_run });
                    out::json(&done);
                } else if change.dry_run {
                    out::line(&format!("would import {imported} pins"));
                } else {
                    out::line(&format!("imported {imported} pins, revision {revision}"));
                }
                return Ok(ExitCode::SUCCESS);
            }
        };
        render::changed(global, &answered);
        match waits {
            Some(ask) if ask.wait && !answered.dry_run => follow(global, key, ask.timeout.into()).await,
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Watches until everybody is where they were asked to be and everybody knows.
async fn follow(global: &Global, key: String, timeout: Duration) -> anyhow::Result<ExitCode> {
    let arrived = async {
        let mut admin = global.admin().await?;
        let request = v1::GetStatusRequest { key };
        let mut statuses = admin.watch_status(request).await.map_err(|status| failure(&status))?.into_inner();
        let mut told = String::new();
        while let Some(status) = statuses.message().await.map_err(|status| failure(&status))? {
            let migration = status.migration.unwrap_or_default();
            match v1::State::try_from(migration.state) {
                Ok(v1::State::Tripped) => {
                    out::error(&format!(
                        "rolled back: cutover ack {} --reason .. when it is repaired",
                        migration.key
                    ));
                    return Ok(ExitCode::from(2));
                }
                Ok(v1::State::Paused) => {
                    out::error(&format!("held, it is paused: cutover resume {} goes on", migration.key));
                    return Ok(ExitCode::from(4));
                }
                Ok(v1::State::Idle | v1::State::Finished) if status.settled => return Ok(ExitCode::SUCCESS),
                _ => {}
            }
            let waiting = status.waiting.iter().map(render::waiting_line).collect::<Vec<_>>().join(" | ");
            if waiting != told && !waiting.is_empty() {
                out::error(&format!("waiting: {waiting}"));
            }
            told = waiting;
        }
        anyhow::bail!(
            "the controller stopped: it goes on with the request when it is back; cutover status -w shows it"
        )
    };
    match tokio::time::timeout(timeout, arrived).await {
        Ok(arrived) => arrived,
        Err(_) => {
            out::error("not there yet; the controller goes on: cutover status -w shows it");
            Ok(ExitCode::from(3))
        }
    }
}

/// Watches until a step of the plan is over, counted from 1; 0: all of them.
async fn follow_plan(
    global: &Global,
    key: String,
    step: usize,
    timeout: Duration,
) -> anyhow::Result<ExitCode> {
    let over = async {
        let mut admin = global.admin().await?;
        let mut told = String::new();
        loop {
            let view = answer(admin.get_plan(v1::GetPlanRequest { key: key.clone() })).await?;
            let steps = view.plan.as_ref().map_or(0, |plan| plan.steps.len());
            anyhow::ensure!(
                step <= steps,
                "the plan has {steps} steps: give --for step=1 to {steps}, or done"
            );
            if plan::is_over(&view, step) {
                return Ok(ExitCode::SUCCESS);
            }
            let doing = plan::doing(&view);
            if !view.held.is_empty() {
                let migration = answer(admin.get_migration(v1::GetMigrationRequest { key })).await?;
                let is_tripped =
                    migration.state() == v1::State::Tripped || view.status() == v1::PlanStatus::Stopped;
                out::error(&format!("{}: {doing}", if is_tripped { "rolled back" } else { "held" }));
                return Ok(ExitCode::from(if is_tripped { 2 } else { 4 }));
            }
            if doing != told && !doing.is_empty() {
                out::error(&format!("waiting: {doing}"));
            }
            told = doing;
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(timeout, over).await {
        Ok(over) => over,
        Err(_) => {
            out::error("not there yet; the plan goes on: cutover plan show says what it waits for");
            Ok(ExitCode::from(3))
        }
    }
}

fn awaited(text: &str) -> Result<Awaited, String> {
    let step = || text.strip_prefix("step=")?.parse().ok().filter(|step| *step > 0);
    match text {
        "settled" => Ok(Awaited::Settled),
        "done" => Ok(Awaited::Step(0)),
        _ => step().map(Awaited::Step).ok_or_else(|| "give settled, step=N or done".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let time = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    Ok(time.max(ONE_LOOK))
}

/// All of them, or why there are none: nothing is sent of a file with a bad line.
fn read_pins(file: &str) -> anyhow::Result<Vec<v1::Pin>> {
    let text = match file {
        "-" => std::io::read_to_string(std::io::stdin()).context("can't read standard input"),
        path => std::fs::read_to_string(path).with_context(|| format!("can't read {path}")),
    };
    let text = text.context("nothing was imported")?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read =
        |(at, line)| pin(line).with_context(|| format!("nothing was imported: {file}, line {}", at + 1));
    lines.map(read).collect()
}

fn pin(line: &str) -> anyhow::Result<v1::Pin> {
    let parts = line.rsplit_once(',').with_context(|| format!("{line:?} is no TENANT,STAGE"))?;
    let (tenant, stage) = (parts.0.trim(), parts.1.trim());
    check_tenant(tenant)?;
    let rung: Rung = stage.parse()?;
    Ok(v1::Pin { tenant: tenant.to_owned(), rung: v1::Rung::from(rung).into(), ..v1::Pin::default() })
}

/// An import that was refused by the controller says itself what is in.
fn half_way(status: &Status) -> anyhow::Error {
    match status.code() {
        Code::FailedPrecondition | Code::InvalidArgument => anyhow::anyhow!("{}", status.message()),
        _ => failure(status),
    }
}
