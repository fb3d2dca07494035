//! Verbs that look.

use std::{cell::RefCell, process::ExitCode, time::Duration};

use cutover_core::{
    routing::Rung,
    wire::{reason_from_wire, rung_from_wire, stage_from_wire},
};
use cutover_proto::v1;
use serde_json::json;

use super::{
    Global, actor_or_user,
    connect::{answer, failure},
    duration, history, out, render,
};
use crate::view::{self, View};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Where one tenant goes now, for people
    ///
    /// No step waits for this answer, so no service may route by it: use an SDK, a sidecar or the API's Decide.
    Decide {
        /// The migration
        key: String,
        /// The tenant
        tenant: String,
    },
    /// Why a tenant is at its stage, and what it waits for
    Explain {
        /// The migration
        key: String,
        /// The tenant
        tenant: String,
    },
    /// What a migration is doing, why, and what to do next
    Status {
        /// The migration
        key: String,
        /// Keep watching: redraw until q or Ctrl-C
        #[arg(short, long)]
        watch: bool,
    },
    /// What happened, newest first
    History(history::Args),
    /// The pinned tenants
    Pins {
        /// The migration
        key: String,
    },
    /// The instances and what each has acknowledged
    Instances {
        /// Say who has settled the newest step of this migration
        key: Option<String>,
    },
    /// Declare instances dead; evicting a live one loses writes
    ///
    /// Ramps no longer wait for an evicted instance. One that still reports is refused.
    Evict {
        /// Its id, or ID#INCARNATION as `cutover instances` shows it if several processes have one id
        #[arg(required_unless_present = "lost")]
        instance: Option<String>,
        /// All instances that are lost; with an id, only its lost processes
        #[arg(long)]
        lost: bool,
        /// Also an instance that still reports, if it can't be stopped: writes that it has in flight may be lost
        #[arg(long, requires = "instance", conflicts_with = "lost")]
        force: bool,
        /// Only those that have been silent for longer, such as 30s or 5m
        #[arg(long, requires = "lost", value_name = "DURATION", value_parser = duration::parse)]
        older_than: Option<Duration>,
        /// Only those of this service
        #[arg(long, requires = "lost")]
        service: Option<String>,
        /// How you know; required
        #[arg(long)]
        reason: String,
        /// Only say who would be evicted
        #[arg(long)]
        dry_run: bool,
        /// Who makes the change [env: CUTOVER_ACTOR] [default: operator:$USER]
        #[arg(long)]
        actor: Option<String>,
    },
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self {
            Self::Decide { key, tenant } => decide(global, key, tenant).await?,
            Self::Status { key, watch: true } => watch(global, key).await?,
            Self::Status { key, watch: false } => {
                let status = answer(global.admin().await?.get_status(v1::GetStatusRequest { key })).await?;
                show_status(global, &status);
            }
            Self::Explain { key, tenant } => {
                let request = v1::ExplainRequest { key, tenant };
                let explained = answer(global.admin().await?.explain(request)).await?;
                if global.json {
                    out::json(&render::explain_json(&explained));
                } else {
                    let rung = render::rung(explained.rung);
                    out::line(&format!(
                        "tenant {} of {} is at {rung}",
                        explained.tenant, explained.migration
                    ));
                    explained.story.iter().for_each(|line| out::line(&format!("  {line}")));
                }
            }
            Self::History(asked) => history::run(global, asked).await?,
            Self::Pins { key } => pins(global, key).await?,
            Self::Instances { key } => {
                let request = v1::ListInstancesRequest { key: key.unwrap_or_default() };
                let listed = answer(global.admin().await?.list_instances(request)).await?;
                if global.json {
                    listed.instances.iter().for_each(|it| out::json(&render::instance_json(it)));
                } else if listed.instances.is_empty() {
                    out::line("no instances: services register when they start with the SDK");
                } else {
                    render::instance_table(&listed.instances).iter().for_each(|line| out::line(line));
                }
            }
            Self::Evict { instance, lost, force, older_than, service, reason, dry_run, actor } => {
                let filters = [older_than.map(|_| "--older-than"), service.as_ref().map(|_| "--service")];
                let filters = filters.into_iter().flatten().collect::<Vec<_>>().join(" and ");
                let request = v1::EvictInstanceRequest {
                    instance_id: instance.unwrap_or_default(),
                    actor: actor_or_user(actor),
                    reason,
                    lost,
                    older_than_ms: older_than.unwrap_or_default().as_millis() as u64,
                    service: service.unwrap_or_default(),
                    force,
                    dry_run,
                };
                let answered = answer(global.admin().await?.evict_instance(request)).await?;
                let evicted = answered.evicted;
                match global.json {
                    true if dry_run => {
                        evicted.iter().for_each(|id| out::json(&json!({ "evicted": id, "dry_run": true })));
                    }
                    true => evicted.iter().for_each(|id| out::json(&json!({ "evicted": id }))),
                    false if evicted.is_empty() && !filters.is_empty() => out::line(&format!(
                        "nobody was evicted: no lost instance matches {filters}: cutover instances shows who is lost, \
                         since when, and of which service",
                    )),
                    false if evicted.is_empty() => out::line(
                        "nobody was evicted: no lost instance matches. One is lost 10 s after its last report, or after \
                         the controller's start; one that is gone and left a snapshot file is evicted by its name only: \
                         cutover instances",
                    ),
                    false if dry_run => answered.changes.iter().for_each(|it| {
                        out::line(&format!("dry run: {it}"));
                    }),
                    false => evicted.iter().for_each(|id| out::line(&format!("evicted {id}"))),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn decide(global: &Global, migration: String, tenant: String) -> anyhow::Result<()> {
    let (key, look_up_only) = (migration.clone(), true);
    let request = v1::DecideRequest { migration: key, tenant: tenant.clone(), look_up_only };
    let decided = answer(global.routing().await?.decide(request)).await?;
    let (stage, rung) = (stage_from_wire(decided.stage)?, rung_from_wire(decided.rung)?);
    let (reason, revision) = (reason_from_wire(decided.reason)?, decided.revision);
    if global.json {
        out::json(&json!({
            "migration": migration, "tenant": tenant, "stage": stage.name(), "rung": rung.name(),
            "revision": revision, "reason": reason.name(), "valid_for_ms": decided.valid_for_ms,
        }));
    } else {
        let does = what_it_does(rung);
        out::line(&format!("{stage} (rung {rung}, by {reason}, revision {revision}): {does}"));
    }
    Ok(())
}

/// What reads and writes do at a rung.
const fn what_it_does(rung: Rung) -> &'static str {
    match rung {
        Rung::SourceOnly => "reads and writes the source",
        Rung::Dual => "reads the source; writes the source, then the target, whose errors are only counted",
        Rung::Mirrored => "reads the source; writes the source, then the target, and both have to succeed",
        Rung::Hold => "waits a moment between two stages",
        Rung::TargetFirst => "reads the target, else the source; writes the source, then the target",
        Rung::TargetOnly => "reads and writes the target",
    }
}

async fn pins(global: &Global, key: String) -> anyhow::Result<()> {
    let mut admin = global.admin().await?;
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let request = v1::ListPinsRequest { key: key.clone(), page_size: 0, after };
        let page = answer(admin.list_pins(request)).await?;
        for pin in page.pins {
            let (to, at) = (render::rung(pin.rung), render::rung(pin.at));
            if global.json {
                out::json(&json!({ "tenant": pin.tenant, "rung": to, "at": at }));
            } else {
                rows.push([pin.tenant, to.to_owned(), at.to_owned()]);
            }
        }
        if page.next.is_empty() {
            break;
        }
        after = page.next;
    }
    if !rows.is_empty() {
        render::table(["TENANT", "PINNED TO", "NOW AT"], &rows).iter().for_each(|line| out::line(line));
    } else if !global.json {
        out::line("no tenant is pinned");
    }
    Ok(())
}

fn show_status(global: &Global, status: &v1::Status) {
    if global.json {
        out::json(&render::status_json(status));
    } else {
        render::status_page(status, out::columns()).iter().for_each(|line| out::line(line));
    }
}

/// Redraws in place on a terminal; else prints what changes, a line or an object each. Goes on when
/// the controller is back.
async fn watch(global: &Global, key: String) -> anyhow::Result<()> {
    let live = console::Term::stdout().is_term() && !global.json;
    let (told, is_drawn) = (RefCell::new(String::new()), tokio::sync::Notify::new());
    let changed = |view: &mut View| {
        if live {
            is_drawn.notify_one();
            return Ok(view.draw("q or Ctrl-C ends this")?);
        }
        let line = view.line();
        if told.replace(line.clone()) != line {
            match view.status() {
                _ if view.is_lost() => out::error(&line),
                Some(status) if global.json => out::json(&render::status_json(status)),
                _ => out::line(&line),
            }
        }
        Ok(())
    };
    // The key is read only once there is a page: an error before leaves the terminal as it was.
    let page = RefCell::new(View::default());
    let quit = async {
        is_drawn.notified().await;
        view::quit().await;
    };
    tokio::select! {
        ended = view::follow(&page, &key, async || global.admin().await, failure, changed) => ended,
        () = quit => Ok(()),
    }
}
