//! A spec file, the stores that it names, and the migration that it is for.

use std::{path::Path, time::Duration};

use cutover_proto::v1;
use cutover_store::{
    Store, StoreError,
    spec::{Missing, OpenError, Spec, StoreSpec},
};

use super::{Global, Report};
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
    migration(&global.of_spec(&spec), &spec, report).await;
    side("source", &spec.source, report).await;
    side("target", &spec.target, report).await;
}

/// Whether its controller has the migration.
async fn migration(global: &Global, spec: &Spec, report: &mut Report) {
    let key = &spec.migration;
    let found = match global.admin().await {
        Ok(mut admin) => answer(admin.get_migration(v1::GetMigrationRequest { key: key.clone() })).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(_) => report.ok(format!("{} has the migration {key}", global.server)),
        Err(error) => report.fail(format!("the migration: {error:#}"), ""),
    }
}

/// One of its stores, opened as a pass opens it. Nothing is created.
async fn side(name: &str, store: &StoreSpec, report: &mut Report) {
    let lookup = |name: &str| std::env::var(name).ok();
    let opened = match within(store.open(Missing::Refuse, lookup)).await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => return not_opened(name, &error, report),
        None => return silent(name, report),
    };
    let Some(looked) = within(look(&*opened)).await else { return silent(name, report) };
    let Looked { place, missing, warnings } = match looked {
        Ok(looked) => looked,
        Err(error) => return report.fail(format!("the {name}: {error}"), ""),
    };
    let place = place.unwrap_or_else(|| "a table that it can't name".to_owned());
    report.ok(format!("the {name} answers: {place}"));
    for what in missing {
        report.warn(format!("the {name}: {what}"), "A pass that writes there is refused, and services fail");
    }
    warnings.iter().for_each(|what| report.warn(format!("the {name}: {what}"), ""));
}

struct Looked {
    place: Option<String>,
    missing: Vec<String>,
    warnings: Vec<String>,
}

async fn look(store: &dyn Store) -> Result<Looked, StoreError> {
    Ok(Looked {
        place: store.identity().await?.map(|identity| identity.place),
        missing: store.missing_privileges().await?,
        warnings: store.warnings().await?,
    })
}

fn not_opened(name: &str, error: &OpenError, report: &mut Report) {
    let is_new = name == "target" && passes::is_absent(error);
    match is_new {
        true => report.warn(
            format!("the {name}: {error}"),
            "Before the first pass, cutover backfill --create-tables creates it",
        ),
        false => report.fail(format!("the {name}: {error}"), ""),
    }
}

fn silent(name: &str, report: &mut Report) {
    let message = format!("the {name} gave no answer in {} s", PATIENCE.as_secs());
    report.fail(message, "Check its address, and the network between");
}

async fn within<T>(call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, call).await.ok()
}
