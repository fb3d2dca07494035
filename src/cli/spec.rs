//! `spec`: checks a spec file, and makes from it what databases need. No controller is asked.

use std::{path::PathBuf, process::ExitCode};

use cutover_store::{
    Version,
    mapping::triggers_sql,
    spec::{Spec, StoreSpec},
};
use serde_json::json;

use super::{
    Global,
    exit::{Failure, Reason},
    out, passes,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Check a spec file, or make triggers from it
    #[command(subcommand)]
    Spec(Does),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Does {
    /// List everything that is wrong with a spec, by line, without a database or a controller
    Lint {
        /// The file that names both stores: docs/spec.md
        spec: PathBuf,
    },
    /// Print triggers with which programs without the SDK write the ledgers
    Triggers {
        /// The file that names both stores: docs/spec.md
        spec: PathBuf,
    },
}

impl Verb {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let Self::Spec(does) = self;
        match does {
            Does::Lint { spec: path } => {
                let spec = passes::read(&path)?;
                if global.json {
                    out::line(
                        &json!({ "migration": spec.migration, "fingerprint": spec.fingerprint() })
                            .to_string(),
                    );
                } else {
                    out::line(&format!("{} has no mistakes (migration {})", path.display(), spec.migration));
                }
            }
            Does::Triggers { spec: path } => triggers(&passes::read(&path)?, global)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn triggers(spec: &Spec, global: &Global) -> anyhow::Result<()> {
    let sides = [
        ("source", &spec.source, Version::SOURCE_TRIGGERS),
        ("target", &spec.target, Version::TARGET_TRIGGERS),
    ];
    let mut made = Vec::new();
    for (side, store, slot) in sides {
        made.push((side, store, statements(store, slot)?));
    }
    if made.iter().all(|(_, _, sql)| sql.is_empty()) {
        let why = "Without a ledger, programs that don't use the SDK write the version themselves. Triggers are made \
                   for stores with versions = \"ledger\": docs/spec.md#the-ledger";
        return Err(Failure::refused(
            "neither store has a ledger".to_owned(),
            vec![Reason::mistake(why.to_owned())],
        )
        .into());
    }
    if global.json {
        for (side, store, sql) in &made {
            out::line(&json!({ "store": side, "table": store.table, "statements": sql }).to_string());
        }
        return Ok(());
    }
    for (side, store, sql) in made.into_iter().filter(|(_, _, sql)| !sql.is_empty()) {
        out::line(&format!("-- The {side}: {}, table {}", store.url, store.table));
        sql.iter().for_each(|sql| out::line(&format!("{sql};\n")));
    }
    Ok(())
}

/// None for a store without a ledger.
fn statements(store: &StoreSpec, slot: u16) -> anyhow::Result<Vec<String>> {
    match (store.url.dialect(), store.sql_table()) {
        (Some(dialect), Some(table)) => Ok(triggers_sql(dialect, &table, slot)?),
        _ => Ok(Vec::new()),
    }
}
