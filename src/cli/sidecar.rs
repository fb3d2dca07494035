//! `cutover sidecar`.

use std::process::ExitCode;

use super::{Global, exit::Failure, passes};
use crate::{
    server,
    sidecar::{Error, Sidecar},
};

/// Runs a sidecar until SIGINT or SIGTERM.
pub(super) async fn run(sidecar: Sidecar, global: &Global) -> anyhow::Result<ExitCode> {
    let specs: Vec<_> = sidecar.spec.iter().map(|path| passes::read(path)).collect::<Result<_, _>>()?;
    let server = specs.iter().find_map(|spec| spec.server.clone()).unwrap_or_else(|| global.server.clone());
    sidecar.run(specs, &server, global.access()?, server::stop_signal()).await.map_err(|error: Error| {
        if error.is_misuse() { Failure::usage(error.to_string()).into() } else { anyhow::Error::new(error) }
    })?;
    Ok(ExitCode::SUCCESS)
}
