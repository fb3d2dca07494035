//! Passes over the stores: how they begin, a sweep's second barrier, and what changes when they end.

use cutover_core::routing::{Mutation, PPM, Rung};

use super::{Context, Draft, NewPass, Refusal};
use crate::{
    Cover, Evidence, Finding, Gate, Job, PassCounts, PassKind, Placement, Tenant, TenantRow, Unmet, Violation,
};

/// Maximum passes in the document, running or ended.
const PASSES_MAX: usize = 32;
/// The longest that a restored store is waited for because of a repair.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Time for which a put can still land after it timed out, if a pass does not say.
pub const RESIDUAL_MS: u64 = 30_000;
/// Maximum segments of a pass: of both stores, as many of each as a spec may ask for.
pub const SEGMENTS_MAX: u32 = 2 * 4_096;

impl Draft {
    pub(super) fn begin_job(&mut self, pass: &NewPass, context: &Context<'_>) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.finished())?;
        let NewPass {
            id,
            kind,
            cover,
            fingerprint,
            segments,
            residual_ms,
            removes_extra,
            source_wins,
            new_tables,
            expected,
            ..
        } = pass;
        if cover.upto_ppm > PPM {
            return Err(
                Violation::new("upto_ppm", format!("is {}: give at most {PPM}", cover.upto_ppm)).into()
            );
        }
        if *segments > SEGMENTS_MAX {
            let message = format!("is {segments}: give at most {SEGMENTS_MAX}");
            return Err(Violation::new("segments", message).into());
        }
        if matches!(kind, PassKind::Reverse | PassKind::Sweep) && *segments == 0 {
            let message = "must be at least 1: its workers have to be told when they may begin";
            return Err(Violation::new("segments", message).into());
        }
        if new_tables.any() {
            self.refuse_new_tables_beside(id)?;
        }
        // Only its caller knows what an unsegmented pass does; two with segments would disturb each other.
        let other = self.document.jobs.iter().find(|job| job.kind == *kind && job.segments > 0);
        if let Some(other) = other.filter(|_| *segments > 0) {
            let message = format!(
                "{} {} is under way, with other stores or options, another order of keys or another version of cutover",
                kind.name(),
                other.id
            );
            let action = format!("let it end, or cutover cancel {}", other.id);
            return Err(Unmet::of_change(Gate::Stage, message, action).into());
        }
        // A running pass is never dropped for a newer one.
        if self.document.jobs.len() >= PASSES_MAX {
            let oldest = self.document.jobs.first().map_or("", |job| job.id.as_str());
            let message = format!("{PASSES_MAX} passes are under way, the oldest is {oldest}");
            let action = format!("let one end, or cutover cancel {oldest}");
            return Err(Unmet::of_change(Gate::Stage, message, action).into());
        }
        let began_revision = context.revision - 1;
        let settled = match Mutation::SettledPass.is_left_out() {
            true => began_revision,
            false => context.fleet.settled(began_revision),
        };
        if *kind == PassKind::Reverse {
            // It would lower floors that the backup does not know.
            Refusal::unless_met(self.document.restored())?;
            self.refuse_reverse(cover, settled)?;
        }
        if *removes_extra {
            self.refuse_removal()?;
            self.say("it DELETES the records without a version that only the target has");
        }
        self.refuse_behind_a_repair(context)?;
        if *source_wins {
            self.refuse_source_wins(cover)?;
        }
        self.refuse_beside(*kind, *source_wins)?;
        self.begin_with_tables(pass)?;
        if *source_wins {
            // It may leave an older record in the target until it has looked at it again.
            if !Mutation::RepairVoidsEvidence.is_left_out() {
                self.forget_evidence("the repair");
            }
            self.say(
                "it OVERWRITES what the target has newer or different, and DELETES what only the target has",
            );
            self.document.residual_ms = self.document.residual_ms.max((*residual_ms).min(DAY_MS));
        }
        let is_reverse = |kind| kind == PassKind::Reverse;
        let beside_reverse = self.document.jobs.iter().any(|job| is_reverse(job.kind));
        self.document.jobs.iter_mut().for_each(|job| job.beside_reverse |= is_reverse(*kind));
        self.document.jobs.push(Job {
            id: id.clone(),
            kind: *kind,
            cover: cover.clone(),
            began_revision,
            settled,
            fingerprint: fingerprint.clone(),
            segments: *segments,
            begins_at_ms: match kind {
                _ if Mutation::Residual.is_left_out() => context.steady_ms,
                PassKind::Sweep if Mutation::SecondBarrier.is_left_out() => context.steady_ms + residual_ms,
                PassKind::Sweep => u64::MAX,
                PassKind::Reverse => context.steady_ms.saturating_add(*residual_ms),
                _ => 0,
            },
            residual_ms: *residual_ms,
            source_wins: *source_wins,
            began_at_ms: context.now_ms,
            beside_reverse,
            expected: *expected,
            new_tables: *new_tables,
        });
        self.say(format!("{} {id} began with revision {settled} settled", kind.name()));
        Ok(())
    }

