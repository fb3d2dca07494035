//! A target without its table: whether one may be made.

use cutover_proto::v1;
use cutover_store::{
    StoreError,
    spec::{Missing, OpenError, Spec},
};

use super::{super::out, Global, PassArgs, Stores, is_absent, tables};

impl PassArgs {
    /// Both stores. Neither makes a table in place of one that is in use, nor advises that. Says what it has made, also in a
    /// dry run.
    pub(super) async fn stores_of(&self, global: &Global, spec: &Spec) -> anyhow::Result<Stores> {
        let mut is_made = false;
        if self.create_tables {
            match opened(spec).await {
                Err(error) if is_absent(&error) => {
                    ask(global, spec, false).await?;
                    is_made = true;
                }
                // Nobody knows whether the table is there.
                Err(
                    error @ OpenError::Store(StoreError::NotApplied { .. } | StoreError::Throttled { .. }),
                ) => {
                    return Err(anyhow::Error::new(error).context("the target"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let stores = self.stores(spec).await;
        if stores.is_err()
            && global.channel().await.is_ok()
            && opened(spec).await.is_err_and(|error| is_absent(&error))
        {
            check(global, spec).await?;
        }
        // Also if the source is at fault.
        if is_made && !global.json && opened(spec).await.is_ok() {
            let tables: Vec<_> = spec.target.tables().map(|(_, store)| store.table.as_str()).collect();
            out::text(&format!("created in the target, where it was missing: {}", tables.join(", ")));
        }
        stores
    }
}

/// Whether the target can be opened as it is.
async fn opened(spec: &Spec) -> Result<(), OpenError> {
    let lookup = |name: &str| std::env::var(name).ok();
    spec.target.open(Missing::Refuse, lookup).await.map(drop)
}

/// Fails if somebody reads the target, or has written to it alone.
pub(in crate::cli) async fn check(global: &Global, spec: &Spec) -> anyhow::Result<()> {
    ask(global, spec, true).await
}

/// The same. Unless it is a dry run, earlier passes open no gate any more.
async fn ask(global: &Global, spec: &Spec, dry_run: bool) -> anyhow::Result<()> {
    let kind = v1::PassKind::Full.into();
    let pass = v1::CreateJobRequest { kind, makes_target: true, dry_run, ..Default::default() };
    tables::ask(global, spec, pass).await
}
