//! A target without its table: whether one may be made.

use cutover_proto::v1;
use cutover_store::spec::{Missing, Spec};
use tonic::Code;

use super::{Global, PassArgs, Stores, is_absent};
use crate::cli::{actor_or_user, connect::answer};

impl PassArgs {
    /// Both stores. Neither makes a table in place of one that is in use, nor advises that.
    pub(super) async fn stores_of(&self, global: &Global, spec: &Spec) -> anyhow::Result<Stores> {
        if self.create_tables && is_without_table(spec).await {
            ask(global, spec, false).await?;
        }
        let stores = self.stores(spec).await;
        if stores.is_err() && global.channel().await.is_ok() && is_without_table(spec).await {
            check(global, spec).await?;
        }
        stores
    }
}

async fn is_without_table(spec: &Spec) -> bool {
    let lookup = |name: &str| std::env::var(name).ok();
    spec.target.open(Missing::Refuse, lookup).await.is_err_and(|error| is_absent(&error))
}

/// Fails if somebody reads the target, or has written to it alone.
pub(in crate::cli) async fn check(global: &Global, spec: &Spec) -> anyhow::Result<()> {
    ask(global, spec, true).await
}

/// The same. Unless it is a dry run, earlier passes open no gate any more.
async fn ask(global: &Global, spec: &Spec, dry_run: bool) -> anyhow::Result<()> {
    let request = v1::CreateJobRequest {
        migration: spec.migration.clone(),
        kind: v1::PassKind::Full.into(),
        actor: actor_or_user(None),
        makes_target: true,
        dry_run,
        ..Default::default()
    };
    let mut jobs = global.of_spec(spec).jobs().await?;
    match jobs.create_job(request).await {
        // It was not created yet.
        Err(status) if status.code() == Code::NotFound => Ok(()),
        answered => answer(async { answered }).await.map(drop),
    }
}
