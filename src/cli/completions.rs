//! Completions for shells, and manual pages.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap_complete::Shell;

use super::{help, out};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Print completions for a shell
    Completions {
        /// Which
        shell: Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// It must exist
        dir: PathBuf,
    },
}

impl Verb {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut help::command(), "cutover", &mut script);
                out::line(String::from_utf8_lossy(&script).trim_end());
            }
            Self::Man { dir } => {
                let name = dir.display();
                clap_mangen::generate_to(help::command(), &dir).with_context(|| {
                    format!("can't write manual pages to {name}: create it, or check --help")
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