    /// Records that the second barrier of a sweep has settled. From then on no write begins that could land
    /// behind it. So the wait for writes that timed out begins here, and not before.
    pub(super) fn drain_job(&mut self, id: &str, context: &Context<'_>) {
        let settled = context.fleet.settled(context.revision - 1);
        let job = self.document.jobs.iter_mut().find(|job| job.id == id && job.drains());
        // The revision of the job's own beginning, which came after `began_revision`.
        let Some(job) = job.filter(|job| settled > job.began_revision) else { return };
        job.begins_at_ms = context.steady_ms.saturating_add(job.residual_ms);
        self.say(format!("sweep {id} begins with revision {settled} settled"));
    }

    /// Only the history records this: the limits are stored with the pass's progress.
    pub(super) fn tune_job(&mut self, id: &str, paused: bool, limits: [u64; 2]) -> Result<(), Refusal> {
        if !self.document.jobs.iter().any(|job| job.id == id) {
            let message = format!("job {id} is not under way here");
            return Err(Unmet::of_change(Gate::Stage, message, "cutover jobs lists those that are").into());
        }
        let limit = |limit: u64| if limit == 0 { "no limit".to_owned() } else { limit.to_string() };
        let [records, bytes] = limits.map(limit);
        let state = if paused { "paused" } else { "running" };
        self.say(format!(
            "limits of {id}: {state}, records per second: {records}, bytes per second: {bytes}"
        ));
        Ok(())
    }

    pub(super) fn finish_job(
        &mut self,
        id: &str,
        counts: &PassCounts,
        findings: &[Finding],
        complete: bool,
        context: &Context<'_>,
    ) -> Result<(), Refusal> {
        let Some(at) = self.document.jobs.iter().position(|job| job.id == id) else {
            let message = format!("job {id} is not under way here");
            return Err(Unmet::of_change(Gate::Stage, message, "start it again").into());
        };
        let job = self.document.jobs.remove(at);
        let left = match Mutation::Extra.is_left_out() {
            true => counts.remaining.total() - counts.remaining.extra,
            false => counts.remaining.total(),
        };
        let doubted = job.doubts(counts);
        let left = left.saturating_add(doubted);
        let clean = complete && counts.quarantined == 0 && counts.failed == 0 && left == 0;
        let how = match (complete, clean, job.kind) {
            (false, ..) => "was canceled",
            (true, true, PassKind::Sample) => "ended without a difference",
            (true, true, _) => "ended clean",
            (true, false, _) => "ended NOT clean",
        };
        self.say(format!(
            "{} {id} {how}: {} scanned, {} copied, {} quarantined, {} failed, {} left different",
            job.kind.name(),
            counts.scanned,
            counts.copied,
            counts.quarantined,
            counts.failed,
            counts.remaining.total(),
        ));
        let source = self.document.tables.source.as_ref().filter(|_| clean && counts.scanned == 0);
        if let Some(source) = source.filter(|_| matches!(job.kind, PassKind::Full | PassKind::Verify)) {
            let place = source.place.clone();
            self.say(format!("it found NO RECORD in {place}: is that the source which services use?"));
        }
        if doubted > 0 {
            self.say(format!(
                "a reverse pass ran beside it, so {doubted} written at target-only count as different"
            ));
        }
        if clean && job.kind == PassKind::Reverse {
            self.lower_floors(&job);
        }
        let finished_at_ms = context.now_ms;
        let canceled_by = (!complete).then(|| context.attribution());
        if job.source_wins && !complete {
            self.document.overwritten_until_ms = context.steady_ms.saturating_add(job.residual_ms);
        }
        let (samples, findings) = (Vec::new(), findings.to_vec());
        let evidence =
            Evidence { job, counts: *counts, clean, finished_at_ms, samples, findings, canceled_by };
        self.document.evidence.push(evidence);
        keep_newest(&mut self.document.evidence);
        Ok(())
    }

    /// A record that only the target has can be deleted only while nobody has written to the target alone.
    fn refuse_removal(&self) -> Result<(), Refusal> {
        Refusal::unless_met(self.writes_to_take_back(self.migration.placements(), "what only it has"))
    }

    /// The source wins only while it has every acknowledged write, and every read comes from it.
    fn refuse_source_wins(&self, cover: &Cover) -> Result<(), Refusal> {
        Refusal::unless_met(self.document.restored())?;
        if Mutation::RepairBelowTarget.is_left_out() {
            return Ok(());
        }
        let key = &self.document.key;
        let covered = self.covered_placements(cover);
        let back = self.writes_to_take_back(covered.iter().copied(), "what it has newer");
        let mut unmet: Vec<Unmet> = back.into_iter().collect();
        if covered.iter().any(|placement| placement.rung > Rung::Mirrored) {
            let message = "tenants at target-first or above read the target, so what it has may be in use";
            let action = format!("cutover ramp {key} --target-first 0 --wait, or unpin them; then repair");
            unmet.push(Unmet::of_change(Gate::Stage, message, action));
        }
        Refusal::unless_met(unmet)
    }

