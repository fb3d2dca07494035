//! What may happen to single records: said before anything moves.

use anyhow::Context as _;
use cutover_store::{Store, StoreError, spec::Spec};

use super::{super::out, expiring};
use crate::jobs::Stores;

pub(super) async fn of_both(spec: &Spec, stores: &Stores) -> anyhow::Result<()> {
    for (name, store) in [("source", &stores.source), ("target", &stores.target)] {
        of(name, spec, &**store).await?;
    }
    Ok(())
}

/// `name`: which store it is.
pub(super) async fn of(name: &str, spec: &Spec, store: &dyn Store) -> anyhow::Result<()> {
    let warnings = about(spec, store).await.with_context(|| format!("the {name}"))?;
    warnings.iter().for_each(|it| out::error(&format!("warning: the {name}: {}", out::one_line(it))));
    Ok(())
}

/// All warnings about one store.
pub(super) async fn about(spec: &Spec, store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let mut warnings = store.warnings().await?;
    warnings.extend(expiring::warning(spec, store).await?);
    Ok(warnings)
}
