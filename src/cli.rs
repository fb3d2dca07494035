//! The command line. All verbs but `serve` talk gRPC like any other client.

#[cfg(feature = "sqlite")]
mod bench;
mod connect;
mod look;
mod migrations;
mod out;
mod percent;
mod render;
mod routing;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
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
    #[arg(long, global = true, env = "CUTOVER_SERVER", default_value = "http://127.0.0.1:7070")]
    server: String,
    /// Print JSON: one object, or one a line for lists
    #[arg(long, global = true)]
    json: bool,
}

/// What every verb takes that changes something.
#[derive(Clone, Debug, Args)]
struct Change {
    /// Why; kept in the history
    #[arg(long, default_value = "")]
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
    Look(look::Verb),
}

impl Cli {
    /// Runs the verb. The exit code says how it went: 0 done, 2 tripped, 3 timeout.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { global, verb } = self;
        match verb {
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
            Verb::Look(verb) => verb.run(&global).await,
        }
    }
}

impl Change {
    fn to_wire(&self) -> v1::Mutation {
        let user = || format!("operator:{}", std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()));
        v1::Mutation {
            actor: self.actor.clone().unwrap_or_else(user),
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

/// Says in one line why it failed.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    let message = format!("{error:#}").replace('\n', " ");
    out::error(&format!("cutover: {message}"));
    ExitCode::FAILURE
}