    /// Writes of a repair that was canceled may still land, and would do so behind another pass. A restored store
    /// may not know that there was one.
    fn refuse_behind_a_repair(&self, context: &Context<'_>) -> Result<(), Refusal> {
        let left_ms = self.document.overwritten_until_ms.saturating_sub(context.steady_ms);
        if left_ms == 0 {
            return Ok(());
        }
        let message = "last writes may still arrive of a repair that was canceled, or that was under way when the \
                       store was restored";
        let action = format!("run it again in {} s", left_ms.div_ceil(1_000));
        Err(Unmet { by_itself: true, ..Unmet::of_change(Gate::Stage, message, action) }.into())
    }

    /// Beside a repair where the source wins no pass runs but a sample: one of the two would overwrite what the
    /// other has read, and a clean end of the other would show nothing.
    fn refuse_beside(&self, kind: PassKind, source_wins: bool) -> Result<(), Refusal> {
        let mut against = self.document.jobs.iter().filter(|job| {
            source_wins && job.kind != PassKind::Sample || job.source_wins && kind != PassKind::Sample
        });
        let Some(other) = against.next().filter(|_| !Mutation::RepairAlone.is_left_out()) else {
            return Ok(());
        };
        let message = format!(
            "{} {} is under way, and one of the two overwrites what the other has read",
            other.kind.name(),
            other.id
        );
        let action = format!("let it end, or cutover cancel {}", other.id);
        Err(Unmet::of_change(Gate::Stage, message, action).into())
    }

    /// Where the tenants stand that a pass covers.
    pub(super) fn covered_placements(&self, cover: &Cover) -> Vec<Placement> {
        let cuts = [cover.upto_ppm];
        let bands = self.document.bands.pieces(&cuts);
        let bands = bands.filter(|(from, _, _)| *from < cover.upto_ppm).map(|(_, _, placement)| placement);
        bands.chain(self.covered_rows(cover).map(|(_, row)| row.placement)).collect()
    }

    pub(super) fn covered_rows<'a>(
        &'a self,
        cover: &'a Cover,
    ) -> impl Iterator<Item = (Tenant, TenantRow)> + 'a {
        let covered = |tenant: &Tenant| {
            self.migration.bucket(tenant) < cover.upto_ppm || cover.tenants.contains(tenant)
        };
        let rows = self.migration.tenants.iter().filter(move |(tenant, _)| covered(tenant));
        rows.map(|(tenant, row)| (tenant.clone(), *row))
    }
}

/// Drops what no gate asks for before what one may ask for, that before what speaks against a gate, and never the newest.
fn keep_newest(evidence: &mut Vec<Evidence>) {
    while evidence.len() > PASSES_MAX {
        let earlier = &evidence[..evidence.len() - 1];
        let says_nothing = |pass: &Evidence| !pass.may_open_gates() && !pass.finds_what_copying_misses();
        let agrees = |pass: &Evidence| !pass.finds_what_copying_misses();
        let at = earlier.iter().position(says_nothing).or_else(|| earlier.iter().position(agrees));
        let at = at.unwrap_or(0);
        evidence.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(n: usize, kind: PassKind, clean: bool) -> Evidence {
        let job = Job {
            id: format!("orders/{n}"),
            kind,
            cover: Cover { upto_ppm: PPM, tenants: Vec::new() },
            began_revision: 1,
            settled: 1,
            fingerprint: String::new(),
            segments: 0,
            begins_at_ms: 0,
            residual_ms: 0,
            source_wins: false,
            began_at_ms: 0,
            beside_reverse: false,
            expected: 0,
            new_tables: Default::default(),
        };
        let (counts, finished_at_ms, samples, findings) = Default::default();
        Evidence { job, counts, clean, finished_at_ms, samples, findings, canceled_by: None }
    }

    #[test]
    fn a_clean_full_pass_outlives_any_number_of_samples() {
        let mut evidence = vec![ended(0, PassKind::Full, true), ended(1, PassKind::Full, false)];
        for n in 2..100 {
            evidence.push(ended(n, PassKind::Sample, true));
            keep_newest(&mut evidence);
            assert_eq!(evidence.last().map(|evidence| &*evidence.job.id), Some(&*format!("orders/{n}")));
        }
        assert_eq!((evidence.len(), &*evidence[0].job.id), (PASSES_MAX, "orders/0"));
        for n in 100..200 {
            evidence.push(ended(n, PassKind::Full, true));
            keep_newest(&mut evidence);
        }
        let ids: Vec<_> = evidence.iter().map(|evidence| evidence.job.id.clone()).collect();
        assert_eq!(ids, (200 - PASSES_MAX..200).map(|n| format!("orders/{n}")).collect::<Vec<_>>());
    }
}
