//! The pass that has to come before the target is read, and what to do so that it is clean.

use cutover_core::routing::{Level, Mutation, Rung};

use super::{Conditions, percent};
use crate::{
    Differences, Document, Evidence, Gate, Job, PassKind, Placement, Unmet, Wait, Whom, barrier::barrier,
};

impl Conditions<'_> {
    /// That no pass shows that the target has everything which these tenants have had since they reached `rung`.
    pub(super) fn full_pass(&self, whom: &Whom, rung: Rung, since: u64) -> Option<Unmet> {
        let lazily = rung == Rung::Mirrored && self.document.policy.level == Level::Acknowledged;
        let Document { evidence: passes, jobs, .. } = self.document;
        let doubts = |pass: &Evidence| pass.finds_what_copying_misses() && pass.job.cover.touches(whom);
        let doubt = passes.iter().rposition(doubts);
        let shows = |evidence: &Evidence| {
            let lazily = lazily || Mutation::FullPassAfterSweep.is_left_out();
            // Only a verification can say that it is gone.
            let is_seen = doubt.is_none() || evidence.job.kind == PassKind::Verify;
            is_seen
                && (evidence.is_full_pass(whom, since) || lazily && evidence.is_drained_sweep(whom, since))
        };
        let counting = &passes[doubt.map_or(0, |doubt| doubt + 1)..];
        if Mutation::FullPass.is_left_out() || since > 0 && counting.iter().any(shows) {
            return None;
        }
        // Whoever keeps a sweep waiting keeps this step waiting, too.
        let may_count = lazily && doubt.is_none() && since > 0;
        let drains = |job: &&Job| may_count && job.drains() && job.cover.covers(whom);
        if let Some(sweep) = jobs.iter().find(drains) {
            let step = sweep.began_revision + 1;
            let behind: Vec<_> = self.fleet.behind(step, Wait::Quiesced).collect();
            if !behind.is_empty() {
                let told = barrier(&behind, step, Wait::Quiesced);
                let message = format!("sweep {} has not begun: {}", sweep.id, told.message);
                return Some(Unmet { gate: Gate::FullPass, message, ..told });
            }
        }
        // Elsewhere the target may be right.
        let is_read = |at: &Placement| at.rung <= Rung::Mirrored && at.floor == Rung::SourceOnly;
        let overwrites = self.document.bands.pieces(&[]).all(|(_, _, placement)| is_read(&placement));
        let too_early = |pass: &Evidence| {
            let (kind, id) = (pass.job.kind.name(), &pass.job.id);
            format!(
                "the newest {kind} of these tenants, {id}, began before everybody had settled at {rung} (revision {since})"
            )
        };
        if let Some(doubt) = doubt.filter(|_| since > 0) {
            let compares =
                |pass: &&Evidence| pass.job.kind == PassKind::Verify && pass.job.cover.covers(whom);
            let newest = counting.iter().rev().find(compares).unwrap_or(&passes[doubt]);
            let message = if newest.clean { too_early(newest) } else { newest.told_unclean() };
            let Differences { missing, stale, .. } = newest.counts.remaining;
            let copies = if missing > 0 || stale > 0 { " --repair" } else { "" };
            let action = newest.before(jobs, overwrites, &format!("cutover verify SPEC{copies}"));
            return Some(Unmet::of_change(Gate::FullPass, message, action));
        }
        let may_open = |pass: &&Evidence| pass.job.kind.may_open_gates() && pass.job.cover.covers(whom);
        let newest = passes.iter().rev().find(may_open);
        let message = match newest {
            _ if since == 0 => {
                format!("a full pass has to cover these tenants after they have settled at {rung}")
            }
            Some(pass) if !pass.clean => pass.told_unclean(),
            Some(pass) => too_early(pass),
            None => format!("no full pass covers these tenants since they reached {rung} (revision {since})"),
        };
        let action = match (since, whom) {
            (0, Whom::Tenant { tenant, .. }) => format!(
                "let it settle at {rung} first: cutover pin {} {tenant} {rung} --wait, then run: cutover backfill SPEC",
                self.document.key
            ),
            (0, Whom::Buckets { upto, .. }) => format!(
                "let them settle at {rung} first: cutover ramp {} --{rung} {} --wait, then run: cutover backfill SPEC",
                self.document.key,
                percent(*upto)
            ),
            _ => {
                let backfill = "cutover backfill SPEC";
                newest.map_or_else(|| backfill.to_owned(), |pass| pass.before(jobs, overwrites, backfill))
            }
        };
        Some(Unmet::of_change(Gate::FullPass, message, action))
    }
}
