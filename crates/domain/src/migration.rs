//! A migration: a small document, plus a row for each tenant that does not follow its bucket.

use std::sync::Arc;

use cutover_core::routing::{PPM, Rung, bucket};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::{
    Attribution, Bands, Evidence, GuardSettings, Job, Key, Ledgers, Override, PassTables, Passes,
    PendingRequest, Placement, Policy, Rollout, Tenant, Trip, TripOutcome, guard::JudgedStage,
    plan::PlanState,
};

/// The state of a migration in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everybody is where they were asked to be; a plan may still be running.
    Idle,
    /// Some tenants are not yet where they were asked to be.
    Ramping,
    /// Steps up are stopped; steps down are not.
    Paused,
    /// Rolled back, for everybody or a tenant; latched until acknowledged.
    Tripped,
    /// Ended: the source is no longer needed.
    Finished,
    /// Given up: everybody stays at source-only.
    Abandoned,
}

/// A migration without its tenants' rows: a commit writes it as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Its name.
    pub key: Key,
    /// The salt with which tenants are hashed; never changes.
    pub salt: String,
    /// The source store, for people.
    pub source: String,
    /// The target store, for people.
    pub target: String,
    /// For people.
    pub description: String,
    /// What it promises and requires.
    pub policy: Policy,
    /// The revision that last turned `policy.local_guard` off. 0: it was never on, or is on for the first
    /// time.
    #[serde(default)]
    pub local_guard_off: u64,
    /// The revision since which `policy.fence_after_ms` has been set. 0: it is not set, or the revision is
    /// unknown; then nobody is counted out.
    #[serde(default)]
    pub fenced_since: u64,
    /// Unix time.
    pub created_at_ms: u64,
    /// The revision that created it. What was decided under an older one belongs to an earlier migration with
    /// the same key. 0: unknown.
    #[serde(default)]
    pub created_revision: u64,
    /// Whoever had received this revision before the creation routed no earlier migration with this key. `None`: the
    /// revision is unknown.
    #[serde(default)]
    pub key_free_since: Option<u64>,
    /// Shares asked for.
    pub goal: Rollout,
    /// Where tenants without a row stand.
    pub bands: Bands,
    /// Nobody goes above it until the rollback is acknowledged.
    pub ceiling: Option<Rung>,
    /// Steps up are stopped.
    pub paused: bool,
    /// The revision that last resumed it or acknowledged a rollback: guards judge only what was decided since.
    /// 0: neither has happened yet.
    #[serde(default)]
    pub judged_since: u64,
    /// Who paused it. `None`: it is not paused, or an earlier version did not record it.
    #[serde(default)]
    pub paused_by: Option<Attribution>,
    /// The change that led to its present [`State`]. `None`: an earlier version did not record it.
    #[serde(default)]
    pub state_since: Option<Attribution>,
    /// Unix time at which it was finished.
    pub finished_at_ms: Option<u64>,
    /// Unix time at which it was abandoned: everybody stays at source-only.
    #[serde(default)]
    pub abandoned_at_ms: Option<u64>,
    /// What operators overrode, each for the tenants of one request, while these are on the way up.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// Why nobody moves: the store was restored from a backup, or appears to be. `None`: it was not, or that
    /// is confirmed.
    #[serde(default)]
    pub restored: Option<String>,
    /// While `restored` is set: the store itself, put back by hand, may have misled instances.
    #[serde(default)]
    pub put_back: bool,
    /// When the last write of a repair where the source wins has landed, by the steady clock, if the repair was
    /// canceled or a restored store may not know it. 0: there was none.
    #[serde(default)]
    pub overwritten_until_ms: u64,
    /// The longest time that a put of any repair so far where the source wins can land late.
    #[serde(default)]
    pub residual_ms: u64,
    /// Who asked for the current goal; the controller continues in this name.
    pub asked_by: String,
    /// Running passes, oldest first; bounded.
    pub jobs: Vec<Job>,
    /// Finished passes, oldest first; bounded.
    pub evidence: Vec<Evidence>,
    /// The ledgers that the last passes worked with.
    #[serde(default)]
    pub ledgers: Ledgers,
    /// The tables that passes work with, since the first of them said so.
    #[serde(default)]
    pub tables: PassTables,
    /// Pinned tenants.
    pub pins: u64,
    /// Tenants under a ceiling of their own.
    pub rolled_back: u64,
    /// Whether tenants or bands are on the way.
    pub ramping: bool,
    /// How its guards differ from the defaults.
    #[serde(default)]
    pub guards: GuardSettings,
    /// Recent verdicts of guards, oldest first; bounded.
    #[serde(default)]
    pub trips: Vec<Trip>,
    /// Its plan. `None`: it never had one.
    #[serde(default)]
    pub plan: Option<PlanState>,
    /// What waits for a second person, oldest first; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<PendingRequest>,
}

