//! `clean`: removes what only Cutover uses in the databases, once a migration has ended. The controller can't, because it does
//! not know them.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::{
    Leftover, Scope, Segment, Store,
    mapping::Versions,
    spec::{Missing, Spec, StoreSpec},
};
use serde_json::json;

use super::{
    Global,
    connect::{answer, failure},
    exit::{Failure, Reason},
    out, passes,
};

/// Bytes of a page of the quarantine.
const PAGE_BYTES: usize = 1 << 20;

/// What `clean` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Clean {
    /// The file that names both stores: docs/spec.md
    spec: PathBuf,
    /// Only list the statements; asks no controller
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Run the statements
    #[arg(long)]
    yes: bool,
    /// A service that does not open these tables with the SDK, so it may be running; may be repeated
    #[arg(long = "other-service", value_name = "SERVICE")]
    other_services: Vec<String>,
}

/// A table and the statements that would remove something.
struct Found {
    store: std::sync::Arc<dyn Store>,
    what: Leftover,
    /// For people.
    name: String,
    statements: Vec<String>,
}

impl Clean {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let spec = passes::read(&self.spec)?;
        if !self.dry_run {
            self.check(&global.of_spec(&spec), &spec.migration).await?;
        }
        let (found, mut kept) = found(&spec).await?;
        for (side, section) in [("source", &spec.source), ("target", &spec.target)] {
            kept.extend(section.tables().flat_map(|(_, table)| left(side, table)));
        }
        if !global.json {
            say(&found, &kept, self.yes);
        }
        for it in found.iter().filter(|_| self.yes) {
            let removed = it.store.remove(it.what, false).await;
            removed.with_context(|| format!("{}: run this command again", it.name))?;
        }
        if global.json {
            let statements: Vec<_> = found.iter().flat_map(|it| &it.statements).collect();
            out::json(&json!({ "statements": statements, "dropped": self.yes, "kept": kept }));
        }
        if self.yes || self.dry_run || found.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let shown = self.spec.display();
        let what = format!("nothing was dropped. To run these statements: cutover clean {shown} --yes");
        Err(Failure::refused(what, Vec::new()).into())
    }

    /// Fails unless the migration has ended and no process may write by it.
    async fn check(&self, global: &Global, key: &str) -> anyhow::Result<()> {
        let mut admin = global.admin().await?;
        match admin.get_migration(v1::GetMigrationRequest { key: key.to_owned() }).await {
            Ok(answered) => {
                let migration = answered.into_inner();
                if !matches!(migration.state(), v1::State::Finished | v1::State::Abandoned) {
                    let what = format!(
                        "{key} has not ended, so its ledgers are in use. End it first: cutover finish {key} --confirm {key}, \
                         or cutover abandon {key} after a rollback"
                    );
                    return Err(Failure::refused(what, Vec::new()).into());
                }
            }
            Err(status) if status.code() == tonic::Code::NotFound => {
                let asked =
                    v1::ListHistoryRequest { key: key.to_owned(), page_size: 1, ..Default::default() };
                let events = match admin.list_history(asked).await {
                    Ok(listed) => listed.into_inner().events,
                    // It has never heard of this key.
                    Err(status) if status.code() == tonic::Code::NotFound => Vec::new(),
                    Err(status) => return Err(failure(&status)),
                };
                if events.first().is_none_or(|event| event.change != "delete") {
                    let what = format!(
                        "the controller knows no migration {key}, and its history has no deletion of one. Check migration \
                         in the spec and --server. If it ended long ago, run the statements of --dry-run yourself"
                    );
                    return Err(Failure::refused(what, Vec::new()).into());
                }
            }
            Err(status) => return Err(failure(&status)),
        }
        let listed = answer(admin.list_instances(v1::ListInstancesRequest::default())).await?;
        let uses = |it: &&v1::Instance| {
            it.kind() != v1::InstanceKind::Worker && !it.parked && !self.other_services.contains(&it.service)
        };
        let live: Vec<_> = listed.instances.iter().filter(uses).collect();
        if live.is_empty() {
            return Ok(());
        }
        let reasons = live.iter().map(|it| {
            let lost = if it.lost { ", lost: cutover evict if it is dead" } else { "" };
            Reason::mistake(format!("{} of service {}{lost}", it.name, it.service))
        });
        let what = "instances are registered, and one that opens these tables with the SDK fails without the ledger. Deploy the \
                    services without it first. For each service that does not use these tables, add --other-service SERVICE";
        Err(Failure::refused(what, reasons.collect()).into())
    }
}

