//! Passes beside triggers for programs without the SDK.
//!
//! The triggers stamp what an application's own trigger or a cascade writes within a write of the SDK or of a reverse pass. The
//! stamp says that this record of the source is newer than what only the target has, and it is not: docs/protocol.md, "Programs
//! without the SDK".

use anyhow::Context as _;
use cutover_proto::v1;
use cutover_store::{Trigger, spec::Spec};
use tonic::Code;

use super::{
    super::{Global, connect::answer, exit::Failure},
    Stores,
};

/// Fails if the source has triggers, and the pass would open the way to writes in the target alone, or end it.
pub(super) async fn check(
    global: &Global,
    spec: &Spec,
    kind: v1::PassKind,
    stores: &Stores,
) -> anyhow::Result<()> {
    if !matches!(kind, v1::PassKind::Full | v1::PassKind::Sweep | v1::PassKind::Reverse) {
        return Ok(());
    }
    let created = stores.source.created_triggers().await.context("the source")?;
    let is_reverse = kind == v1::PassKind::Reverse;
    if created.is_empty() || !is_reverse && !is_somebody_at_mirrored(global, spec).await? {
        return Ok(());
    }
    let why = match is_reverse {
        true => "what it writes there could make them stamp records as newer than what only the target has",
        false => "with somebody at mirrored or above, no pass copies what their programs write after it",
    };
    let drops: Vec<String> = Trigger::drops(&stores.source.triggers()).collect();
    let message = format!(
        "the source has triggers for programs without the SDK: {why}. Stop the programs, then run:\n{}",
        drops.join("\n")
    );
    Err(Failure::refused(message, Vec::new()).into())
}

/// Also whether somebody is asked to be there. At a migration that was not created yet nobody is.
async fn is_somebody_at_mirrored(global: &Global, spec: &Spec) -> anyhow::Result<bool> {
    let is_above = |rung| {
        matches!(rung, v1::Rung::Mirrored | v1::Rung::Hold | v1::Rung::TargetFirst | v1::Rung::TargetOnly)
    };
    let mut admin = global.admin().await?;
    let key = spec.migration.clone();
    let status = match admin.get_status(v1::GetStatusRequest { key: key.clone() }).await {
        Err(status) if status.code() == Code::NotFound => return Ok(false),
        answered => answer(async { answered }).await?,
    };
    let migration = status.migration.unwrap_or_default();
    let goal = migration.goal.unwrap_or_default();
    if goal.mirrored_ppm > 0 || status.shares.iter().any(|share| is_above(share.rung())) {
        return Ok(true);
    }
    if migration.pins == 0 {
        return Ok(false);
    }
    let mut after = String::new();
    loop {
        let request = v1::ListPinsRequest { key: key.clone(), page_size: 10_000, after };
        let page = answer(admin.list_pins(request)).await?;
        if page.pins.iter().any(|pin| is_above(pin.rung())) {
            return Ok(true);
        }
        if page.next.is_empty() {
            return Ok(false);
        }
        after = page.next;
    }
}
