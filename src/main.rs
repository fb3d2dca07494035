//! The `cutover` binary: parse, log, dispatch.

use std::process::ExitCode;

use cutover::cli::Cli;
use tracing_subscriber::EnvFilter;

// One thread frees rows that another allocated, which glibc's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(cli.log_level()));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(level).with_ansi(ansi).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return cutover::cli::fail(&anyhow::Error::from(error).context("can't start")),
    };
    match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => cutover::cli::fail(&error),
    }
}
