//! What may happen to single records: said before anything moves.

use anyhow::Context as _;
use cutover_store::Store;

use super::super::out;
use crate::jobs::Stores;

pub(super) async fn of_both(stores: &Stores) -> anyhow::Result<()> {
    of("source", &*stores.source).await?;
    of("target", &*stores.target).await
}

/// `name`: which store it is.
pub(super) async fn of(name: &str, store: &dyn Store) -> anyhow::Result<()> {
    let warnings = store.warnings().await.with_context(|| format!("the {name}"))?;
    warnings.iter().for_each(|it| out::error(&format!("warning: the {name}: {}", out::one_line(it))));
    Ok(())
}