/// A tenant that does not follow its bucket, or not yet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// An operator's pin.
    pub pin: Option<Rung>,
    /// The tenant does not go above this until its rollback is acknowledged.
    pub ceiling: Option<Rung>,
    /// Where the tenant stands.
    pub placement: Placement,
    /// The revision of the request whose [`Override`] covers it. 0: none.
    #[serde(default)]
    pub overridden: u64,
}

/// A migration at a revision. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Revision of its last change.
    pub revision: u64,
    /// Everything but the rows.
    pub document: Arc<Document>,
    /// The rows.
    pub tenants: OrdMap<Tenant, TenantRow>,
    /// Tenants that are on the way, or about to rejoin their bucket's band.
    pub(super) unrested: OrdSet<Tenant>,
}

impl Document {
    /// The state in one word.
    pub fn state(&self) -> State {
        if self.finished_at_ms.is_some() {
            State::Finished
        } else if self.abandoned_at_ms.is_some() {
            State::Abandoned
        } else if self.ceiling.is_some() || self.rolled_back > 0 {
            State::Tripped
        } else if self.paused {
            State::Paused
        } else if self.ramping {
            State::Ramping
        } else {
            State::Idle
        }
    }

    /// Who paused it, and why: `by operator:ada: incident 17`. `None`: it is not paused.
    pub fn paused_why(&self) -> Option<String> {
        if !self.paused {
            return None;
        }
        let Some(by) = &self.paused_by else { return Some("by somebody".to_owned()) };
        let mut trips = self.trips.iter().rev();
        let held = trips.find(|trip| trip.outcome == TripOutcome::Held && trip.revision == by.revision);
        Some(match held {
            Some(Trip { verdict, .. }) => format!("by guard {}: {verdict}", verdict.guard.kind.name()),
            None if by.reason.is_empty() => format!("by {}", by.by),
            None => format!("by {}: {}", by.by, by.reason),
        })
    }

    /// The revision since which the right to act expires; `None`: it does not.
    pub fn fenced_since(&self) -> Option<u64> {
        // After a restore nobody knows who has received the fence.
        let is_known = self.fenced_since > 0 && self.restored.is_none();
        (self.policy.fence_after_ms > 0 && is_known).then_some(self.fenced_since)
    }

    /// Whoever has received this revision has no table of this migration without its fence; `None`: it has none. A
    /// process that was counted out before the creation has no table of it at all.
    pub fn harmless_since(&self) -> Option<u64> {
        let fenced_since = self.fenced_since()?;
        let was_born_with_it = fenced_since == self.created_revision;
        Some(self.key_free_since.filter(|_| was_born_with_it).unwrap_or(fenced_since).min(fenced_since))
    }

    /// Where tenants without a row stand, as shares.
    pub fn rollout(&self) -> Rollout {
        Rollout::from_shares(|rung| self.bands.at_least_ppm(rung))
    }

    /// The override that covers a tenant, by its bucket or, if it has one, by its row.
    pub(super) fn passes_of(&self, bucket: u32, row: Option<&TenantRow>) -> Option<Passes> {
        self.overrides.iter().find_map(|over| {
            let upto = match row {
                Some(row) => Some(over.upto).filter(|_| over.revision == row.overridden),
                None => over.upto_of(bucket),
            };
            Some(Passes { revision: over.revision, gates: over.gates.clone(), upto: upto? })
        })
    }
}

impl Migration {
    /// Creates one from what a store holds.
    pub fn new(revision: u64, document: Document, tenants: OrdMap<Tenant, TenantRow>) -> Self {
        let mut migration = Self { revision, document: document.into(), tenants, unrested: OrdSet::new() };
        migration.find_unrested();
        migration
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.document.key
    }

