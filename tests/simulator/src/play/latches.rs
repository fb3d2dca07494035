//! What stays as it is until somebody says otherwise: the level, a ceiling after a rollback, an override.

use cutover::domain::{Migration, Tenant};
use cutover_client::routing::Rung;
use cutover_proto::v1;

use super::with;
use crate::{cast::operator::EMPTY_TENANT, oracle};

/// A migration was changed.
pub(super) fn check(tenants: &[Tenant], before: Option<&Migration>, after: &Migration) {
    let Some(before) = before else { return };
    let levels = [before, after].map(|migration| migration.document.policy.level);
    let elsewhere = tenants.iter().find(|tenant| before.placement(tenant).rung != Rung::SourceOnly);
    if let Some(tenant) = elsewhere.filter(|_| levels[0] != levels[1]) {
        let what = format!("revision {}: {levels:?} while {tenant} is elsewhere", after.revision);
        oracle::fault("level", what);
    }
    let of_tenant = |migration: &Migration, tenant| migration.tenants.get(tenant).and_then(|row| row.ceiling);
    let of_tenants = tenants.iter().map(|tenant| (of_tenant(before, tenant), of_tenant(after, tenant)));
    for (then, now) in [(before.document.ceiling, after.document.ceiling)].into_iter().chain(of_tenants) {
        if let Some((then, now)) = then.zip(now).filter(|(then, now)| now > then) {
            oracle::fault("raised", format!("revision {}: a ceiling from {then} to {now}", after.revision));
        }
    }
}

/// Whether the empty tenant may pass the gate that asks for a full pass, by what was asked for it last.
pub fn note_override(is_overridden: bool) {
    with(|stage| stage.overridden = is_overridden);
}

/// Nobody is asked for what was overridden.
pub(super) fn check_override(status: &v1::Status) {
    let state = status.migration.as_ref().map(v1::Migration::state);
    let is_asked =
        |waiting: &&v1::Waiting| waiting.gate == "full-pass" && waiting.whom.contains(EMPTY_TENANT);
    if let (Some(waiting), Some(v1::State::Ramping), true) =
        (status.waiting.iter().find(is_asked), state, with(|stage| stage.overridden))
    {
        oracle::fault_once("revoked", format!("{}: {}", waiting.whom, waiting.message));
    }
}
