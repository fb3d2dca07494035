//! Assembles a new state: collects its parts, then applies them together.

use std::sync::Arc;

use cutover_proto::v1;

use super::{
    names::route_from_wire,
    parts::{bands_from_wire, policy_from_wire},
};
use crate::routing::{OVERRIDES_MAX, Route, Snapshot, Table, check_tenant};

/// How a new state relates to the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// Replaces everything.
    Snapshot,
    /// Adds to the current state.
    Delta,
}

/// A complete state, with every part received.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    /// Snapshot or delta.
    pub kind: UpdateKind,
    /// The revision of the state.
    pub revision: u64,
    /// In the order received; a migration's parts may be spread over several messages.
    pub tables: Vec<v1::TablePart>,
    /// Deleted migrations. They are removed before `tables` are read, so one that was deleted and created
    /// again is in both.
    pub removed: Vec<String>,
    /// Proves to the controller that it sent this state. Empty: it sent none.
    pub seal: String,
}

/// An update that does not fit the current state. Drop it and ask for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Its parts belong to different states.
    #[error("a part of revision {got} came between parts of revision {expected}")]
    Mixed {
        /// The revision of the parts before it.
        expected: u64,
        /// Its own revision.
        got: u64,
    },
    /// A delta to an earlier state.
    #[error("a delta to revision {got} came while revision {held} is held")]
    Backwards {
        /// The current revision.
        held: u64,
        /// The delta's revision.
        got: u64,
    },
    /// A delta of a migration that is unknown, unreadable, or had another salt.
    #[error("a delta of migration {migration:?} came, {what}")]
    Baseless {
        /// The migration's key.
        migration: String,
        /// Why the delta has no base.
        what: &'static str,
    },
}

/// Collects the parts of one state.
#[derive(Debug, Default)]
pub struct Assembly {
    begun: Option<Assembled>,
}

impl Assembly {
    /// Adds a part; returns the state with its last part.
    pub fn add(&mut self, kind: UpdateKind, update: v1::Update) -> Result<Option<Assembled>, Misfit> {
        let v1::Update { revision, mut tables, mut removed, last, seal } = update;
        let state = match self.begun.take() {
            None => Assembled { kind, revision, tables, removed, seal },
            Some(begun) if (begun.kind, begun.revision) != (kind, revision) => {
                return Err(Misfit::Mixed { expected: begun.revision, got: revision });
            }
            Some(mut begun) => {
                begun.tables.append(&mut tables);
                begun.removed.append(&mut removed);
                begun.seal = seal;
                begun
            }
        };
        if last {
            return Ok(Some(state));
        }
        self.begun = Some(state);
        Ok(None)
    }
}

/// Applies a new state to the current one. A migration that can't be read becomes unreadable; no other is
/// affected.
pub fn apply(held: &Snapshot, state: &Assembled) -> Result<Snapshot, Misfit> {
    let mut next = match state.kind {
        UpdateKind::Snapshot => Snapshot::empty(state.revision),
        UpdateKind::Delta if state.revision < held.revision() => {
            return Err(Misfit::Backwards { held: held.revision(), got: state.revision });
        }
        UpdateKind::Delta => held.clone(),
    };
    next.set_revision(state.revision);
    for migration in &state.removed {
        next.remove(migration);
    }
    let mut parts: Vec<&v1::TablePart> = state.tables.iter().collect();
    parts.sort_by(|a, b| a.migration.cmp(&b.migration)); // Stable: keeps the order of a migration's parts.
    for parts in parts.chunk_by(|a, b| a.migration == b.migration) {
        let migration = &parts[0].migration;
        let base = match state.kind {
            UpdateKind::Snapshot => None,
            UpdateKind::Delta => base(&next, parts[0])?,
        };
        next.insert(migration, table(base.as_deref(), parts).map(Arc::new));
    }
    Ok(next)
}

/// The base of a migration's delta; `None` if the migration is new.
fn base(held: &Snapshot, part: &v1::TablePart) -> Result<Option<Arc<Table>>, Misfit> {
    use crate::routing::Error::UnknownMigration;
    let baseless = |what| Misfit::Baseless { migration: part.migration.clone(), what };
    match held.table(&part.migration) {
        Ok(table) if part.salt.is_empty() || part.salt == table.salt() => Ok(Some(table.clone())),
        Ok(_) => Err(baseless("with another salt than it had")),
        Err(UnknownMigration(_)) if part.salt.is_empty() => Err(baseless("which is not held")),
        Err(UnknownMigration(_)) => Ok(None),
        // As much of it is lost as of an unknown one.
        Err(_) => Err(baseless("which could not be read before")),
    }
}

/// Builds one migration's table from its parts (at least one), or says why it can't be routed.
fn table(base: Option<&Table>, parts: &[&v1::TablePart]) -> Result<Table, String> {
    let head = parts[0];
    let alike = |part: &&v1::TablePart| {
        (&part.salt, &part.bands, &part.policy, part.revision)
            == (&head.salt, &head.bands, &head.policy, head.revision)
    };
    if !parts.iter().all(alike) {
        return Err("its parts contradict each other".to_owned());
    }
    let bands = bands_from_wire(&head.bands)?;
    let policy = policy_from_wire(head.policy.as_ref())?;
    let table = match base {
        Some(base) => base.with_head(head.revision, &bands, policy),
        None if head.salt.is_empty() => return Err("it has no salt".to_owned()),
        None => Table::new(head.revision, &head.salt, &bands, policy),
    };
    let changes = changes(parts)?;
    let changes_len = changes.len();
    if changes_len == 0 {
        return Ok(table);
    }
    // An override takes at least 4 bytes, so this counts them only in huge tables.
    if table.heap_bytes() / 4 + changes_len > OVERRIDES_MAX
        && table.overrides().count() + changes_len > OVERRIDES_MAX
    {
        return Err(format!("it has more than {OVERRIDES_MAX} overrides"));
    }
    Ok(table.with_overrides(changes))
}

/// Tenants set, and (`None`) cleared. If a tenant is named twice, the later part counts.
fn changes<'a>(parts: &[&'a v1::TablePart]) -> Result<Vec<(&'a str, Option<Route>)>, String> {
    let mut changes = Vec::with_capacity(parts.iter().map(|p| p.overrides.len() + p.cleared.len()).sum());
    for part in parts {
        for cleared in &part.cleared {
            changes.push((checked(cleared)?, None));
        }
        for set in &part.overrides {
            let route = route_from_wire(set.rung, set.reason, set.no_fallback);
            let route = route.map_err(|unknown| format!("{unknown}, for tenant {:?}", set.tenant))?;
            changes.push((checked(&set.tenant)?, Some(route)));
        }
    }
    Ok(changes)
}

fn checked(tenant: &str) -> Result<&str, String> {
    check_tenant(tenant).map_err(|error| format!("an override's {error}"))?;
    Ok(tenant)
}
