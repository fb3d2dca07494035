//! Beginning and end of migrations.

use std::{process::ExitCode, time::Duration};

use cutover_core::routing::Level;
use cutover_proto::v1;

use super::{ChangeArgs, Global, connect::answer, duration, out, percent, render, render::Waits};

/// Default time without contact after which an instance refuses operations.
const FENCE: Duration = Duration::from_secs(5);

/// What people call a store.
fn store_name(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        Err("it is empty: say which store, like 'DynamoDB orders'")
    } else {
        Ok(text.to_owned())
    }
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Create a migration, everybody at source-only
    Create(Create),
    /// List all migrations and what each is doing
    ///
    /// DUAL, MIRROR, FIRST and ONLY: percent of the tenants at dual, mirrored, target-first and target-only; the others
    /// are at source-only. PASS: the oldest running pass, and how much of it is read. SINCE: how long STATE has lasted.
    List,
    /// Show one migration
    Show {
        /// Its key
        key: String,
    },
    /// Give up a migration that was rolled back to source-only
    ///
    /// Everybody stays at source-only for good; what the target holds stays there. Then cutover delete works.
    Abandon {
        /// Its key
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a migration that is finished, abandoned or never started
    Delete {
        /// Its key
        key: String,
        /// The key again, if it is finished
        #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
        confirm: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// End a migration that is target-only for everybody
    Finish {
        /// Its key
        key: String,
        /// The key again: this can't be taken back
        #[arg(long, value_name = "KEY")]
        confirm: String,
        /// Gate to pass without evidence (soak); needs --reason
        #[arg(long = "override", value_name = "GATE")]
        overrides: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Its key: a-z, 0-9, '.', '_', '-'
    key: String,
    /// The source store, for people
    #[arg(long, value_parser = store_name)]
    source: String,
    /// The target store, for people
    #[arg(long, value_parser = store_name)]
    target: String,
    /// What tenants are hashed with [default: the key]
    #[arg(long, default_value = "", hide_default_value = true)]
    salt: String,
    /// For people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// What reads promise: acknowledged or linearizable
    #[arg(long, default_value = "acknowledged")]
    level: Level,
    /// An instance that does not hear the controller for this long refuses to act, and ramps go on
    /// without it a minute later; at most 9s, 0s: never [default: 5s at level linearizable, else never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    fence_after: Option<Duration>,
    /// A service that must have a live instance before anybody moves; may be repeated
    #[arg(long = "required-service", value_name = "SERVICE")]
    required_services: Vec<String>,
    /// Least time at target-first before target-only, like 30s or 2h
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    soak: Duration,
    /// Least time at target-only before finish [default: 30 days]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    finish_soak: Option<Duration>,
    /// Percent of the reads at dual that are compared with the target, off the path [default: 1]
    #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
    shadow: Option<u32>,
    /// SDKs that are cut off may go back from target-first by themselves: docs/guards.md
    #[arg(long)]
    local_guard: bool,
    /// The key again, if a migration with this key was finished and deleted, or services route one that the store lacks
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    confirm: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let mut admin = global.admin().await?;
        match self {
            Self::Create(create) => {
                let policy = v1::Policy {
                    fence_after_ms: fence_ms(create.fence_after, create.level),
                    level: v1::Level::from(create.level).into(),
                    required_services: create.required_services,
                    soak_ms: create.soak.as_millis() as u64,
                    finish_soak_ms: create.finish_soak.map(|soak| soak.as_millis() as u64),
                    shadow_ppm: create.shadow,
                    local_guard: create.local_guard,
                    ..v1::Policy::default()
                };
                let request = v1::CreateMigrationRequest {
                    mutation: Some(create.change.to_wire()),
                    key: create.key,
                    salt: create.salt,
                    source: create.source,
                    target: create.target,
                    description: create.description,
                    policy: Some(policy),
                    confirm: create.confirm,
                };
                render::changed(global, &answer(admin.create_migration(request)).await?, &Waits::None);
            }
            Self::List => {
                let listed = answer(admin.list_migrations(v1::ListMigrationsRequest {})).await?;
                if global.json {
                    for migration in &listed.migrations {
                        let glance = listed.glances.iter().find(|glance| glance.key == migration.key);
                        out::json(&render::glance_json(migration, glance));
                    }
                } else if listed.migrations.is_empty() {
                    out::line("no migrations yet: cutover create KEY --source TEXT --target TEXT");
                } else {
                    let table = render::list_table(&listed, console::Term::stdout().is_term());
                    table.iter().for_each(|line| out::line(line));
                }
            }
            Self::Show { key } => {
                let migration = answer(admin.get_migration(v1::GetMigrationRequest { key })).await?;
                if global.json {
                    out::json(&render::migration_json(&migration));
                } else {
                    render::migration_page(&migration).iter().for_each(|line| out::line(line));
                }
            }
            Self::Delete { key, confirm, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::DeleteMigrationRequest { mutation, key, confirm };
                let answered = answer(admin.delete_migration(request)).await?;
                return Ok(render::changed(global, &answered, &Waits::None));
            }
            Self::Abandon { key, change } => {
                let request = v1::AbandonRequest { mutation: Some(change.to_wire()), key };
                render::changed(global, &answer(admin.abandon(request)).await?, &Waits::None);
            }
            Self::Finish { key, confirm, overrides, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::FinishRequest { mutation, key, confirm, override_gates: overrides };
                let answered = answer(admin.finish(request)).await?;
                return Ok(render::changed(global, &answered, &Waits::None));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// At level linearizable a fence has to be set.
fn fence_ms(told: Option<Duration>, level: Level) -> u64 {
    let default = if level == Level::Linearizable { FENCE } else { Duration::ZERO };
    told.unwrap_or(default).as_millis() as u64
}
