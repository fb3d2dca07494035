//! Splits a table into parts that each fit one message.

use std::iter;

use cutover_proto::v1;
use prost::Message as _;

use super::names::{level_from_wire, route_from_wire};
use crate::routing::{Band, PPM, Policy, Route, Table};

/// The size at which tables, and states of many tables, are split: far below gRPC's usual limit of 4 MiB.
pub const PART_MAX_BYTES: usize = 1 << 20;

/// Maximum bytes of an override's fields besides the tenant: tags and lengths.
const OVERRIDE_BYTES: usize = 16;

/// Bytes of tag and length of a cleared tenant.
const CLEARED_BYTES: usize = 4;

/// Splits a table into parts of at most [`PART_MAX_BYTES`] (plus its bands), at least one. Head and policy
/// are the table's. `overrides` and `cleared` are all of them in a snapshot, or what changed in a delta. A
/// snapshot has none cleared.
pub fn parts<'a>(
    migration: &'a str,
    table: &'a Table,
    overrides: impl IntoIterator<Item = (&'a str, Route)>,
    cleared: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = v1::TablePart> {
    let mut overrides = overrides.into_iter().peekable();
    let mut cleared = cleared.into_iter().peekable();
    let mut first = true;
    iter::from_fn(move || {
        if !first && overrides.peek().is_none() && cleared.peek().is_none() {
            return None;
        }
        first = false;
        let mut part = head(migration, table);
        let mut room = PART_MAX_BYTES;
        let mut fits = |bytes: usize| {
            let fits = room >= bytes;
            room = room.saturating_sub(bytes);
            fits
        };
        while let Some((tenant, route)) = overrides.next_if(|(t, _)| fits(t.len() + OVERRIDE_BYTES)) {
            part.overrides.push(override_to_wire(tenant, route));
        }
        if overrides.peek().is_none() {
            while let Some(tenant) = cleared.next_if(|tenant| fits(tenant.len() + CLEARED_BYTES)) {
                part.cleared.push(tenant.to_owned());
            }
        }
        Some(part)
    })
}

/// Packs parts into the messages of one state, at least one, and marks the last.
pub fn updates(
    revision: u64,
    parts: impl IntoIterator<Item = v1::TablePart>,
    removed: Vec<String>,
) -> impl Iterator<Item = v1::Update> {
    let mut parts = parts.into_iter().peekable();
    let mut removed = Some(removed);
    let mut done = false;
    iter::from_fn(move || {
        if done {
            return None;
        }
        let mut update =
            v1::Update { revision, removed: removed.take().unwrap_or_default(), ..Default::default() };
        let mut bytes = 0;
        while let Some(part) =
            parts.next_if(|part| bytes == 0 || bytes + part.encoded_len() <= PART_MAX_BYTES)
        {
            bytes += part.encoded_len();
            update.tables.push(part);
        }
        done = parts.peek().is_none();
        update.last = done;
        Some(update)
    })
}

fn head(migration: &str, table: &Table) -> v1::TablePart {
    // A band of zero width has no effect; readers require that bands ascend.
    let mut from_ppm = 0;
    let bands =
        table.bands().iter().filter(|band| std::mem::replace(&mut from_ppm, band.upto_ppm) != band.upto_ppm);
    v1::TablePart {
        migration: migration.to_owned(),
        salt: table.salt().to_owned(),
        bands: bands.copied().map(Into::into).collect(),
        policy: Some(policy_to_wire(table.policy())),
        revision: table.revision(),
        ..Default::default()
    }
}

impl From<Band> for v1::TableBand {
    fn from(Band { upto_ppm, route }: Band) -> Self {
        let (rung, reason) = (v1::Rung::from(route.rung), v1::Reason::from(route.reason));
        Self { upto_ppm, rung: rung.into(), reason: reason.into(), no_fallback: route.no_fallback }
    }
}

/// Converts one tenant's override.
pub fn override_to_wire(tenant: &str, route: Route) -> v1::Override {
    let (rung, reason) = (v1::Rung::from(route.rung), v1::Reason::from(route.reason));
    v1::Override {
        tenant: tenant.to_owned(),
        rung: rung.into(),
        reason: reason.into(),
        no_fallback: route.no_fallback,
    }
}

/// Converts the parts of a policy that an SDK gets.
pub fn policy_to_wire(policy: Policy) -> v1::TablePolicy {
    v1::TablePolicy {
        level: v1::Level::from(policy.level).into(),
        hold_timeout_ms: policy.hold_timeout_ms,
        fence_after_ms: policy.fence_after_ms,
        shadow_ppm: policy.shadow_ppm,
        local_guard: policy.local_guard,
        local_guard_read_ppm: policy.local_guard_read_ppm,
        local_guard_write_ppm: policy.local_guard_write_ppm,
    }
}

/// Reads bands: known rungs and reasons, with `upto_ppm` ascending from above 0 to at most a million.
pub fn bands_from_wire(bands: &[v1::TableBand]) -> Result<Vec<Band>, String> {
    let mut from_ppm = 0;
    let read = |band: &v1::TableBand| {
        let from_ppm = std::mem::replace(&mut from_ppm, band.upto_ppm);
        if band.upto_ppm <= from_ppm || band.upto_ppm > PPM {
            return Err(format!("its bands do not ascend: {} ppm after {from_ppm} ppm", band.upto_ppm));
        }
        let route = route_from_wire(band.rung, band.reason, band.no_fallback);
        Ok(Band { upto_ppm: band.upto_ppm, route: route.map_err(|unknown| unknown.to_string())? })
    };
    bands.iter().map(read).collect()
}

/// Reads a policy; it must be present, with a known level.
pub fn policy_from_wire(policy: Option<&v1::TablePolicy>) -> Result<Policy, String> {
    let policy = policy.ok_or("it has no policy")?;
    if policy.shadow_ppm > PPM {
        return Err(format!("shadow_ppm is {}, over a million", policy.shadow_ppm));
    }
    let standard = Policy::default();
    // A controller that does not know the limits sends 0.
    let limit = |ppm: u32, unless_told: u32| if ppm == 0 { unless_told } else { ppm.min(PPM / 2) };
    Ok(Policy {
        level: level_from_wire(policy.level).map_err(|unknown| unknown.to_string())?,
        hold_timeout_ms: policy.hold_timeout_ms,
        fence_after_ms: policy.fence_after_ms,
        shadow_ppm: policy.shadow_ppm,
        local_guard: policy.local_guard,
        local_guard_read_ppm: limit(policy.local_guard_read_ppm, standard.local_guard_read_ppm),
        local_guard_write_ppm: limit(policy.local_guard_write_ppm, standard.local_guard_write_ppm),
    })
}
