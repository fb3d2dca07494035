//! `spec`: checks a spec file. It asks no controller and opens no store.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Global, out, passes};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Check a spec file
    #[command(subcommand)]
    Spec(Does),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Does {
    /// List all mistakes of a spec, with line and column, without a database or a controller
    Lint {
        /// The file that names both stores: docs/spec.md
        spec: PathBuf,
    },
}

impl Verb {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Spec(Does::Lint { spec: path }) = self;
        let spec = passes::read(&path)?;
        if global.json {
            out::json(&json!({ "migration": spec.migration, "fingerprint": spec.fingerprint() }));
        } else {
            out::line(&format!("{} has no mistakes (migration {})", path.display(), spec.migration));
        }
        Ok(ExitCode::SUCCESS)
    }
}
