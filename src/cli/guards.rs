//! The guards of a migration: what they are set to, and what they concluded.

use std::process::ExitCode;

use cutover_core::text::bad_outcome;
use cutover_proto::v1;
use serde_json::{Value, json};

use super::{ChangeArgs, Global, connect::answer, out, percent, policy, render, render::Waits};

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
    /// Allowed rate of bad calls, such as 0.5% (or 0.005)
    #[arg(long, requires = "set", value_parser = rate)]
    rate: Option<f64>,
    /// Allowed ratio of the target's rate to the source's, at least 1; with --delta
    #[arg(long, requires = "set")]
    rho: Option<f64>,
    /// What is allowed on top of that, such as 0.05% (or 0.0005)
    #[arg(long, requires = "set", value_parser = rate)]
    delta: Option<f64>,
    /// Allowed ratio of misses to the lowest rate reached so far, at least 1; with --slack
    #[arg(long, requires = "set")]
    factor: Option<f64>,
    /// What is allowed on top of that, such as 0.5% (or 0.005)
    #[arg(long, requires = "set", value_parser = rate)]
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
    change: ChangeArgs,
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
            let answered = answer(admin.update_migration(request)).await?;
            return Ok(render::changed(global, &answered, &Waits::None));
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
        let rows: Vec<_> = migration.guards.iter().map(rule_row).collect();
        render::table(["GUARD", "OF", "MODE", "THE TARGET IS HEALTHY WHILE"], &rows)
            .iter()
            .for_each(|line| out::line(line));
        out::line(if local {
            "local guard: on, SDKs that are cut off may go back; nobody goes to target-only"
        } else {
            "local guard: off"
        });
        for trip in &migration.trips {
            out::text(&format!("revision {}: {}", trip.revision, trip.summary));
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

/// A share of calls: a percentage with %, or a number from 0 to 1.
fn rate(text: &str) -> Result<f64, String> {
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let value = number.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let value = value.ok_or("give a percentage like 0.5%")? / of;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("it is over 100 %: give {number}% if you mean percent"))
    }
}

/// A rate in percent, without needless digits.
fn percent_of(rate: f64) -> f64 {
    (rate * 1_000_000.0).round() / 10_000.0
}

fn rule_row(rule: &v1::GuardRule) -> [String; 4] {
    let bad = bad_outcome(&rule.guard);
    let limit = match (rule.rate, rule.rho.zip(rule.delta), rule.factor.zip(rule.slack)) {
        (Some(rate), ..) => format!("at most {} % {bad}", percent_of(rate)),
        (_, Some((rho, delta)), _) => {
            format!("at most {rho} x the source's rate + {} % {bad}", percent_of(delta))
        }
        (.., Some((factor, slack))) => {
            format!("at most {factor} x the lowest rate so far + {} % {bad}", percent_of(slack))
        }
        _ => "instances keep reporting and calling it: docs/guards.md".to_owned(),
    };
    let of = match render::operation(rule.operation()) {
        "" => "-",
        operation => operation,
    };
    [rule.guard.clone(), of.to_owned(), mode(rule).to_owned(), limit]
}

fn rule_json(rule: &v1::GuardRule) -> Value {
    json!({
        "guard": rule.guard, "operation": render::operation(rule.operation()), "mode": mode(rule), "rate": rule.rate,
        "rho": rule.rho, "delta": rule.delta, "factor": rule.factor, "slack": rule.slack,
    })
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_rate_is_a_percentage_or_a_share() {
        assert_eq!((rate("5%"), rate("0.05"), rate("0.5 %")), (Ok(0.05), Ok(0.05), Ok(0.005)));
        assert!(rate("5").is_err_and(|why| why.contains("give 5% if")));
        for text in ["", "%", "ten", "-1", "NaN", "101%"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
