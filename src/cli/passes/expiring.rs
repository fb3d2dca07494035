//! Records that expire: whether both stores and the spec agree on the attribute that says so.

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::{
    Store, StoreError, Trigger, Ttl,
    spec::{Spec, StoreUrl},
};
use serde_json::{Value, json};

use super::super::exit::Failure;
use crate::jobs::Stores;

/// A store that removes records by another attribute than the spec's, or although the spec has none. Or one whose triggers
/// take a removal for a program's deletion.
pub(in crate::cli) async fn warning(spec: &Spec, store: &dyn Store) -> Result<Option<String>, StoreError> {
    if spec.ttl.is_some() && !store.created_triggers().await?.is_empty() {
        let drops: Vec<String> = Trigger::drops(&store.triggers()).collect();
        return Ok(Some(format!(
            "it has triggers for programs without the SDK. With ttl, the removal of an expired row would leave a tombstone \
             above newer writes. Stop the programs, then run:\n{}",
            drops.join("\n")
        )));
    }
    let Some(removes_by) = store.removes_by().await? else { return Ok(None) };
    Ok(match spec.ttl.as_ref().map(Ttl::attribute) {
        Some(attribute) if attribute == removes_by => None,
        Some(attribute) => Some(format!(
            "TTL is on for the attribute {removes_by}, but the spec has ttl = {attribute:?}: give both the same attribute, \
             or turn TTL off until the migration is finished"
        )),
        None => Some(format!(
            "TTL is on (attribute {removes_by}): DynamoDB removes expired items without a tombstone, and the other store \
             keeps them. Add ttl = {removes_by:?} to the spec, or turn TTL off until the migration is finished"
        )),
    })
}

/// Refuses a pass if a store removes records that the pass would take for lost, or bring back.
pub(super) async fn check_stores(spec: &Spec, stores: &Stores) -> anyhow::Result<()> {
    check_store("source", spec, &*stores.source).await?;
    check_store("target", spec, &*stores.target).await
}

/// The same for one of them. `name`: which.
pub(super) async fn check_store(name: &str, spec: &Spec, store: &dyn Store) -> anyhow::Result<()> {
    match warning(spec, store).await.with_context(|| format!("the {name}"))? {
        None => Ok(()),
        Some(why) => Err(Failure::refused(format!("the {name}: {why}"), Vec::new()).into()),
    }
}

/// What a dry run says about a store: the attribute by which it removes records. `None`: it is not there.
pub(super) async fn told(store: Option<&dyn Store>) -> Result<Option<String>, StoreError> {
    match store {
        Some(store) => store.removes_by().await,
        None => Ok(None),
    }
}

/// The line of a dry run, if the spec has `ttl`.
pub(super) fn line(spec: &Spec, removes_by: &[Option<String>; 2]) -> Option<String> {
    let attribute = spec.ttl.as_ref()?.attribute();
    let of_side = |url: &StoreUrl, removes_by: &Option<String>| match (removes_by, url.dialect()) {
        (Some(by), _) => format!("removes records by {by}"),
        (None, Some(_)) => "removes none by itself".to_owned(),
        (None, None) => "has its TTL off, or does not say".to_owned(),
    };
    let [source, target] = removes_by;
    let (source, target) = (of_side(&spec.source.url, source), of_side(&spec.target.url, target));
    Some(format!("records expire by {attribute}: the source {source}; the target {target}"))
}

/// The same for programs.
pub(super) fn to_json(spec: &Spec, [source, target]: &[Option<String>; 2]) -> Value {
    json!({ "ttl": spec.ttl.as_ref().map(Ttl::attribute), "source": source, "target": target })
}

/// A sweep leaves the target without records that reads would have to find in the source.
pub(super) fn check(spec: &Spec, kind: v1::PassKind) -> anyhow::Result<()> {
    if kind == v1::PassKind::Sweep && spec.ttl.is_some() {
        let what = "a sweep is refused while records expire (ttl), because reads at target-first then ask the target \
                    alone. Run: cutover backfill SPEC";
        return Err(Failure::refused(what, Vec::new()).into());
    }
    Ok(())
}
