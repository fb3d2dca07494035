//! The command line. All verbs but `serve` talk gRPC like any other client.

mod backup;
#[cfg(feature = "sqlite")]
mod bench;
mod connect;
mod guards;
mod look;
mod migrations;
mod out;
mod passes;
mod percent;
mod plan;
mod policy;
mod progress;
mod render;
mod routing;
mod usage;

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use cutover_proto::v1;

#[cfg(feature = "sqlite")]
use crate::{bench::Bench, bench::child::Role, demo};
use crate::{config::Serve, server};

/// Moves live services from one data store to another: by tenant, in stages, and back at any time.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes.
#[derive(Clone, Debug, Args)]
struct Global {
    /// The controller
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "CUTOVER_SERVER",
        default_value = "http://127.0.0.1:7070"
    )]
    server: String,
    /// Print JSON: one object, or one a line for lists
    #[arg(long, global = true, display_order = 901)]
    json: bool,
}

/// What every verb takes that changes something.
#[derive(Clone, Debug, Args)]
struct Change {
    /// Why; kept in the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Who; operator:$USER unless told
    #[arg(long)]
    actor: Option<String>,
    /// Only if the migration is still at this revision
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    expected_revision: u64,
    /// A retry with the same id gets the first answer
    #[arg(long)]
    request_id: Option<String>,
    /// Say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the controller
    Serve(Serve),
    /// The whole story on embedded stores, in under a minute
    #[cfg(feature = "sqlite")]
    Demo(demo::Demo),
    #[cfg(feature = "sqlite")]
    #[command(hide = true)]
    DemoWorker(demo::worker::Worker),
    /// Measure what this machine can take, beside bare baselines
    #[cfg(feature = "sqlite")]
    #[command(subcommand)]
    Bench(Bench),
    #[cfg(feature = "sqlite")]
    #[command(hide = true, subcommand)]
    BenchChild(Role),
    #[command(flatten)]
    Migrations(migrations::Verb),
    #[command(flatten)]
    Routing(routing::Verb),
    #[command(flatten)]
    Passes(passes::Verb),
    #[command(flatten)]
    Guards(guards::Verb),
    #[command(flatten)]
    Policy(policy::Verb),
    #[command(flatten)]
    Plan(plan::Verb),
    #[command(flatten)]
    Backup(backup::Verb),
    #[command(flatten)]
    Look(look::Verb),
    /// What was reported of a migration, over time
    Progress(progress::Progress),
}

impl Cli {
    /// Reads the process's arguments. `Err`: that was all, help or a version was shown or the
    /// command line is wrong and one line said so.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A reader that has gone is content.
                let _ = error.print();
                ExitCode::SUCCESS
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                out::line(error.render().to_string().trim_end());
                ExitCode::SUCCESS
            }
            // 2, clap's own choice, means "tripped" here.
            _ => {
                fail(&anyhow::Error::msg(usage::told(&error, Self::command(), std::env::args_os().collect())))
            }
        })
    }

    /// How much is logged unless `RUST_LOG` says otherwise: a controller tells what happens, a verb
    /// what went wrong.
    pub const fn log_level(&self) -> &'static str {
        // What a database's driver warns of, our own errors say in words that tell what to do.
        if matches!(self.verb, Verb::Serve(_)) { "info" } else { "warn,sqlx=error,aws=error" }
    }

    /// Runs the verb. The exit code says how it went: 0 done, 2 tripped, 3 timeout, 4 held.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { global, verb } = self;
        let done = match verb {
            Verb::Serve(serve) => server::serve(serve).await.map(|()| ExitCode::SUCCESS).map_err(Into::into),
            #[cfg(feature = "sqlite")]
            Verb::Demo(demo) => demo.run().await,
            #[cfg(feature = "sqlite")]
            Verb::DemoWorker(worker) => worker.run(&global.server).await.map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "sqlite")]
            Verb::Bench(bench) => bench::run(bench, &global).await,
            #[cfg(feature = "sqlite")]
            Verb::BenchChild(role) => role.run().await.map(|()| ExitCode::SUCCESS),
            Verb::Migrations(verb) => verb.run(&global).await,
            Verb::Routing(verb) => verb.run(&global).await,
            Verb::Passes(verb) => verb.run(&global).await,
            Verb::Guards(verb) => verb.run(&global).await,
            Verb::Policy(verb) => verb.run(&global).await,
            Verb::Plan(verb) => verb.run(&global).await,
            Verb::Backup(verb) => verb.run(&global).await,
            Verb::Look(verb) => verb.run(&global).await,
            Verb::Progress(progress) => progress.run(&global).await,
        };
        done.map_err(|error| connect::located(error, &global))
    }
}

impl Change {
    fn to_wire(&self) -> v1::Mutation {
        v1::Mutation {
            actor: actor_or_user(self.actor.clone()),
            reason: self.reason.clone(),
            expected_revision: self.expected_revision,
            request_id: self
                .request_id
                .clone()
                .unwrap_or_else(|| format!("cli-{:032x}", rand::random::<u128>())),
            dry_run: self.dry_run,
        }
    }
}

fn actor_or_user(actor: Option<String>) -> String {
    let user = || format!("operator:{}", std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()));
    actor.unwrap_or_else(user)
}

/// Says in one line why it failed.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    out::error(&format!("cutover: {}", out::one_line(&format!("{error:#}"))));
    ExitCode::FAILURE
}
