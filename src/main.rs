//! The `cutover` binary: parse, log, dispatch.

use std::{process::ExitCode, time::Duration};

use cutover::{cli::Cli, traces::Traces};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

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
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let traces = {
        let _inside = runtime.enter();
        match cli.otlp_endpoint().map(Traces::to).transpose() {
            Ok(traces) => traces,
            Err(error) => return failed(&error),
        }
    };
    // Spans are for traces: the log is lines.
    let lines = level.and(filter_fn(|about| about.is_event()));
    let log = fmt::layer().with_writer(std::io::stderr);
    let log = match cli.logs_json() {
        true => log.json().boxed(),
        false => log.with_ansi(console::colors_enabled_stderr()).boxed(),
    };
    let log = log.with_filter(lines);
    tracing_subscriber::registry().with(log).with(traces.as_ref().map(Traces::layer)).init();
    let code = runtime.block_on(cli.run());
    if let Some(traces) = traces {
        traces.finish();
    }
    // Not for ever: a file that is read on a file system that hangs.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("cutover: {error}");
    ExitCode::FAILURE
}
