//! What holds for a migration as a whole: its policy.

use std::{process::ExitCode, time::Duration};

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{Change, Global, connect::answer, out, percent, render};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show what holds for a migration as a whole, or change it
    Policy(Policy),
}

#[derive(Debug, clap::Args)]
pub(super) struct Policy {
    /// The migration
    key: String,
    /// Percent of the reads at dual that are compared with the target, off the path; 0: none
    #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
    shadow: Option<u32>,
    /// An instance that does not hear the controller for this long refuses to act, and ramps go on
    /// without it a minute later; at most 9s, 0s: never
    #[arg(long, value_name = "DURATION")]
    fence_after: Option<humantime::Duration>,
    #[command(flatten)]
    change: Change,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Policy(Policy { key, shadow, fence_after, change }) = self;
        if shadow.is_some() || fence_after.is_some() {
            let changed = |policy: &mut v1::Policy| {
                policy.shadow_ppm = shadow.or(policy.shadow_ppm);
                if let Some(fence_after) = fence_after.map(Duration::from) {
                    policy.fence_after_ms = fence_after.as_millis() as u64;
                }
            };
            return edit(global, key, &change, changed).await;
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
    change: &Change,
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
    render::changed(global, &answer(admin.update_migration(request)).await?);
    Ok(ExitCode::SUCCESS)
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
    ]
}

fn policy_json(key: &str, policy: &v1::Policy) -> Value {
    json!({
        "migration": key, "level": level(policy),
        "required_services": policy.required_services, "soak_ms": policy.soak_ms,
        "finish_soak_ms": policy.finish_soak_ms(), "hold_timeout_ms": policy.hold_timeout_ms,
        "fence_after_ms": policy.fence_after_ms, "shadow_ppm": policy.shadow_ppm(),
        "local_guard": policy.local_guard, "local_guard_read_ppm": policy.local_guard_read_ppm(),
        "local_guard_write_ppm": policy.local_guard_write_ppm(),
    })
}

fn level(policy: &v1::Policy) -> &'static str {
    match policy.level() {
        v1::Level::Unspecified | v1::Level::Acknowledged => "acknowledged",
        v1::Level::Linearizable => "linearizable",
    }
}
