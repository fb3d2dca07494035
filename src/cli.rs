//! The command line. All verbs but `serve` talk gRPC like any other client.

mod backup;
#[cfg(feature = "sqlite")]
mod bench;
mod completions;
mod connect;
mod doctor;
mod exit;
mod guards;
mod help;
mod history;
mod look;
mod migrations;
mod out;
mod passes;
mod percent;
mod pins;
mod plan;
mod policy;
mod progress;
mod render;
mod routing;
mod sidecar;
mod spec;
mod token;
mod usage;
mod wait;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
};

use clap::{
    Arg, Args, FromArgMatches as _, Parser, Subcommand, builder::BoolishValueParser, error::ErrorKind,
};
use cutover_proto::v1;

use exit::Failure;

pub use pins::parse as parse_pins;
pub use plan::parse as parse_plan;

#[cfg(feature = "sqlite")]
use crate::{
    bench::{Bench, child::Role, roles},
    demo,
};
use crate::{
    config::{LogFormat, Serve, duration},
    server,
    sidecar::Sidecar,
};

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
    /// File with the token to show the controller; or set CUTOVER_TOKEN to the token itself
    #[arg(long, global = true, display_order = 900, value_name = "FILE", env = "CUTOVER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// File with the CAs to trust for https, in PEM, instead of the system's
    #[arg(long, global = true, display_order = 900, value_name = "FILE", env = "CUTOVER_CA")]
    ca: Option<PathBuf>,
    /// File with the client certificate to show, in PEM, with --client-key
    #[arg(
        long,
        global = true,
        display_order = 900,
        value_name = "FILE",
        env = "CUTOVER_CLIENT_CERT",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// File with the private key of --client-cert, in PEM
    #[arg(
        long,
        global = true,
        display_order = 900,
        value_name = "FILE",
        env = "CUTOVER_CLIENT_KEY",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
    /// Trust the network: show a token also without TLS; `serve` listens beyond loopback also without tokens or TLS
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "CUTOVER_INSECURE",
        value_parser = BoolishValueParser::new()
    )]
    insecure: bool,
    /// The controller; several addresses are separated by commas, and the one that leads is used
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "CUTOVER_SERVER",
        default_value = "http://127.0.0.1:7070"
    )]
    server: String,
    /// Print JSON: one object, or one a line for lists; errors as an object on stderr
    #[arg(long, global = true, display_order = 901)]
    json: bool,
}

/// What every verb takes that changes something.
#[derive(Clone, Debug, Args)]
struct ChangeArgs {
    /// Why; kept in the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Who makes the change [env: CUTOVER_ACTOR] [default: operator:$USER]
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
    /// A small service with the SDK that reads and writes orders: for trying a migration
    #[cfg(feature = "sqlite")]
    DemoService(demo::service::Service),
    /// Measure what this machine can take, beside bare baselines
    #[cfg(feature = "sqlite")]
    #[command(subcommand)]
    Bench(Bench),
    #[cfg(feature = "sqlite")]
    #[command(hide = true, subcommand)]
    BenchChild(Role),
    /// Run an instance for services without an SDK: they read and write through it
    ///
    /// It takes calls over a unix socket or on loopback, by gRPC and as JSON over HTTP. docs/guides/sidecar.md shows how
    /// to use it.
    Sidecar(Sidecar),
    #[command(flatten)]
    Migrations(migrations::Verb),
    #[command(flatten)]
    Routing(routing::Verb),
    #[command(flatten)]
    Passes(passes::Verb),
    #[command(flatten)]
    Spec(spec::Verb),
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
    /// Check the controller, certificates, tokens, spec files and their stores, and say what to do
    ///
    /// It writes nothing. A failed check exits with 1; warnings do not.
    Doctor(doctor::Doctor),
    /// Who may call: make, list, rotate and revoke tokens
    #[command(subcommand)]
    Token(token::Verb),
    #[command(flatten)]
    Completions(completions::Verb),
}

