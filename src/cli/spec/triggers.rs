//! `spec triggers`: prints triggers that stamp what a program without the SDK writes, in the ledger.

use std::path::PathBuf;

use anyhow::Context as _;
use cutover_store::{Trigger, mapping::Dialect, spec::Missing};
use serde_json::json;

use super::super::{Global, exit::Failure, out, passes};
use crate::jobs::side::Side;

/// What to know before the statements run.
const HEAD: [&str; 4] = [
    "-- Stop the programs before the last backfill. Which user has to run this, and what stays unstamped:",
    "-- docs/guides/existing-tables.md. The DROP statements remove the triggers of an earlier run. To remove",
    "-- the triggers for good, run only those. Do so before a child table is removed from the spec, and",
    "-- before the ledger is dropped.",
];

/// What `spec triggers` takes.
#[derive(Debug, clap::Args)]
pub(in super::super) struct Triggers {
    /// The file that names both stores: docs/spec.md
    spec: PathBuf,
    /// The store that the program writes
    #[arg(long, value_enum, default_value = "source")]
    side: Side,
}

impl Triggers {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<()> {
        let spec = passes::read(&self.spec)?;
        if spec.ttl.is_some() {
            let what = "with ttl there are no triggers: the removal of an expired row would leave a tombstone above newer \
                        writes. Stop programs without the SDK before the migration begins";
            return Err(Failure::refused(what, Vec::new()).into());
        }
        let name = self.side.name();
        let section = self.side.section(&spec);
        let store = section.open(Missing::Refuse, |name| std::env::var(name).ok()).await;
        let store = store.with_context(|| format!("the {name}"))?;
        let triggers = store.triggers();
        if triggers.is_empty() {
            let what = format!(
                "the {name} has no ledger, so there are no triggers for it: a row that a program deletes takes its version \
                 with it. In SQL, set versions = \"ledger\" in the {name}'s section. Otherwise stop the program before \
                 the migration begins"
            );
            return Err(Failure::refused(what, Vec::new()).into());
        }
        if global.json {
            let all = triggers.iter().map(|it| json!({ "create": it.create, "drop": it.drop }));
            out::json(&json!({ "side": name, "triggers": all.collect::<Vec<_>>() }));
            return Ok(());
        }
        out::line(&format!(
            "-- Triggers for programs that write the {name} without the SDK. Nothing was created."
        ));
        HEAD.iter().for_each(|line| out::line(line));
        // There every statement about a table commits by itself.
        let is_atomic = section.tables().all(|(_, table)| table.url.dialect() != Some(Dialect::MySql));
        out::line(if is_atomic {
            "\nBEGIN;"
        } else {
            "\n-- The programs must not write while these statements run."
        });
        Trigger::drops(&triggers).for_each(|drop| out::line(&drop));
        triggers.iter().for_each(|it| out::line(&format!("\n{};", it.create)));
        if is_atomic {
            out::line("\nCOMMIT;");
        }
        Ok(())
    }
}
