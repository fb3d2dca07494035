//! What a process routes by when the store of its controller was restored, and what it tells about that.

use std::{collections::HashSet, sync::Arc, time::Duration};

use cutover_proto::v1;

use super::{Source, link::Held};
use crate::{
    routing::{Route, Snapshot, Table},
    wire::{self, UpdateKind},
};

/// Maximum number of tenants of one migration that a registration names.
const EXCEPTIONS_MAX: usize = 1_000;

/// Keeps the tables of migrations whose controller does not know where tenants stand, because its store was
/// restored. Nobody moves before that is confirmed, so what was safe before stays safe. `unheard`: how long
/// this process may not have heard the controller; `None`: it may have been given up. Returns the migrations
/// that it has kept.
pub(super) fn keep(
    held: &Held,
    history_id: &str,
    unheard: Option<Duration>,
    snapshot: &mut Snapshot,
    kind: UpdateKind,
) -> HashSet<Arc<str>> {
    let is_of_this = held.history_id == history_id;
    if is_of_this && kind == UpdateKind::Delta {
        // A delta changes nothing that is kept.
        return held.kept.iter().filter(|key| snapshot.table(key).is_ok()).cloned().collect();
    }
    let mut kept = HashSet::new();
    for (key, table) in held.snapshot.tables() {
        let continues = continues(table, unheard);
        let may_keep = if is_of_this { held.kept.contains(key) } else { continues };
        let is_unknown =
            snapshot.table(key).is_ok_and(|theirs| theirs.is_restored() && theirs.salt() == table.salt());
        if may_keep && is_unknown && !table.is_restored() {
            snapshot.insert(key, Ok(table.clone()));
            kept.insert(key.into());
        }
    }
    kept
}

/// Whether nobody can have gone on without a process that did not hear the controller for so long.
fn continues(table: &Table, unheard: Option<Duration>) -> bool {
    let fence = Duration::from_millis(table.policy().fence_after_ms.into());
    unheard.is_some_and(|unheard| fence.is_zero() || unheard < fence)
}

/// What is routed by now, if the controller sent it, and others can't have gone on without this process.
/// `unheard`: as for [`keep`].
pub(super) fn held_tables(held: &Held, unheard: Option<Duration>) -> Vec<v1::HeldTable> {
    let known = held.snapshot.tables().filter(|(_, table)| {
        held.source == Source::Controller && !table.is_restored() && continues(table, unheard)
    });
    known
        .map(|(key, table)| v1::HeldTable {
            migration: key.to_owned(),
            salt: table.salt().to_owned(),
            bands: table.bands().iter().copied().map(Into::into).collect(),
            overrides: exceptions(table).take(EXCEPTIONS_MAX).collect(),
        })
        .collect()
}

/// Tenants whose writes are in the target alone while those of their bucket are not, or the other way round.
fn exceptions(table: &Table) -> impl Iterator<Item = v1::Override> {
    let differs = |(tenant, route): &(&str, Route)| {
        table.route_of_bucket(table.bucket(tenant)).is_in_target_alone() != route.is_in_target_alone()
    };
    table.overrides().filter(differs).map(|(tenant, route)| wire::override_to_wire(tenant, route))
}
