//! What the user of a store may not do: said before anything moves.

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::{
    Store,
    spec::{Spec, StoreUrl},
};

use super::super::out;
use crate::jobs::{Plan, Stores, side::Side};

/// Fails if the user may not write what the pass writes. What it only reads gets a warning, because a service may write
/// there, perhaps as another user. So does DynamoDB, where a policy may name keys, and refuse the check but no record.
pub(super) async fn check(spec: &Spec, stores: &Stores, plan: &Plan, json: bool) -> anyhow::Result<()> {
    let (writes, reads) = (plan.writes(), plan.writes().other());
    let is_read_only = !plan.repair && matches!(plan.kind, v1::PassKind::Verify | v1::PassKind::Sample);
    let of_writes = if writes == Side::Source { &spec.source } else { &spec.target };
    let of_written = missing(stores.side(writes), writes.name()).await?;
    let mut others = missing(stores.side(reads), reads.name()).await?;
    let (told, of_written) = match is_read_only || matches!(of_writes.url, StoreUrl::DynamoDb { .. }) {
        true => (of_written, Vec::new()),
        false => (Vec::new(), of_written),
    };
    if is_read_only {
        others.extend(told);
    } else {
        if !json {
            told.iter().for_each(|what| out::error(&format!("warning: a write may be refused: {what}")));
        }
        let of_quarantine = match &stores.quarantine {
            Some(store) => missing(&**store, "quarantine").await?,
            None => Vec::new(),
        };
        if stores.quarantine.is_none() && !json {
            out::error(&format!(
                "warning: there is no quarantine table {:?}, so the first record that does not fit ends the pass. \
                 Run this with --create-tables, which creates it",
                spec.quarantine_table
            ));
        }
        let all: Vec<String> = of_written.into_iter().chain(of_quarantine).collect();
        if !all.is_empty() {
            let list: String = all.iter().map(|what| format!("\n- {what}")).collect();
            anyhow::bail!("nothing was written, because privileges are missing:{list}");
        }
    }
    if !json {
        others
            .iter()
            .for_each(|what| out::error(&format!("warning: a service could not write here: {what}")));
    }
    Ok(())
}

async fn missing(store: &dyn Store, name: &str) -> anyhow::Result<Vec<String>> {
    let missing = store.missing_privileges().await.with_context(|| format!("the {name}"))?;
    Ok(missing.iter().map(|what| format!("the {name}: {}", out::one_line(what))).collect())
}