impl Cli {
    /// Reads the process's arguments. `Err`: that was all, help or a version was shown or the command
    /// line is wrong and stderr says how.
    pub fn read() -> Result<Self, ExitCode> {
        let args: Vec<OsString> = std::env::args_os().collect();
        let command = help::command().mut_args(without_empty);
        let read = command.try_get_matches_from(&args).and_then(|read| Self::from_arg_matches(&read));
        read.map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // A reader that has gone is content.
                let _ = error.print();
                ExitCode::SUCCESS
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                out::line(error.render().to_string().trim_end());
                ExitCode::SUCCESS
            }
            _ => {
                let json = args.iter().any(|arg| arg == "--json");
                exit::fail(&Failure::usage(usage::told(&error, help::command(), args)).into(), json)
            }
        })
    }

    /// Runs the verb to its end, and says on stderr why it failed if it did.
    pub async fn run(self) -> ExitCode {
        let json = self.global.json;
        self.done().await.unwrap_or_else(|error| exit::fail(&error, json))
    }

    /// How much is logged unless `RUST_LOG` says otherwise: a controller tells what happens, a verb
    /// what went wrong.
    pub fn log_level(&self) -> &str {
        // What a database's driver warns of, our own errors say in words that tell what to do.
        match &self.verb {
            Verb::Serve(serve) => serve.log_level.as_deref().unwrap_or("info,sqlx=warn"),
            Verb::Sidecar(_) => "info,sqlx=error,aws=error",
            _ => "warn,sqlx=error,aws=error",
        }
    }

    /// Is `RUST_LOG` overruled?
    pub const fn has_log_level(&self) -> bool {
        matches!(&self.verb, Verb::Serve(serve) if serve.log_level.is_some())
    }

    /// Are log lines JSON?
    pub fn logs_json(&self) -> bool {
        matches!(&self.verb, Verb::Serve(serve) if serve.log_format == Some(LogFormat::Json))
    }

    /// Where traces are sent. `None`: nowhere. An empty variable is none.
    pub fn otlp_endpoint(&self) -> Option<&str> {
        match &self.verb {
            Verb::Serve(serve) => serve.otlp_endpoint.as_deref().filter(|address| !address.is_empty()),
            _ => None,
        }
    }

    async fn done(self) -> anyhow::Result<ExitCode> {
        let Self { global, verb } = self;
        let done = match verb {
            Verb::Serve(serve) => {
                let serve = Serve { insecure: global.insecure, ..serve };
                server::serve(serve).await.map(|()| ExitCode::SUCCESS).map_err(Into::into)
            }
            #[cfg(feature = "sqlite")]
            Verb::Demo(demo) => demo.run().await,
            #[cfg(feature = "sqlite")]
            Verb::DemoWorker(worker) => {
                worker.run(&global.server, global.access()?).await.map(|()| ExitCode::SUCCESS)
            }
            #[cfg(feature = "sqlite")]
            Verb::DemoService(service) => match passes::read(&service.spec) {
                Ok(spec) => {
                    let global = global.of_spec(&spec);
                    service.run(&spec, &global.server, global.access()?).await.map(|()| ExitCode::SUCCESS)
                }
                Err(error) => Err(error),
            },
            #[cfg(feature = "sqlite")]
            Verb::Bench(bench) => bench::run(bench, &global).await,
            #[cfg(feature = "sqlite")]
            Verb::BenchChild(role) => roles::run(role).await.map(|()| ExitCode::SUCCESS),
            Verb::Sidecar(sidecar) => sidecar::run(sidecar, &global).await,
            Verb::Migrations(verb) => verb.run(&global).await,
            Verb::Routing(verb) => verb.run(&global).await,
            Verb::Passes(verb) => verb.run(&global).await,
            Verb::Spec(verb) => verb.run(&global).await,
            Verb::Guards(verb) => verb.run(&global).await,
            Verb::Policy(verb) => verb.run(&global).await,
            Verb::Plan(verb) => verb.run(&global).await,
            Verb::Backup(verb) => verb.run(&global).await,
            Verb::Look(verb) => verb.run(&global).await,
            Verb::Progress(progress) => progress.run(&global).await,
            Verb::Doctor(doctor) => doctor.run(&global).await,
            Verb::Token(verb) => verb.run(&global).await,
            Verb::Completions(verb) => verb.run(),
        };
        done.map_err(|error| connect::located(error, &global))
    }
}

/// An empty variable is none: what deploys a process may leave it like that.
fn without_empty(arg: Arg) -> Arg {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    if arg.get_env().is_some_and(is_empty) { arg.env(None::<&'static str>) } else { arg }
}

impl ChangeArgs {
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

/// Who acts: as given, else by `CUTOVER_ACTOR`, else the user who runs this, also where cron or a container sets no
/// `USER`.
fn actor_or_user(actor: Option<String>) -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_process = || nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok()?.map(|user| user.name);
    actor.or_else(|| set("CUTOVER_ACTOR")).unwrap_or_else(|| {
        let user = set("USER").or_else(|| set("LOGNAME")).or_else(of_process);
        format!("operator:{}", user.as_deref().unwrap_or("unknown"))
    })
}
