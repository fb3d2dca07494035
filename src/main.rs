//! The `cutover` binary: parse, log, dispatch.

use std::{process::ExitCode, time::Duration};

use cutover::cli::Cli;
use tracing_subscriber::EnvFilter;

// One thread frees rows that another allocated, which glibc's allocator is slow at.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let level = match EnvFilter::try_from_default_env() {
        Ok(level) if !cli.has_log_level() => level,
        _ => EnvFilter::new(cli.log_level()),
    };
    let log = tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr);
    if cli.logs_json() {
        log.json().init();
    } else {
        log.with_ansi(console::colors_enabled_stderr()).init();
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // Not for ever: a file that is read on a file system that hangs.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
        Err(error) => {
            tracing::error!(%error, "can't start");
            ExitCode::FAILURE
        }
    }
}
