//! A store that was restored from a backup: nobody moves until an operator has said what it can't know.

use std::collections::HashSet;

use cutover_core::routing::{Band, PPM, Route, Rung, bucket};

use super::{Confirmation, Context, Draft, Refusal, passes::RESIDUAL_MS};
use crate::{
    Document, Gate, Key, Migration, Placement, Tenant, TenantRow, Unmet, Violation, barrier::what_to_do,
    percent,
};

/// Tenants that the history names.
const NAMED_MOST: usize = 5;

/// What an instance routed a migration by when it registered.
#[derive(Clone, Debug)]
pub struct HeldRoutes {
    /// Whose.
    pub instance_id: String,
    /// What it hashes tenants with.
    pub salt: String,
    /// Of tenants without an override. Ascending.
    pub bands: Vec<Band>,
    /// Tenants whose writes are in the target alone while those of their bucket are not, or the reverse.
    pub exceptions: Vec<(Tenant, Route)>,
    /// Whether the store had this migration when the instance registered.
    pub is_known: bool,
}

impl HeldRoutes {
    /// Whether it may read the target, or write it alone.
    fn needs_target(&self) -> bool {
        let routes = self.bands.iter().map(|band| &band.route);
        routes.chain(self.exceptions.iter().map(|(_, route)| route)).any(|route| route.rung >= Rung::Hold)
    }

    /// Whether tenants may have writes in the target alone by it, of whom this migration does not know that.
    pub fn goes_beyond(&self, migration: &Migration) -> bool {
        let document = &*migration.document;
        let is_other = self.salt != document.salt;
        let is_unknown =
            |route: Route, at: &Placement| route.is_in_target_alone() && (is_other || !has_floor(at));
        let of_bucket = |bucket: u32| {
            self.bands.iter().find(|band| bucket < band.upto_ppm).map_or(Route::DEFAULT, |band| band.route)
        };
        let of_tenant = |tenant: &Tenant| {
            let named = self.exceptions.iter().find(|(named, _)| named == tenant).map(|(_, route)| *route);
            named.unwrap_or_else(|| of_bucket(bucket(&self.salt, tenant.as_str())))
        };
        let ends: Vec<u32> = self.bands.iter().map(|band| band.upto_ppm).collect();
        let mut pieces = document.bands.pieces(&ends);
        let named = self.exceptions.iter().map(|(tenant, _)| tenant).chain(migration.tenants.keys());
        // Of a finished one everybody was at target-only.
        document.finished_at_ms.is_none()
            && (pieces.any(|(from, _, at)| is_unknown(of_bucket(from), &at))
                || named
                    .into_iter()
                    .any(|tenant| is_unknown(of_tenant(tenant), &migration.placement(tenant))))
    }

    /// Whether it is told only to wait, and so does not know where tenants are.
    pub fn says_nothing(&self) -> bool {
        self.exceptions.is_empty() && self.bands.iter().all(|band| band.route.rung == Rung::Hold)
    }
}

/// Whether a migration may be created although instances route one of its name that the store does not have: it may be
/// another store, or one that lost what it had.
pub fn may_begin(key: &Key, confirm: &str, held: &[HeldRoutes]) -> Result<(), Refusal> {
    let stranger = held.iter().find(|held| !held.is_known && held.needs_target());
    Refusal::unless_met(stranger.filter(|_| confirm.is_empty()).map(|stranger| {
        let message = format!(
            "instance {} had tenants of a migration {key} on hold, at target-first or at target-only when it registered, and \
             this store does not have it. Everybody would begin at source-only, without the writes that only its target has",
            stranger.instance_id
        );
        let action = format!(
            "start the controller with the store that has it, or restore a backup (cutover restore); or, if no service \
             uses that target any more: the same with --confirm {key}"
        );
        Unmet::of_change(Gate::Restored, message, action)
    }))
}

