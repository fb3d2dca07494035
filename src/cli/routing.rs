//! Verbs that move tenants.

use std::{process::ExitCode, time::Duration};

use cutover_core::routing::{Rung, check_tenant};
use cutover_proto::v1;

use super::{
    ChangeArgs, Global,
    connect::answer,
    duration,
    exit::Failure,
    out, percent,
    pins::ImportPins,
    render::{self, Waits},
    wait::{Wait, follow},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Move shares of the tenants to stages
    ///
    /// Each share is "at least at this stage". The controller takes one rung at a time.
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
        change: ChangeArgs,
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
        change: ChangeArgs,
    },
    /// Go one stage back at once, and stay there until ack
    ///
    /// From target-only to target-first, from there to dual, and from dual and mirrored, which are one stage, to
    /// source-only. --dry-run says who would go where. To go from mirrored to dual only, which keeps the double
    /// writes, use: cutover ramp KEY --mirrored 0
    Rollback {
        /// The migration
        key: String,
        /// Only this tenant
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Acknowledge a rollback, so that tenants may go up again
    Ack {
        /// The migration
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Stop all steps up; steps down still happen
    Pause {
        /// The migration
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Allow steps up again after a pause
    Resume {
        /// The migration
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Pin the tenants of a CSV file of lines TENANT,STAGE
    ImportPins(ImportPins),
    /// Wait, for scripts: exit 0 done, 2 rolled back, 3 timeout, 4 held
    Wait(Wait),
}

/// How to go about what can't be done at once.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Ask {
    /// Accept steps that must be waited for, and wait until the controller has taken them all
    #[arg(long)]
    wait: bool,
    /// With --wait: stop waiting after this long, like 20s or 5m; the controller continues
    #[arg(long, default_value = "1h", value_parser = duration::parse)]
    timeout: Duration,
    /// Gate to pass without evidence (services, full-pass, soak); needs --reason
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
    change: ChangeArgs,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        self.check()?;
        let mut admin = global.admin().await?;
        let mut waits = Waits::All;
        let is_rollback = matches!(self, Self::Rollback { .. });
        let (ask, key, answered) = match self {
            Self::Wait(wait) => return wait.run(global).await,
            Self::ImportPins(import) => return import.run(global).await,
            Self::Ramp(Ramp { key, dual, mirrored, target_first, target_only, ask, change }) => {
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
                let answered = answer(admin.set_rollout(request)).await?;
                if ask.wait && !answered.dry_run && !global.json {
                    let given = [dual, mirrored, target_first, target_only];
                    let migration = answered.migration.clone().unwrap_or_default();
                    earlier(&migration, given).iter().for_each(|line| out::error(line));
                }
                (Some(ask), key, answered)
            }
            Self::Pin { key, tenant, stage, ask, change } => {
                waits = Waits::Of(tenant.clone());
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
                waits = Waits::Of(tenant.clone());
                let mutation = Some(change.to_wire());
                let request = v1::ClearPinRequest { mutation, key: key.clone(), tenant, wait: ask.wait };
                (Some(ask), key, answer(admin.clear_pin(request)).await?)
            }
            Self::Rollback { key, tenant, change } => {
                let mutation = Some(change.to_wire());
                if let Some(tenant) = &tenant {
                    waits = Waits::Of(tenant.clone());
                }
                let request =
                    v1::RollbackRequest { mutation, key: key.clone(), tenant: tenant.unwrap_or_default() };
                (None, key, answer(admin.rollback(request)).await?)
            }
            Self::Ack { key, change } => {
                waits = Waits::None;
                let request = v1::AcknowledgeRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.acknowledge(request)).await?)
            }
            Self::Pause { key, change } => {
                waits = Waits::None;
                let request = v1::PauseRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.pause(request)).await?)
            }
            Self::Resume { key, change } => {
                let request = v1::ResumeRequest { mutation: Some(change.to_wire()), key: key.clone() };
                (None, key, answer(admin.resume(request)).await?)
            }
        };
        if ask.as_ref().is_some_and(|ask| ask.wait && !answered.dry_run) {
            // Said while it waits.
            waits = Waits::None;
        }
        let exit = render::changed(global, &answered, &waits);
        if is_rollback
            && !global.json
            && answered.changes.iter().any(|change| change.contains("mirrored -> source-only"))
        {
            out::line(&format!(
                "dual and mirrored are one stage, so this is two rungs back. Only to dual: cutover ramp {key} --mirrored 0"
            ));
        }
        match ask {
            Some(ask) if ask.wait && !answered.dry_run && !render::is_asked(&answered) => {
                follow(global, key, ask.timeout).await
            }
            _ => Ok(exit),
        }
    }
}

impl Verb {
    /// What the parser of the command line can't see.
    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Ramp(Ramp {
                dual: None, mirrored: None, target_first: None, target_only: None, ..
            }) => Err(Failure::usage(
                "ramp to what? Give --dual, --mirrored, --target-first or --target-only PCT",
            )),
            // On the wire no tenant means everybody, which an empty variable of a script must not.
            Self::Rollback { tenant: Some(tenant), .. } => {
                check_tenant(tenant).map_err(|why| Failure::usage(format!("--tenant: {why}")))
            }
            _ => Ok(()),
        }
    }
}

/// What is waited for too, because an earlier request asked for it: stages above those of this one.
fn earlier(migration: &v1::Migration, given: [Option<u32>; 4]) -> Vec<String> {
    let highest = given.iter().rposition(Option::is_some).unwrap_or_default();
    let shares =
        |it: v1::Rollout| [it.dual_ppm, it.mirrored_ppm, it.target_first_ppm, it.target_only_ppm].into_iter();
    let (goal, now) = (migration.goal.unwrap_or_default(), migration.rollout.unwrap_or_default());
    let stages = ["dual", "mirrored", "target-first", "target-only"].into_iter();
    let higher = stages.zip(shares(goal).zip(shares(now))).skip(highest + 1);
    let open = higher.filter(|(_, (goal, now))| goal > now);
    open.map(|(stage, (goal, now))| {
        format!(
            "this also waits for {stage} {} %, which was asked for earlier. To withdraw that: cutover ramp {} \
             --{stage} {}",
            percent::text(goal),
            migration.key,
            percent::text(now)
        )
    })
    .collect()
}
