//! `spec`: drafts and checks spec files, and prints triggers. It asks no controller.

mod init;
mod triggers;

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{Global, out, passes};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Draft or check a spec file
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
    /// Print a draft of a spec, made from both tables and a sample of the source's records
    ///
    /// It reads keys, columns and foreign keys of SQL tables, and finds types and columns for the attributes of DynamoDB's
    /// items. Columns of a target that is there are matched by name. It says how many records have each. What it can't
    /// decide is marked with NOT DECIDED. The end has what the source's table lacks, and the statements that create the
    /// target's table, or what an existing one lacks. Nothing is written.
    Init(init::Init),
    /// Print triggers that stamp what a program without the SDK writes
    ///
    /// Each row that such a program writes or deletes gets a new version in the ledger, so a backfill copies it. The store is opened and checked;
    /// nothing is written. docs/guides/existing-tables.md says until when such a program may run.
    Triggers(triggers::Triggers),
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Spec(does) = self;
        match does {
            Does::Init(init) => init.run(global).await?,
            Does::Triggers(triggers) => triggers.run(global).await?,
            Does::Lint { spec: path } => {
                let spec = passes::read(&path)?;
                if global.json {
                    out::json(&json!({ "migration": spec.migration, "fingerprint": spec.fingerprint() }));
                } else {
                    out::line(&format!("{} has no mistakes (migration {})", path.display(), spec.migration));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
