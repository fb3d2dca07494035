//! The batch side: backfill, verify, reverse, and what can be done to them while they run.

mod dry_run;
mod ended;
pub(super) mod expiring;
pub(super) mod new_target;
mod no_ledger;
mod privileges;
mod progress;
mod quarantine;
mod settled;
pub(super) mod tables;
mod triggers;
mod tune;
mod verify;
mod warned;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::{
    StoreError,
    spec::{Missing, OpenError, Spec},
};

use super::{
    Global, actor_or_user,
    connect::{answer, failure},
    exit::{Failure, Reason},
    out,
    render::{evidence_json, evidence_line},
};
use crate::jobs::{self, Plan, Stores, side::Side, worker};
use progress::{Progress, Useless, job_json, job_lines};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Copy records that the target lacks or has in an older version
    ///
    /// Run it in as many processes as you like: they share the work.
    Backfill {
        #[command(flatten)]
        pass: PassArgs,
        /// Open both stores and say what would be done; check that real records fit and come back as
        /// they are; copy nothing
        #[arg(long)]
        dry_run: bool,
        /// First wait until everybody has acknowledged mirrored, so that a gate accepts the pass
        #[arg(long, conflicts_with = "dry_run")]
        wait_settled: bool,
    },
    /// Compare both stores, record by record
    Verify {
        #[command(flatten)]
        pass: PassArgs,
        #[command(flatten)]
        how: verify::Comparison,
        /// Compare nothing: open both stores, and check that real records fit and come back as they are
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy back what only the target has, deletes included
    ///
    /// Needed before tenants that were at target-only can go below target-first.
    Reverse {
        #[command(flatten)]
        pass: PassArgs,
        /// Open both stores and say what would be done, and what has to come first; check that real records
        /// of the target fit the source; copy nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Records that no pass could move: list them, or try them again
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// List the passes of a migration that are running
    Jobs {
        /// The migration's key
        key: String,
    },
    /// Pause a pass, or change its limits, while it runs
    Tune {
        /// Its id: cutover jobs KEY
        job: String,
        /// Copy nothing until --resume
        #[arg(long, conflicts_with = "resume")]
        pause: bool,
        /// Continue a pass that was paused
        #[arg(long)]
        resume: bool,
        /// Records a second of all workers together; 0: no limit
        #[arg(long, value_name = "N", alias = "rows-per-s")]
        records_per_s: Option<u64>,
        /// Bytes a second of all workers together; 0: no limit
        #[arg(long, value_name = "N")]
        bytes_per_s: Option<u64>,
        /// Why; kept in the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// End a pass early; what it copied stays
    Cancel {
        /// Its id: cutover jobs KEY
        job: String,
        /// Also while workers are working on it: they end, and say why
        #[arg(long)]
        force: bool,
        /// Why; kept in the history
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
}

/// What every pass takes.
#[derive(Debug, clap::Args)]
pub(super) struct PassArgs {
    /// The file that names both stores: docs/spec.md
    spec: PathBuf,
    /// Make the tables of the target and of quarantine that are not there; those that are stay as they are
    #[arg(long)]
    create_tables: bool,
    /// With --dry-run: check every record, not only 10,000 of them
    #[arg(long, requires = "dry_run")]
    full: bool,
    /// This side, or both (source,target), has another table than in earlier passes, after a failover or a
    /// restore: accept it, and let earlier passes open no gate any more
    #[arg(
        long,
        value_enum,
        value_name = "SIDE",
        value_delimiter = ',',
        requires = "reason",
        conflicts_with = "dry_run"
    )]
    new_tables: Vec<Side>,
    /// Why; kept in the history
    #[arg(long, value_name = "TEXT", conflicts_with = "dry_run")]
    reason: Option<String>,
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let spec = self.spec();
        let mut values = None;
        let (evidence, useless) = match self {
            Self::Backfill { pass, dry_run: true, .. } => {
                return pass.dry_run(global, "copy", v1::PassKind::Full).await;
            }
            Self::Backfill { pass, wait_settled, .. } => {
                if wait_settled {
                    settled::wait(global, &pass.read()?).await?;
                }
                pass.run(global, v1::PassKind::Full, |_| {}).await?
            }
            Self::Verify { pass, how, dry_run: true } => {
                return pass.dry_run(global, "compare", how.kind()).await;
            }
            Self::Verify { pass, how, dry_run: false } => {
                let (kind, settings) = (how.kind(), how.settings());
                settings.warn(global.json);
                let done = pass.run(global, kind, |plan| settings.apply(plan)).await?;
                values = settings.values;
                done
            }
            Self::Reverse { pass, dry_run: true } => {
                let code = pass.dry_run(global, "copy back", v1::PassKind::Reverse).await?;
                if code == ExitCode::SUCCESS {
                    pass.check(global, v1::PassKind::Reverse).await?;
                }
                return Ok(code);
            }
            Self::Reverse { pass, dry_run: false } => pass.run(global, v1::PassKind::Reverse, |_| {}).await?,
            Self::Quarantine(verb) => return verb.run(global).await,
            Self::Jobs { key } => return list(global, key).await,
            Self::Tune { job, pause, resume, records_per_s, bytes_per_s, reason } => {
                return tune::tune(global, job, reason, |tuning| {
                    tuning.paused = pause || tuning.paused && !resume;
                    tuning.records_per_s = records_per_s.unwrap_or(tuning.records_per_s);
                    tuning.bytes_per_s = bytes_per_s.unwrap_or(tuning.bytes_per_s);
                })
                .await;
            }
            Self::Cancel { job, force, reason } => {
                let mut jobs = global.jobs().await?;
                let finish = v1::FinishJobRequest {
                    id: job,
                    actor: actor_or_user(None),
                    reason,
                    force,
                    ..Default::default()
                };
                let evidence = answer(jobs.finish_job(finish)).await?.evidence.unwrap_or_default();
                if global.json {
                    out::json(&evidence_json(&evidence));
                } else {
                    out::line(&evidence_line(&evidence));
                    out::line("no gate accepts it; what it did stays");
                }
                return Ok(ExitCode::SUCCESS);
            }
        };
        ended::tell(global, &evidence, &useless, values.as_ref(), &spec).await;
        Ok(if evidence.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The spec file as it was given, for commands to copy. Empty: it takes none.
    fn spec(&self) -> String {
        match self {
            Self::Backfill { pass, .. } | Self::Verify { pass, .. } | Self::Reverse { pass, .. } => {
                pass.spec.display().to_string()
            }
            _ => String::new(),
        }
    }
}

impl PassArgs {
    fn read(&self) -> anyhow::Result<Spec> {
        read(&self.spec)
    }

    async fn stores(&self, spec: &Spec) -> anyhow::Result<Stores> {
        let lookup = |name: &str| std::env::var(name).ok();
        let missing = if self.create_tables { Missing::Create } else { Missing::Refuse };
        let target = spec.target.open(missing, lookup).await;
        // A source whose table is missing is a mistake in any case.
        Ok(Stores {
            source: spec.source.open(Missing::Refuse, lookup).await.context("the source")?,
            target: target.map_err(|error| {
                let can_be_made = is_absent(&error) && !self.create_tables;
                let advice = if can_be_made { " (before the first pass, --create-tables creates its table)" } else { "" };
                anyhow::Error::new(error).context(format!("the target{advice}"))
            })?,
            // Made when it is asked for only; without it the first record that does not fit ends the pass.
            quarantine: spec.open_quarantine(missing, lookup).await.with_context(|| {
                format!(
                    "the quarantine {:?}, of records that do not fit (for another table set quarantine_table in the spec)",
                    spec.quarantine_table
                )
            })?,
        })
    }

    async fn dry_run(&self, global: &Global, verb: &str, kind: v1::PassKind) -> anyhow::Result<ExitCode> {
        let (spec, lookup) = (self.read()?, |name: &str| std::env::var(name).ok());
        let global = &global.of_spec(&spec);
        expiring::check(&spec, kind)?;
        let plan = Plan::of(&spec, kind, actor_or_user(None));
        let has_controller = global.channel().await.is_ok();
        // What is opened; the records are checked against the spec as it is.
        let without = if kind == v1::PassKind::Reverse { None } else { no_ledger::without(&spec).await };
        let no_ledger = without.as_ref().map(|(_, error)| no_ledger::warning(error));
        if !global.json {
            no_ledger.iter().for_each(|warning| out::error(&format!("warning: {warning}")));
        }
        let opened = without.as_ref().map_or(&spec, |(without, _)| without);
        // Records of the source can be checked before there is a target. Only a controller can say whether one may be made.
        if kind == v1::PassKind::Full
            && !(self.create_tables && has_controller)
            && spec.target.open(Missing::Refuse, lookup).await.is_err_and(|error| is_absent(&error))
        {
            let source = opened.source.open(Missing::Refuse, lookup).await.context("the source")?;
            expiring::check_store("source", &spec, &*source).await?;
            if !global.json {
                warned::of("source", &*source).await?;
            }
            let opened = dry_run::Opened::SourceAlone(source);
            return dry_run::say(global, verb, &spec, &opened, &plan, self.full, no_ledger.as_deref()).await;
        }
        let stores = self.stores_of(global, opened).await?;
        if has_controller {
            tables::check(global, &spec, &stores).await?;
            triggers::check(global, &spec, kind, &stores).await?;
        }
        expiring::check_stores(&spec, &stores).await?;
        let plan = plan.for_stores(&stores);
        privileges::check(&spec, &stores, &plan, true, global.json).await?;
        if !global.json {
            if has_controller {
                tables::warn_of_another_spec(global, &spec).await?;
            }
            warned::of_both(&stores).await?;
        }
        dry_run::say(
            global,
            verb,
            &spec,
            &dry_run::Opened::Both(stores),
            &plan,
            self.full,
            no_ledger.as_deref(),
        )
        .await
    }

    /// Says what has to come first, if the controller would refuse it now.
    async fn check(&self, global: &Global, kind: v1::PassKind) -> anyhow::Result<()> {
        let spec = self.read()?;
        let mut jobs = global.of_spec(&spec).jobs().await?;
        let plan = Plan::of(&spec, kind, actor_or_user(None));
        answer(jobs.create_job(v1::CreateJobRequest { dry_run: true, ..plan.request() })).await.map(drop)
    }

    async fn run(
        &self,
        global: &Global,
        kind: v1::PassKind,
        more: impl FnOnce(&mut Plan),
    ) -> anyhow::Result<(v1::Evidence, Useless)> {
        let spec = self.read()?;
        expiring::check(&spec, kind)?;
        let global = &global.of_spec(&spec);
        // Before stores are opened, and tables made.
        global.channel().await?;
        let stores = self.stores_of(global, &spec).await?;
        let mut plan = Plan::of(&spec, kind, actor_or_user(None)).for_stores(&stores);
        plan.access = global.access()?;
        plan.new_tables.clone_from(&self.new_tables);
        plan.reason = self.reason.clone().unwrap_or_default();
        more(&mut plan);
        privileges::check(&spec, &stores, &plan, false, global.json).await?;
        expiring::check_stores(&spec, &stores).await?;
        triggers::check(global, &spec, kind, &stores).await?;
        if !global.json {
            tables::warn_of_another_spec(global, &spec).await?;
            warned::of_both(&stores).await?;
            let written = plan.writes();
            let unmapped = stores.side(written.other()).unmapped().await?;
            dry_run::left_behind(&spec, written.other(), &unmapped).iter().for_each(|line| out::error(line));
            let kept = stores.side(written).unmapped().await?;
            dry_run::kept(written, &kept).iter().for_each(|line| out::error(line));
        }
        let plan = stores.measured(plan).await;
        let progress = Progress::new(kind, global.json);
        let done = worker::run(&global.server, &stores, &plan, progress.callback(), out::stop_signal()).await;
        let useless = progress.end();
        Ok((done.map_err(failed)?, useless))
    }
}

/// Reads a spec file.
pub(super) fn read(path: &Path) -> anyhow::Result<Spec> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let advice =
            if path.exists() { "" } else { ". Give the spec file, which names both stores: docs/spec.md" };
        Failure::unreadable(&shown.to_string(), &error, advice)
    })?;
    Spec::read(&text).map_err(|mistakes| {
        let many =
            if mistakes.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
        let reasons = mistakes.iter().map(|mistake| Reason::mistake(mistake.to_string())).collect();
        Failure::refused(format!("{shown} has {many}"), reasons).into()
    })
}

/// Whether a store can't be opened because its table is not there. SQLite's file is made with its table.
pub(super) fn is_absent(error: &OpenError) -> bool {
    matches!(error, OpenError::Store(told) if told.is_no_table()
        || matches!(told, StoreError::Permanent { field, .. } if field == "file"))
}

fn failed(error: jobs::Error) -> anyhow::Error {
    match error {
        jobs::Error::Controller(status) => failure(&status),
        stopped @ jobs::Error::Stopped => Failure::interrupted(stopped.to_string()).into(),
        other => other.into(),
    }
}

async fn list(global: &Global, key: String) -> anyhow::Result<ExitCode> {
    let mut jobs = global.jobs().await?;
    let listed = answer(jobs.list_jobs(v1::ListJobsRequest { migration: key })).await?.jobs;
    for job in &listed {
        if global.json {
            out::json(&job_json(job));
        } else {
            job_lines(job).iter().for_each(|line| out::line(line));
        }
    }
    if listed.is_empty() && !global.json {
        out::line("no pass is under way");
    }
    Ok(ExitCode::SUCCESS)
}
