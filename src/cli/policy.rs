//! What holds for a migration as a whole: its policy.

use std::{process::ExitCode, time::Duration};

use cutover_core::routing::Level;
use cutover_proto::v1;
use serde_json::{Value, json};

use super::{ChangeArgs, Global, connect::answer, duration, out, percent, render, render::Waits};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show what holds for a migration as a whole, or change it
    Policy(Policy),
    /// Approve what somebody else asked for under the two-person rule; status shows what waits
    Approve {
        /// The migration
        key: String,
        /// The revision that asked for it
        revision: u64,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Withdraw what somebody asked for under the two-person rule
    Withdraw {
        /// The migration
        key: String,
        /// The revision that asked for it
        revision: u64,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Policy {
    /// The migration
    key: String,
    #[command(flatten)]
    edit: Edit,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What is to be set; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
struct Edit {
    /// What reads promise: acknowledged or linearizable; only while everybody is at source-only
    #[arg(long)]
    level: Option<Level>,
    /// A service that must have a live instance before anybody moves; may be repeated, replaces the list
    #[arg(long = "required-service", value_name = "SERVICE")]
    required_services: Option<Vec<String>>,
    /// No service is required any more
    #[arg(long, conflicts_with = "required_services")]
    no_required_services: bool,
    /// Minimum time at target-first before target-only
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    soak: Option<Duration>,
    /// Minimum time at target-only before the migration can be finished
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    finish_soak: Option<Duration>,
    /// Longest time that an operation waits while its tenant is between two stages (hold)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    hold_timeout: Option<Duration>,
    /// An instance that does not hear the controller for this long refuses to act, and ramps continue
    /// without it a minute later; at most 9s, 0s: never
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    fence_after: Option<Duration>,
    /// Percent of the reads at dual that are compared with the target, off the path; 0: none
    #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
    shadow: Option<u32>,
    /// May SDKs that are cut off go back from target-first by themselves? docs/guards.md
    #[arg(long, value_parser = ["on", "off"])]
    local_guard: Option<String>,
    /// Percent of its reads that may fail at the target before such an SDK goes back, 0.01 to 50
    #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
    local_reads: Option<u32>,
    /// The same of writes
    #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
    local_writes: Option<u32>,
    /// Must somebody else approve overrides, changes of policy and guards, and steps of a plan? Needs tokens;
    /// docs/plans.md
    #[arg(long, value_parser = ["on", "off"])]
    two_persons: Option<String>,
}

impl Edit {
    fn apply(self, policy: &mut v1::Policy) {
        let ms = |duration: Duration| duration.as_millis() as u64;
        if let Some(level) = self.level {
            policy.level = v1::Level::from(level).into();
        }
        if let Some(services) = self.required_services {
            policy.required_services = services;
        }
        if self.no_required_services {
            policy.required_services.clear();
        }
        policy.soak_ms = self.soak.map_or(policy.soak_ms, ms);
        policy.finish_soak_ms = self.finish_soak.map(ms).or(policy.finish_soak_ms);
        policy.hold_timeout_ms = self.hold_timeout.map_or(policy.hold_timeout_ms, ms);
        policy.fence_after_ms = self.fence_after.map_or(policy.fence_after_ms, ms);
        policy.shadow_ppm = self.shadow.or(policy.shadow_ppm);
        policy.local_guard = self.local_guard.map_or(policy.local_guard, |is| is == "on");
        policy.local_guard_read_ppm = self.local_reads.or(policy.local_guard_read_ppm);
        policy.local_guard_write_ppm = self.local_writes.or(policy.local_guard_write_ppm);
        policy.two_persons = self.two_persons.map_or(policy.two_persons, |is| is == "on");
    }
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Policy { key, edit, change } = match self {
            Self::Policy(policy) => policy,
            Self::Approve { key, revision, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::ApproveRequestRequest { mutation, key, revision };
                let answered = answer(global.admin().await?.approve_request(request)).await?;
                return Ok(render::changed(global, &answered, &Waits::All));
            }
            Self::Withdraw { key, revision, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::WithdrawRequestRequest { mutation, key, revision };
                let answered = answer(global.admin().await?.withdraw_request(request)).await?;
                return Ok(render::changed(global, &answered, &Waits::None));
            }
        };
        if edit != Edit::default() {
            return self::edit(global, key, &change, |policy| edit.apply(policy)).await;
        }
        let request = v1::GetMigrationRequest { key };
        let migration = answer(global.admin().await?.get_migration(request)).await?;
        let policy = migration.policy.unwrap_or_default();
        if global.json {
            out::json(&policy_json(&migration.key, &policy));
        } else {
            page(&policy).iter().for_each(|line| out::line(line));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Changes a part of a policy.
pub(super) async fn edit(
    global: &Global,
    key: String,
    change: &ChangeArgs,
    edit: impl FnOnce(&mut v1::Policy),
) -> anyhow::Result<ExitCode> {
    let mut admin = global.admin().await?;
    let migration = answer(admin.get_migration(v1::GetMigrationRequest { key: key.clone() })).await?;
    let mut mutation = change.to_wire();
    // The whole policy is sent: it has to be the one that was read.
    if mutation.expected_revision == 0 {
        mutation.expected_revision = migration.revision;
    }
    let mut policy = migration.policy.unwrap_or_default();
    edit(&mut policy);
    let request = v1::UpdateMigrationRequest {
        mutation: Some(mutation),
        key,
        policy: Some(policy),
        ..Default::default()
    };
    Ok(render::changed(global, &answer(admin.update_migration(request)).await?, &Waits::None))
}

fn page(policy: &v1::Policy) -> Vec<String> {
    let time = |ms| render::span(Duration::from_millis(ms));
    let services = match policy.required_services.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let fence = match policy.fence_after_ms {
        0 => "never".to_owned(),
        ms => format!("after {} without the controller", time(ms)),
    };
    vec![
        format!("level              {}", level(policy)),
        format!("required services  {services}"),
        format!("soak               {} at target-first", time(policy.soak_ms)),
        format!("finish soak        {} at target-only", time(policy.finish_soak_ms())),
        format!("hold timeout       {}", time(policy.hold_timeout_ms)),
        format!("fence              {fence}"),
        format!(
            "shadow             {} % of the reads at dual are compared",
            percent::text(policy.shadow_ppm())
        ),
        format!(
            "local guard        {}, at {} % of the reads or {} % of the writes",
            if policy.local_guard { "on" } else { "off" },
            percent::text(policy.local_guard_read_ppm()),
            percent::text(policy.local_guard_write_ppm())
        ),
        format!("two persons        {}", if policy.two_persons { "on" } else { "off" }),
    ]
}

fn policy_json(key: &str, policy: &v1::Policy) -> Value {
    json!({
        "migration": key, "level": level(policy),
        "required_services": policy.required_services, "soak_ms": policy.soak_ms,
        "finish_soak_ms": policy.finish_soak_ms(), "hold_timeout_ms": policy.hold_timeout_ms,
        "fence_after_ms": policy.fence_after_ms, "shadow_ppm": policy.shadow_ppm(),
        "local_guard": policy.local_guard, "local_guard_read_ppm": policy.local_guard_read_ppm(),
        "local_guard_write_ppm": policy.local_guard_write_ppm(), "two_persons": policy.two_persons,
    })
}

fn level(policy: &v1::Policy) -> &'static str {
    match policy.level() {
        v1::Level::Unspecified | v1::Level::Acknowledged => "acknowledged",
        v1::Level::Linearizable => "linearizable",
    }
}