impl Confirmation {
    /// Checks it against what an instance routed by, which was at most one step behind.
    pub fn check(&self, document: &Document, held: &HeldRoutes) -> Result<(), Unmet> {
        let name = &held.instance_id;
        let refused = |message: String, action: String| Err(Unmet::of_change(Gate::Floor, message, action));
        if held.salt != document.salt {
            return refused(
                format!(
                    "instance {name} routes another migration of this name, which the backup does not have"
                ),
                format!(
                    "if the backup is right, restart {name}; else stop its services, confirm, then delete"
                ),
            );
        }
        // Of a finished migration everybody was at target-only.
        let said_ppm = if document.finished_at_ms.is_some() { PPM } else { self.target_only_ppm };
        let is_missing = |route: &Route| {
            let is_excused = self.reversed && route.rung != Rung::TargetOnly;
            route.is_in_target_alone() && !is_excused
        };
        let mut from = 0;
        for Band { upto_ppm, route } in &held.bands {
            let begins = std::mem::replace(&mut from, *upto_ppm);
            if is_missing(route) && *upto_ppm > said_ppm {
                return refused(
                    format!(
                        "instance {name} has {} % at {}, with writes in the target alone",
                        percent(*upto_ppm),
                        route.rung
                    ),
                    format!("give --target-only {}", percent(*upto_ppm)),
                );
            }
            // No step leads from below target-first to target-only.
            if route.rung < Rung::Hold && begins < said_ppm {
                return refused(
                    format!("instance {name} has only {} % at target-first or above", percent(begins)),
                    format!(
                        "give --target-only {} or less; or restart {name}, if it had lost contact to the \
                         controller",
                        percent(begins)
                    ),
                );
            }
        }
        for (tenant, route) in &held.exceptions {
            let is_said = self.says(tenant, said_ppm, &document.salt);
            if is_missing(route) && !is_said {
                return refused(
                    format!(
                        "instance {name} has tenant {tenant} at {}, with writes in the target alone",
                        route.rung
                    ),
                    format!("give --tenant {tenant}"),
                );
            }
            if route.rung < Rung::Hold && is_said {
                return refused(
                    format!("instance {name} has tenant {tenant} at {}, which reads the source", route.rung),
                    format!("give --except {tenant}"),
                );
            }
        }
        Ok(())
    }

    /// Does a tenant have writes in the target alone, according to this?
    fn says(&self, tenant: &Tenant, target_only_ppm: u32, salt: &str) -> bool {
        let in_share = bucket(salt, tenant.as_str()) < target_only_ppm;
        self.tenants.contains(tenant) || in_share && !self.except.contains(tenant)
    }
}

impl Draft {
    /// Routes nobody by what the store says. Instances that know better keep what they know, unless the store
    /// itself has misled some of them (`put_back`).
    pub(super) fn suspect_restore(&mut self, why: &str, put_back: bool) {
        if self.document.restored.is_none() {
            self.document.restored = Some(why.to_owned());
            // It may have been deleted and begun anew since the backup.
            self.document.abandoned_at_ms = None;
            self.document.put_back = put_back;
            self.document.jobs.clear();
            // Some of them may have been approved since the backup, and revisions are used again.
            self.document.requests.clear();
            self.say(format!("nobody moves until this is confirmed: {why}"));
        }
    }

    /// Routes by the store again. Tenants with writes in the target alone go to target-first, with a floor
    /// that protects these writes. For all others the source has every acknowledged write: they go to hold
    /// until nobody serves them elsewhere. All evidence is required anew.
    pub(super) fn confirm_restore(
        &mut self,
        confirmation: &Confirmation,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        self.check_confirmation(confirmation, context)?;
        self.document.restored = None;
        // A repair may have been under way, also one that the backup does not know.
        let residual_ms = self.document.residual_ms.max(RESIDUAL_MS);
        self.document.overwritten_until_ms = context.steady_ms.saturating_add(residual_ms);
        if self.document.finished_at_ms.is_some() {
            self.say("confirmed after a restore: it was finished before the backup".to_owned());
            return Ok(());
        }
        // Instances that kept an earlier policy have not received this one's fence.
        if self.document.policy.fence_after_ms > 0 {
            self.document.fenced_since = context.revision;
        }
        let said_ppm = confirmation.target_only_ppm;
        self.document.bands =
            self.document.bands.clone().map(&[said_ppm], |from, _| confirmed(from < said_ppm, context));
        let known: HashSet<Tenant> = self.migration.tenants.keys().cloned().collect();
        let named: HashSet<Tenant> =
            confirmation.tenants.iter().chain(&confirmation.except).cloned().collect();
        for tenant in known.union(&named) {
            let is_said = confirmation.says(tenant, said_ppm, &self.document.salt);
            let (row, placement) = (self.row(tenant), confirmed(is_said, context));
            self.set_row(tenant, TenantRow { placement, overridden: 0, ..row });
        }
        self.document.overrides.clear();
        self.stop_going_up(context);
        let named = match confirmation.tenants.iter().map(Tenant::to_string).collect::<Vec<_>>() {
            names if names.is_empty() => String::new(),
            names if names.len() > NAMED_MOST => format!(" and {} tenants by name", names.len()),
            names => format!(" and by name {}", names.join(", ")),
        };
        self.say(format!(
            "confirmed after a restore. Writes in the target alone: {} %{named}. Instances connected: {}. Passes and \
             soaks count from here",
            percent(said_ppm),
            context.fleet.instances(),
        ));
        self.say(format!(
            "paused, because the backup may lack a rollback: cutover resume {}",
            self.document.key
        ));
        Ok(())
    }

