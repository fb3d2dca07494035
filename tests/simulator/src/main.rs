//! Plays the whole system in one thread, from a seed: see docs/simulation.md.

mod cast;
mod control;
mod data;
mod expiring;
mod invariants;
mod linear;
mod net;
mod oracle;
mod plan;
mod play;
mod process;
mod remote;
mod runner;
mod story;
mod system;
mod whole;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    runner::Args::parse().run()
}