/// What would be removed, and what stays.
async fn found(spec: &Spec) -> anyhow::Result<(Vec<Found>, Vec<String>)> {
    let lookup = |name: &str| std::env::var(name).ok();
    let (mut all, mut kept) = (Vec::new(), Vec::new());
    for (side, section) in [("source", &spec.source), ("target", &spec.target)] {
        let with_ledger = section.tables().filter(|(_, table)| table.versions == Versions::Ledger);
        for (_, table) in with_ledger {
            let name = format!("the {side}'s table {}", table.table);
            match table.open(Missing::Refuse, lookup).await {
                Ok(store) => {
                    let statements = store.remove(Leftover::Beside, true).await?;
                    all.push(Found { store, what: Leftover::Beside, name, statements });
                }
                // Removed before.
                Err(error) if passes::is_absent(&error) => {}
                Err(error) => return Err(anyhow::Error::new(error).context(name)),
            }
        }
    }
    let name = &spec.quarantine_table;
    let Some(store) = spec.open_quarantine(Missing::Refuse, lookup).await.context("the quarantine")? else {
        return Ok((all, kept));
    };
    if has_rows_of_others(&*store, &spec.migration).await? {
        kept.push(format!("the quarantine {name}, in which other migrations have records"));
        return Ok((all, kept));
    }
    let statements = store.remove(Leftover::Table, true).await?;
    if statements.is_empty() {
        kept.push(format!("the quarantine: aws dynamodb delete-table --table-name {name}"));
    } else {
        all.push(Found { store, what: Leftover::Table, name: format!("the quarantine {name}"), statements });
    }
    Ok((all, kept))
}

/// Whether the quarantine has records of another migration. One that can't be read counts as one.
async fn has_rows_of_others(quarantine: &dyn Store, migration: &str) -> anyhow::Result<bool> {
    let mut cursor = None;
    loop {
        let page = quarantine.scan(&Scope::All, Segment::ALL, cursor.as_ref(), PAGE_BYTES).await?;
        let others = page.records.iter().any(|(id, record)| id.tenant != migration && !record.is_tombstone());
        if others || !page.unreadable.is_empty() {
            return Ok(true);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(false);
        }
    }
}

/// What stays in a table of records, and how to remove it.
fn left(side: &str, table: &StoreSpec) -> Vec<String> {
    let (name, fields) = (&table.table, &table.fields);
    let (version, deleted) = (&fields.version, &fields.deleted);
    if table.url.dialect().is_none() {
        return vec![format!(
            "the {side}'s table {name}: the attribute {version}, and items with {deleted} (tombstones). A job of yours can \
             remove them"
        )];
    }
    if table.versions == Versions::Ledger {
        return Vec::new();
    }
    let (tombstone, mark) = match table.mapping {
        Some(_) => (deleted.clone(), format!("; ALTER TABLE {name} DROP COLUMN {deleted}")),
        None => (format!("{} IS NULL", fields.value), String::new()),
    };
    vec![format!(
        "the {side}'s table {name}, its version column and tombstones: DELETE FROM {name} WHERE {tombstone}; ALTER TABLE {name} \
         DROP COLUMN {version}{mark};"
    )]
}

fn say(found: &[Found], kept: &[String], drops: bool) {
    if found.is_empty() {
        out::line("nothing to drop: there is no ledger and no quarantine of this migration alone");
    } else {
        out::line(if drops { "drops:" } else { "would drop:" });
    }
    for it in found {
        out::line(&format!("  of {}", it.name));
        it.statements.iter().for_each(|statement| out::line(&format!("    {statement};")));
    }
    if !kept.is_empty() {
        out::line("stays:");
        kept.iter().for_each(|it| out::line(&format!("  {it}")));
    }
}
