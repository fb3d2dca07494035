//! What the controller says of stores before anything is read, written or made.

use cutover_proto::v1;
use cutover_store::spec::Spec;
use tonic::Code;

use super::{Global, Stores};
use crate::cli::{actor_or_user, connect::answer};

/// Fails if earlier passes of this migration had other tables.
pub(super) async fn check(global: &Global, spec: &Spec, stores: &Stores) -> anyhow::Result<()> {
    let [source, target] = stores.identities_for_wire().await?;
    let kind = v1::PassKind::Sample.into();
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
