//! What an SDK needs to decide for one migration.

use std::{collections::HashMap, sync::Arc};

use super::{
    Error, Level, Reason, Route, Rung, Salt, Stage, bucket::bucket_of_hash, check_tenant,
    overrides::Overrides,
};

/// The tenants whose bucket is below `upto_ppm` and not in an earlier band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The first bucket after the band.
    pub upto_ppm: u32,
    /// Where they go.
    pub route: Route,
}

/// The parts of a migration's policy that an SDK needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What reads promise.
    pub level: Level,
    /// Longest time that an operation waits on `hold`.
    pub hold_timeout_ms: u32,
    /// Operations are refused after this long without contact. 0: never.
    pub fence_after_ms: u32,
    /// Share of the reads at dual that are compared with the target. 0: none.
    pub shadow_ppm: u32,
    /// Whether a process that can't reach the controller may go back from target-first to mirrored on its
    /// own. While this is on, nobody goes to target-only.
    pub local_guard: bool,
    /// Error rate of target reads that such a process tolerates.
    pub local_guard_read_ppm: u32,
    /// The same for writes.
    pub local_guard_write_ppm: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            level: Level::Acknowledged,
            hold_timeout_ms: 2_000,
            fence_after_ms: 0,
            shadow_ppm: 10_000,
            local_guard: false,
            local_guard_read_ppm: 50_000,
            local_guard_write_ppm: 20_000,
        }
    }
}

/// A decision: stage, rung, revision and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Revision of the migration's last change; the operation is counted under it.
    pub revision: u64,
    /// Where the tenant goes.
    pub rung: Rung,
    /// Why.
    pub reason: Reason,
    /// At target-first: do not read the source if the target has no record.
    pub no_fallback: bool,
}

impl Decision {
    /// What users see of the rung.
    pub const fn stage(&self) -> Stage {
        self.rung.stage()
    }
}

/// One migration's routing table. Cheap to clone, never changed in place.
#[derive(Clone, Debug)]
pub struct Table {
    revision: u64,
    salt_text: Arc<str>,
    salt: Salt,
    bands: Arc<[Band]>,
    policy: Policy,
    base: Arc<Overrides>,
    /// Changes since `base` was built; consulted first, and small compared to it.
    patch: Arc<Overrides>,
}

/// Decides for one tenant. The controller and every SDK use this function.
#[inline]
pub fn decide(table: &Table, tenant: &str) -> Result<Decision, Error> {
    check_tenant(tenant)?;
    let Route { rung, reason, no_fallback } = table.route(tenant);
    Ok(Decision { revision: table.revision, rung, reason, no_fallback })
}

impl Table {
    /// A table without overrides. `bands` must ascend by `upto_ppm`.
    pub fn new(revision: u64, salt: &str, bands: &[Band], policy: Policy) -> Self {
        Self {
            revision,
            salt_text: salt.into(),
            salt: Salt::new(salt),
            bands: bands.into(),
            policy,
            base: Arc::default(),
            patch: Arc::default(),
        }
    }

    /// The same overrides with other bands, policy and revision.
    pub fn with_head(&self, revision: u64, bands: &[Band], policy: Policy) -> Self {
        Self { revision, bands: bands.into(), policy, ..self.clone() }
    }

    /// The same table with some tenants set, or cleared if the route is `None`. If a tenant is named twice,
    /// the last one counts. Tenants must be valid.
    pub fn with_overrides<'a>(&'a self, changes: impl IntoIterator<Item = (&'a str, Option<Route>)>) -> Self {
        let mut patch: HashMap<&str, Option<Route>> = self.patch.iter().collect();
        patch.extend(changes);
        let merge = patch.len() > (self.base.len() / 8).max(1024) || self.base.is_empty();
        if !merge {
            return Self { patch: Arc::new(self.build(patch)), ..self.clone() };
        }
        let kept = self.base.iter().filter(|(tenant, _)| !patch.contains_key(tenant));
        let base =
            self.build(kept.chain(patch.iter().map(|(t, r)| (*t, *r)).filter(|(_, route)| route.is_some())));
        Self { base: Arc::new(base), patch: Arc::default(), ..self.clone() }
    }

    fn build<'a>(&self, entries: impl IntoIterator<Item = (&'a str, Option<Route>)>) -> Overrides {
        let hashed: Vec<_> = entries.into_iter().map(|(t, route)| (self.salt.hash(t), t, route)).collect();
        Overrides::build(&hashed)
    }

    /// Where a valid tenant goes.
    #[inline]
    pub fn route(&self, tenant: &str) -> Route {
        let hash = self.salt.hash(tenant);
        let found = match self.patch.get(hash, tenant) {
            None => self.base.get(hash, tenant).flatten(),
            Some(patched) => patched,
        };
        found.unwrap_or_else(|| self.route_of_bucket(bucket_of_hash(hash)))
    }

    /// Where the tenants of a bucket go if they have no override.
    pub fn route_of_bucket(&self, bucket: u32) -> Route {
        self.bands.iter().find(|band| bucket < band.upto_ppm).map_or(Route::DEFAULT, |band| band.route)
    }

    /// The bucket of a tenant.
    pub fn bucket(&self, tenant: &str) -> u32 {
        bucket_of_hash(self.salt.hash(tenant))
    }

    /// Whether the controller does not know where tenants stand, because its store was restored.
    pub fn is_restored(&self) -> bool {
        self.bands.iter().any(|band| band.route.reason == Reason::Restored)
    }

    /// Every override, in no particular order.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, Route)> {
        let patched = self.patch.iter();
        let base = self.base.iter().filter(|(tenant, _)| {
            self.patch.is_empty() || self.patch.get(self.salt.hash(tenant), tenant).is_none()
        });
        patched.chain(base).filter_map(|(tenant, route)| Some((tenant, route?)))
    }

    /// Revision of the migration's last change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The salt with which tenants are hashed.
    pub fn salt(&self) -> &str {
        &self.salt_text
    }

    /// The bands, ascending.
    pub fn bands(&self) -> &[Band] {
        &self.bands
    }

    /// The parts of the policy that an SDK needs.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Memory that the overrides use, tenants' own bytes included.
    pub fn heap_bytes(&self) -> usize {
        self.base.heap_bytes() + self.patch.heap_bytes()
    }
}
