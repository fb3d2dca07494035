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
/// there, perhaps as another user.
///
/// DynamoDB is asked by a put. So only the table that a pass is going to write is asked: a role that reads, or tries a dry
/// run, need not be allowed to put. It gets a warning, because a policy may name keys, and refuse that put but no record.
pub(super) async fn check(
    spec: &Spec,
    stores: &Stores,
    plan: &Plan,
    is_dry: bool,
    json: bool,
) -> anyhow::Result<()> {
    let is_read_only = !plan.repair && matches!(plan.kind, v1::PassKind::Verify | v1::PassKind::Sample);
    let is_dynamodb = |side| {
        let store = if side == Side::Source { &spec.source } else { &spec.target };
        matches!(store.url, StoreUrl::DynamoDb { .. })
    };
    let (mut refused, mut warnings) = (Vec::new(), Vec::new());
    for side in [plan.writes(), plan.writes().other()] {
        let is_written = !is_read_only && side == plan.writes();
        if is_dynamodb(side) && (is_dry || !is_written) {
            continue;
        }
        let missing = missing(stores.side(side), side.name()).await?;
        match (is_written, is_dynamodb(side)) {
            (true, false) => refused.extend(missing),
            (true, true) => warnings.extend(missing.iter().map(|it| format!("a write may be refused: {it}"))),
            (false, _) => {
                warnings.extend(missing.iter().map(|it| format!("a service could not write here: {it}")));
            }
        }
    }
    // The quarantine is in the target, unless that is DynamoDB.
    let is_in_sql = !is_dynamodb(Side::Target) || !is_dynamodb(Side::Source);
    if let Some(quarantine) = stores.quarantine.as_deref().filter(|_| !is_read_only && is_in_sql) {
        refused.extend(missing(quarantine, "quarantine").await?);
    }
    if !refused.is_empty() {
        let list: String = refused.iter().map(|what| format!("\n- {what}")).collect();
        anyhow::bail!("nothing was written, because privileges are missing:{list}");
    }
    if stores.quarantine.is_none() && !is_read_only {
        warnings.push(format!(
            "there is no quarantine table {:?}, so the first record that does not fit ends the pass. Run this with \
             --create-tables, which creates it",
            spec.quarantine_table
        ));
    }
    if !json {
        warnings.iter().for_each(|what| out::error(&format!("warning: {what}")));
    }
    Ok(())
}

async fn missing(store: &dyn Store, name: &str) -> anyhow::Result<Vec<String>> {
    let missing = store.missing_privileges().await.with_context(|| format!("the {name}"))?;
    Ok(missing.iter().map(|what| format!("the {name}: {}", out::one_line(what))).collect())
}
