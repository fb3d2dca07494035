//! The guards of a migration: what they are set to, and what they concluded.

use std::process::ExitCode;

use cutover_proto::v1;
use serde_json::{Value, json};

use super::{Change, Global, connect::answer, out, percent, policy, render};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show the guards of a migration, or set one: docs/guards.md
    Guards(Guards),
}

#[derive(Debug, clap::Args)]
pub(super) struct Guards {
    /// The migration
    key: String,
    /// The guard to set: error_absolute, error_relative, slow_relative, ...
    #[arg(long, value_name = "GUARD")]
    set: Option<String>,
    /// Of reads or of writes [default: both]
    #[arg(long, requires = "set", value_parser = ["read", "write"])]
    operation: Option<String>,
    /// Roll back, or only tell
    #[arg(long, requires = "set", value_parser = ["enforce", "observe", "off"])]
    mode: Option<String>,
    /// Rate that is well, 0 to 1
    #[arg(long, requires = "set")]
    rate: Option<f64>,
    /// The target may be so many times as bad as the source; with --delta
    #[arg(long, requires = "set")]
    rho: Option<f64>,
    /// And so much worse, 0 to 1
    #[arg(long, requires = "set")]
    delta: Option<f64>,
    /// So many times as many misses as were reached; with --slack
    #[arg(long, requires = "set")]
    factor: Option<f64>,
    /// And so many more, 0 to 1
    #[arg(long, requires = "set")]
    slack: Option<f64>,
    /// May SDKs that are cut off go back from target-first by themselves?
    #[arg(long, value_parser = ["on", "off"], conflicts_with = "set")]
    local: Option<String>,
    /// Percent of its reads that the target may fail and still be well, for such an SDK, 0.01 to 50
    #[arg(long, value_name = "PERCENT", requires = "local", value_parser = percent::ppm)]
    local_reads: Option<u32>,
    /// The same of writes
    #[arg(long, value_name = "PERCENT", requires = "local", value_parser = percent::ppm)]
    local_writes: Option<u32>,
    #[command(flatten)]
    change: Change,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Guards(guards) = self;
        if let Some(local) = guards.local {
            return policy::edit(global, guards.key, &guards.change, |policy| {
                policy.local_guard = local == "on";
                policy.local_guard_read_ppm = guards.local_reads.or(policy.local_guard_read_ppm);
                policy.local_guard_write_ppm = guards.local_writes.or(policy.local_guard_write_ppm);
            })
            .await;
        }
        let mut admin = global.admin().await?;
        if let Some(rule) = guards.rule() {
            let request = v1::UpdateMigrationRequest {
                mutation: Some(guards.change.to_wire()),
                key: guards.key,
                guards: vec![rule],
                ..Default::default()
            };
            render::changed(global, &answer(admin.update_migration(request)).await?);
            return Ok(ExitCode::SUCCESS);
        }
        let migration = answer(admin.get_migration(v1::GetMigrationRequest { key: guards.key })).await?;
        let local = migration.policy.as_ref().is_some_and(|policy| policy.local_guard);
        if global.json {
            out::json(&json!({
                "migration": migration.key,
                "local_guard": local,
                "guards": migration.guards.iter().map(rule_json).collect::<Vec<_>>(),
                "trips": migration.trips.iter().map(render::trip_json).collect::<Vec<_>>(),
            }));
            return Ok(ExitCode::SUCCESS);
        }
        migration.guards.iter().for_each(|rule| out::line(&rule_line(rule)));
        out::line(if local {
            "local guard: on, SDKs that are cut off may go back; nobody goes to target-only"
        } else {
            "local guard: off"
        });
        for trip in &migration.trips {
            out::line(&format!("revision {}: {}", trip.revision, trip.summary));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Guards {
    fn rule(&self) -> Option<v1::GuardRule> {
        let operation = match self.operation.as_deref() {
            Some("read") => v1::Operation::Read,
            Some(_) => v1::Operation::Write,
            None => v1::Operation::Unspecified,
        };
        let mode = match self.mode.as_deref() {
            Some("enforce") => v1::GuardMode::Enforce,
            Some("observe") => v1::GuardMode::Observe,
            Some(_) => v1::GuardMode::Off,
            None => v1::GuardMode::Unspecified,
        };
        Some(v1::GuardRule {
            guard: self.set.clone()?,
            operation: operation.into(),
            mode: mode.into(),
            rate: self.rate,
            rho: self.rho,
            delta: self.delta,
            factor: self.factor,
            slack: self.slack,
        })
    }
}

fn mode(rule: &v1::GuardRule) -> &'static str {
    match rule.mode() {
        v1::GuardMode::Unspecified | v1::GuardMode::Enforce => "enforce",
        v1::GuardMode::Observe => "observe",
        v1::GuardMode::Off => "off",
    }
}

fn rule_line(rule: &v1::GuardRule) -> String {
    let limits = [
        ("rate", rule.rate),
        ("rho", rule.rho),
        ("delta", rule.delta),
        ("factor", rule.factor),
        ("slack", rule.slack),
    ];
    let told: Vec<String> =
        limits.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
    let line = format!(
        "{:<19} {:<6} {:<8} {}",
        rule.guard,
        render::operation(rule.operation()),
        mode(rule),
        told.join(", ")
    );
    line.trim_end().to_owned()
}

fn rule_json(rule: &v1::GuardRule) -> Value {
    json!({
        "guard": rule.guard, "operation": render::operation(rule.operation()), "mode": mode(rule), "rate": rule.rate,
        "rho": rule.rho, "delta": rule.delta, "factor": rule.factor, "slack": rule.slack,
    })
}