    fn check_confirmation(&self, confirmation: &Confirmation, context: &Context<'_>) -> Result<(), Refusal> {
        let Confirmation { target_only_ppm, tenants, except, reversed } = confirmation;
        if context.reason.is_empty() {
            return Err(Violation::new("reason", "say how you know it").into());
        }
        if *target_only_ppm > PPM {
            return Err(Violation::new("target_only_ppm", "is over 100 %: give 0 to 100").into());
        }
        if let Some(both) = except.iter().find(|tenant| tenants.contains(tenant)) {
            return Err(Violation::new("except", format!("{both} is named both ways")).into());
        }
        if self.document.restored.is_none() {
            let message = "the store was not restored: there is nothing to confirm";
            return Err(Unmet::of_change(Gate::Stage, message, "nothing to do").into());
        }
        let lost: Vec<_> = context.fleet.lost().collect();
        if !lost.is_empty() {
            let names: Vec<_> = lost.iter().map(|member| member.name.as_str()).collect();
            let message = format!("everybody would be on hold until these are heard: {}", names.join(", "));
            let (by_itself, action) = what_to_do(&lost);
            return Err(Unmet { by_itself, ..Unmet::of_change(Gate::Barrier, message, action) }.into());
        }
        let names = |tenant: &Tenant| tenants.contains(tenant) || except.contains(tenant);
        let salt = &self.document.salt;
        let own = self.migration.tenants.iter().find(|(tenant, row)| {
            let has_own = row.pin.is_some() || row.ceiling.is_some();
            has_own && !names(tenant) && bucket(salt, tenant.as_str()) < *target_only_ppm
        });
        if let Some((tenant, _)) = own {
            let message = format!("tenant {tenant} has a pin or a rollback of its own in the backup");
            let action = format!(
                "say whether its writes are in the target alone: --tenant {tenant} or --except {tenant}"
            );
            return Err(Unmet::of_change(Gate::Floor, message, action).into());
        }
        if *reversed { Ok(()) } else { self.refuse_forgotten(confirmation) }
    }

    /// Whoever has writes in the target alone according to the backup still has them, unless they were copied
    /// back.
    fn refuse_forgotten(&self, confirmation: &Confirmation) -> Result<(), Refusal> {
        let bands = self.document.bands.pieces(&[]);
        let share = bands.filter(|(_, _, placement)| has_floor(placement)).map(|(_, upto, _)| upto);
        let (share, said_ppm) = (share.max().unwrap_or(0), confirmation.target_only_ppm);
        let mut rows = self.migration.tenants.iter().filter(|(tenant, row)| {
            has_floor(&row.placement) && !confirmation.says(tenant, said_ppm, &self.document.salt)
        });
        let whose = match rows.next() {
            _ if share > said_ppm => format!("{} % of the tenants have", percent(share)),
            Some((tenant, _)) => format!("tenant {tenant} has"),
            None => return Ok(()),
        };
        let message = format!("according to the backup {whose} writes in the target alone");
        let action = "name them too (--target-only, --tenant), or, if a clean reverse pass has copied those \
                      writes back since the backup: --reversed";
        Err(Unmet::of_change(Gate::Floor, message, action).into())
    }
}

fn has_floor(placement: &Placement) -> bool {
    placement.rung == Rung::TargetOnly || placement.floor >= Rung::TargetFirst
}

/// The placement of tenants whose past since the backup is not known.
fn confirmed(is_in_target_alone: bool, context: &Context<'_>) -> Placement {
    // Instances may still be anywhere that they were: everybody has to hear of this first.
    let placement = Placement { since: context.revision, ..Placement::START };
    if !is_in_target_alone {
        return Placement { rung: Rung::Hold, was: Rung::Hold, ..placement };
    }
    Placement {
        rung: Rung::TargetFirst,
        was: Rung::TargetOnly,
        mirrored_since: context.revision,
        target_first_since: context.revision,
        target_first_at_ms: context.steady_ms,
        floor: Rung::TargetFirst,
        ..placement
    }
}
