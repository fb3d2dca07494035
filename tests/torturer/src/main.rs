//! Tries to lose writes of a live migration; `tests/torture` builds and runs it.
//!
//! Services read and write few records through the SDK. Meanwhile they, the controllers and the workers of
//! passes are killed and paused. A proxy delays requests and cuts connections before the answer, and the
//! migration is ramped up and down at random ([`story`]). Everything that was begun, answered and read is
//! logged before anybody continues ([`log`]). At the end every read must be explained by a write that no
//! acknowledged one had replaced ([`check`]).

// A program: nothing of it is an API.
#![allow(unreachable_pub)]

mod bug;
mod caller;
mod cast;
mod check;
mod controllers;
mod log;
mod pass;
mod proxy;
mod scenario;
mod stores;
mod story;
mod unreliable;
mod worker;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;

/// The migration under torture.
const KEY: &str = "torture";
/// Few records, so that operations collide.
const TENANTS: u64 = 24;
const KEYS: u64 = 3;

#[derive(Debug, Parser)]
#[command(about = "Tries to lose writes of a live migration", disable_help_subcommand = true)]
enum Command {
    /// The whole run; its last line is one JSON object
    Run(Run),
    /// One service; started by `run`
    Worker(worker::Worker),
    /// One worker of a pass; started by `run`
    Pass(pass::PassProcess),
    /// A service without an SDK, which reads and writes through a sidecar; started by `run`
    Caller(caller::Caller),
    /// The sidecar of such services; started by `run`
    Sidecar(SidecarProcess),
    /// A controller; started by `run`
    Controller {
        #[arg(long, env = "CUTOVER_STORE", hide_env_values = true)]
        store: String,
        #[arg(long)]
        grpc: String,
    },
}

/// Flags of `sidecar`.
#[derive(Clone, Debug, clap::Args)]
struct SidecarProcess {
    #[arg(long)]
    server: String,
    #[command(flatten)]
    sidecar: cutover::sidecar::Sidecar,
}

/// Flags of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// How long to torture
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Determines what happens and when; random if not given, and printed
    #[arg(long)]
    pub seed: Option<u64>,
    /// Break the product in this way; the run must find it, and ends when it has
    #[arg(long)]
    pub bug: Option<bug::Bug>,
    /// Run the scenario of that bug without the bug; nothing may be found
    #[arg(long, value_name = "BUG", conflicts_with = "bug")]
    pub directed: Option<bug::Bug>,
    /// Source store: sqlite:PATH, mysql://.., postgres://.., dynamodb://..; `{dir}` is the run's directory. With ledger+
    /// before it, its versions are in a ledger
    #[arg(long, env = "TORTURE_SOURCE", default_value = "sqlite:{dir}/source.db")]
    pub source: String,
    /// Target store
    #[arg(long, env = "TORTURE_TARGET", default_value = "sqlite:{dir}/target.db")]
    pub target: String,
    /// Controllers; several need a shared store
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub controllers: u8,
    /// The controllers' store, which has to be empty: sqlite:PATH, postgres://.., mysql://.., dynamodb://..
    #[arg(long, env = "TORTURE_STORE", hide_env_values = true, default_value = "sqlite:{dir}/cutover.db")]
    pub store: String,
    /// Print what steps wait for
    #[arg(long)]
    pub verbose: bool,
    /// Keep logs and databases here
    #[arg(long)]
    pub keep: Option<std::path::PathBuf>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    seed: u64,
    #[serde(flatten)]
    verdict: check::Verdict,
    kills: u64,
    pauses: u64,
    cuts: u64,
    ramps: u64,
    passes: u64,
    leader_changes: u64,
    stages: Vec<String>,
    bug: Option<bug::Bug>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match play(Command::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(run) => torture(run).await,
        Command::Worker(worker) => worker.run().await.map(|()| ExitCode::SUCCESS),
        Command::Caller(caller) => caller.run().await.map(|()| ExitCode::SUCCESS),
        Command::Sidecar(SidecarProcess { server, sidecar }) => {
            let spec = |path| anyhow::Ok(std::fs::read_to_string(path)?.parse()?);
            let specs = sidecar.spec.iter().map(spec).collect::<Result<_, _>>()?;
            sidecar
                .run(specs, &server, cutover_client::Access::default(), cutover::server::stop_signal())
                .await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Pass(pass) => pass.run().await.map(|()| ExitCode::SUCCESS),
        Command::Controller { store, grpc } => {
            let http = Some("127.0.0.1:0".to_owned());
            let serve = cutover::config::Serve {
                store: Some(store),
                grpc: Some(grpc),
                http,
                ..cutover::config::Serve::default()
            };
            cutover::server::serve(serve).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn torture(run: Run) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        run.controllers == 1 || !run.store.starts_with("sqlite:"),
        "several controllers need a shared store: add --store postgres://.. (tests/torture starts one)"
    );
    anyhow::ensure!(
        run.controllers == 1 || run.bug.or(run.directed).is_none(),
        "--bug and --directed have one controller: leave out --controllers"
    );
    let seed = run.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("torture: seed {seed}, {} s; --seed {seed} plays the same happenings again", run.seconds);
    let temporary = tempfile::tempdir().context("can't make a temporary directory; set TMPDIR")?;
    let dir = run.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir).with_context(|| format!("can't make {}", dir.display()))?;
    let told = story::play(&dir, &run, seed).await?;
    let lives = lives(&dir)?;
    let verdict = check::check(&lives, story::is_seeded, told.end_ns);
    let whole = verdict.lost + verdict.resurrected + verdict.back_in_time == 0 && verdict.acknowledged > 0;
    if !whole && run.keep.is_none() {
        eprintln!("torture: logs and databases are in {}", temporary.keep().display());
    }
    let summary = Summary {
        seed,
        verdict,
        kills: told.kills,
        pauses: told.pauses,
        cuts: told.cuts,
        ramps: told.ramps,
        passes: told.passes,
        leader_changes: told.leader_changes,
        stages: told.stages.into_iter().collect(),
        bug: run.bug,
    };
    let mut out = std::io::stdout();
    std::io::Write::write_all(&mut out, format!("{}\n", serde_json::to_string(&summary)?).as_bytes())?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every log of the run; each file is one life of one process.
fn lives(dir: &Path) -> anyhow::Result<Vec<Vec<log::Line>>> {
    let mut lives = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let text = std::fs::read_to_string(&path)?;
            // A line that a kill cut off was not acted upon.
            lives.push(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect());
        }
    }
    Ok(lives)
}
