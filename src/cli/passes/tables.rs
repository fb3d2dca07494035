//! What the controller says of stores before anything is read, written or made.

use cutover_proto::v1;
use cutover_store::{Identity, spec::Spec};
use tonic::Code;

use super::{Global, Stores};
use crate::{
    cli::{actor_or_user, connect::answer, out},
    jobs::identity::{Identities, to_wire},
};

/// Fails if earlier passes of this migration had other tables.
pub(super) async fn check(global: &Global, spec: &Spec, stores: &Stores) -> anyhow::Result<()> {
    let Identities { source, target } = stores.identities().await?;
    check_these(global, spec, [source, target]).await
}

/// The same for tables that somebody has identified.
pub(in crate::cli) async fn check_these(
    global: &Global,
    spec: &Spec,
    tables: [Option<Identity>; 2],
) -> anyhow::Result<()> {
    let kind = v1::PassKind::Sample.into();
    let [source, target] = tables.map(to_wire);
    // Without segments: no other pass of its kind is in its way.
    ask(global, spec, v1::CreateJobRequest { kind, source, target, dry_run: true, ..Default::default() })
        .await
}

/// Asks for a pass. A migration that was not created yet has nothing against it.
pub(super) async fn ask(global: &Global, spec: &Spec, pass: v1::CreateJobRequest) -> anyhow::Result<()> {
    let request =
        v1::CreateJobRequest { migration: spec.migration.clone(), actor: actor_or_user(None), ..pass };
    let mut jobs = global.of_spec(spec).jobs().await?;
    match jobs.create_job(request).await {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        answered => answer(async { answered }).await.map(drop),
    }
}

/// Says that an earlier pass had another spec. Rows that it and services with that spec have written may be unreadable.
pub(super) async fn warn_of_another_spec(global: &Global, spec: &Spec) -> anyhow::Result<()> {
    let mut admin = global.of_spec(spec).admin().await?;
    let status = match admin.get_status(v1::GetStatusRequest { key: spec.migration.clone() }).await {
        Err(status) if status.code() == Code::NotFound => return Ok(()),
        answered => answer(async { answered }).await?,
    };
    let evidence = status.migration.map(|migration| migration.evidence).unwrap_or_default();
    let newest = evidence.iter().rev().find(|pass| !pass.fingerprint.is_empty());
    // A pass adds its options.
    if let Some(pass) = newest.filter(|pass| !pass.fingerprint.starts_with(&spec.fingerprint())) {
        out::error(&format!(
            "warning: the pass before, {}, had another spec: its stores, columns, record types, ttl or segments differ. \
             This one may not be able to read rows that were written by that one: docs/spec.md, \"Changing a spec\"",
            pass.job
        ));
    }
    Ok(())
}
