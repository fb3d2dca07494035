//! A spec file, the stores that it names, and the migration that it is for.

use std::{path::Path, time::Duration};

use cutover_proto::v1;
use cutover_store::{
    Identity, Store, StoreError,
    spec::{Missing, OpenError, Spec, StoreSpec},
};

use super::{Global, Report, migrations};
use crate::cli::{connect::answer, passes};

/// How long a store may take for one question.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn check(global: &Global, path: &Path, report: &mut Report) {
    report.begin(format!("spec {}", path.display()));
    let spec = match passes::read(path) {
        Ok(spec) => spec,
        Err(error) => return report.fail_with(&error),
    };
    report.ok(format!("it has no mistakes (migration {})", spec.migration));
    let is_known = migration(&global.of_spec(&spec), &spec, report).await;
    let source = side("source", &spec, &spec.source, report).await.unwrap_or_else(|error| {
        report.fail(format!("the source: {error}"), "");
        None
    });
    let target = match side("target", &spec, &spec.target, report).await {
        Ok(target) => target,
        Err(error) => {
            if passes::is_absent(&error) {
                no_table(global, &spec, is_known, &error, report).await;
            } else {
                report.fail(format!("the target: {error}"), "");
            }
            None
        }
    };
    if is_known
        && source.is_some()
        && target.is_some()
        && let Err(refused) = passes::tables::check_these(global, &spec, [source, target]).await
    {
        report.fail_with(&refused);
    }
}

/// Whether its controller has the migration, and how that is doing.
async fn migration(global: &Global, spec: &Spec, report: &mut Report) -> bool {
    let key = &spec.migration;
    let found = match global.admin().await {
        Ok(mut admin) => answer(admin.get_status(v1::GetStatusRequest { key: key.clone() })).await,
        Err(error) => Err(error),
    };
    match &found {
        Ok(status) => {
            report.ok(format!("{} has the migration {key}", global.server));
            migrations::one(status, report);
        }
        Err(error) => report.fail(format!("the migration: {error:#}"), ""),
    }
    found.is_ok()
}

/// The target's table is not there. Before the first pass that is no fault.
async fn no_table(global: &Global, spec: &Spec, is_known: bool, error: &OpenError, report: &mut Report) {
    match passes::new_target::check(global, spec).await {
        Err(refused) if is_known => report.fail_with(&refused),
        _ => report.warn(
            format!("the target: {error}"),
            "Before the first pass, cutover backfill --create-tables creates it",
        ),
    }
}

/// One of its stores, opened as a pass opens it. Nothing is created. Returns its identity, or why it can't be opened.
async fn side(
    name: &str,
    spec: &Spec,
    store: &StoreSpec,
    report: &mut Report,
) -> Result<Option<Identity>, OpenError> {
    let lookup = |name: &str| std::env::var(name).ok();
    let Some(opened) = within(store.open(Missing::Refuse, lookup)).await else {
        silent(name, report);
        return Ok(None);
    };
    let opened = opened?;
    match within(look(spec, &*opened)).await {
        Some(Ok(looked)) => return Ok(looked.tell(name, report)),
        Some(Err(error)) => report.fail(format!("the {name}: {error}"), ""),
        None => silent(name, report),
    }
    Ok(None)
}

struct Looked {
    identity: Option<Identity>,
    missing: Vec<String>,
    warnings: Vec<String>,
    /// Why passes are refused.
    refused: Option<String>,
}

impl Looked {
    fn tell(self, name: &str, report: &mut Report) -> Option<Identity> {
        let place = self.identity.as_ref().map_or("a table that it can't name", |it| &it.place);
        report.ok(format!("the {name} answers: {place}"));
        for what in self.missing {
            report.warn(
                format!("the {name}: {what}"),
                "A pass that writes there is refused, and services fail",
            );
        }
        self.warnings.iter().for_each(|what| report.warn(format!("the {name}: {what}"), ""));
        self.refused.iter().for_each(|what| report.fail(format!("the {name}: {what}"), ""));
        self.identity
    }
}

async fn look(spec: &Spec, store: &dyn Store) -> Result<Looked, StoreError> {
    Ok(Looked {
        identity: store.identity().await?,
        missing: store.missing_privileges().await?,
        warnings: store.warnings().await?,
        refused: passes::expiring::warning(spec, store).await?,
    })
}

fn silent(name: &str, report: &mut Report) {
    let message = format!("the {name} gave no answer in {} s", PATIENCE.as_secs());
    report.fail(message, "Check its address, and the network between");
}

async fn within<T>(call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, call).await.ok()
}