    /// A tenant's bucket.
    pub fn bucket(&self, tenant: &Tenant) -> u32 {
        bucket(&self.document.salt, tenant.as_str())
    }

    /// Whether anybody is not at their goal, or does not follow their bucket without a reason.
    pub fn has_more_to_do(&self) -> bool {
        self.document.ramping || !self.unrested.is_empty()
    }

    /// Revision of the newest step of anybody. 0: nobody ever moved.
    pub fn newest_step(&self) -> u64 {
        self.placements().map(|placement| placement.since).max().unwrap_or(0)
    }

    /// Every placement of anybody: of bands, then of tenants with a row.
    pub fn placements(&self) -> impl Iterator<Item = Placement> {
        let bands = self.document.bands.pieces(&[]).map(|(_, _, placement)| placement);
        bands.chain(self.tenants.values().map(|row| row.placement))
    }

    /// Where a tenant stands.
    pub fn placement(&self, tenant: &Tenant) -> Placement {
        self.tenants
            .get(tenant)
            .map_or_else(|| self.document.bands.of(self.bucket(tenant)), |row| row.placement)
    }

    /// What a judge needs to know of where tenants stand. `is_more`: tenants have reached target-first.
    pub fn stage(&self, is_more: bool) -> JudgedStage {
        let bands = &self.document.bands;
        let (target_first_ppm, target_only_ppm) =
            (bands.at_least_ppm(Rung::TargetFirst), bands.at_least_ppm(Rung::TargetOnly));
        let by_name =
            |least: Rung, ppm: u32| ppm == 0 && self.tenants.values().any(|row| row.placement.rung >= least);
        // A small share may contain no tenant. Only if everybody should call the target does silence mean
        // anything.
        let of_everybody = |least: Rung| {
            let all = bands.at_least_ppm(least) == PPM
                && self.tenants.values().all(|row| row.placement.rung >= least);
            if all { PPM } else { 0 }
        };
        // A plan's step that moves tenants by name moves no band; its evidence must come from after it.
        let step = self.document.plan.as_ref().and_then(|plan| plan.taken.last());
        let revision =
            bands.since().max(self.document.judged_since).max(step.map_or(0, |taken| taken.revision));
        JudgedStage {
            revision,
            frozen_reads: target_first_ppm == PPM || by_name(Rung::TargetFirst, target_first_ppm),
            frozen_writes: target_only_ppm == PPM || by_name(Rung::TargetOnly, target_only_ppm),
            // Any number but 0 that no earlier step had.
            enrolled: if is_more && target_first_ppm > 0 {
                (revision % u64::from(u32::MAX)) as u32 + 1
            } else {
                0
            },
            tenants: 0,
            read_share_ppm: of_everybody(Rung::TargetFirst),
            write_share_ppm: of_everybody(Rung::Dual),
        }
    }

    /// Replays one committed change.
    pub fn replay(&mut self, revision: u64, document: Document, rows: &[(Tenant, Option<TenantRow>)]) {
        let moved = self.document.goal != document.goal || self.document.ceiling != document.ceiling;
        self.revision = revision;
        self.document = document.into();
        for (tenant, row) in rows {
            match row {
                Some(row) => self.tenants.insert(tenant.clone(), *row),
                None => self.tenants.remove(tenant),
            };
        }
        if moved {
            self.find_unrested();
        } else {
            rows.iter().for_each(|(tenant, _)| self.note_unrested(tenant));
        }
    }

    /// Records whether a row is not at its goal, or has no reason to exist.
    fn note_unrested(&mut self, tenant: &Tenant) {
        let unrested = self.tenants.get(tenant).is_some_and(|row| {
            let wanted = self.document.caps(Some(row)).wanted(self.bucket(tenant), row.placement.floor);
            (row.pin.is_none() && row.ceiling.is_none()) || row.placement.rung != wanted.rung
        });
        if unrested {
            self.unrested.insert(tenant.clone());
        } else {
            self.unrested.remove(tenant);
        }
    }

    fn find_unrested(&mut self) {
        let tenants: Vec<Tenant> = self.tenants.keys().cloned().collect();
        tenants.iter().for_each(|tenant| self.note_unrested(tenant));
    }
}
