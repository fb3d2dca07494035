//! What a step has shown, and what it still has to show.

use super::{ALL_GONE_AFTER_MS, BLIND_AFTER_MS, Brought, Missing, Observed, Taken};
use crate::guard::{Block, Certificate, Operation};

const LOST: &str = "bring them back, or cutover evict --lost if they are dead";

/// Reasons of the guards against any step.
pub(super) fn blocks(seen: &Observed) -> Vec<Missing> {
    let blocks = seen.standing.iter().flat_map(|standing| &standing.blocks);
    blocks.map(|block| Missing::of_reports(told(block))).collect()
}

/// What is missing until the target's errors are known to be within the margin. Evidence that was complete
/// before a controller was killed, which may have lost some counts, remains valid as long as nothing has
/// failed.
pub(super) fn evidence(taken: &Taken, seen: &Observed) -> Vec<Missing> {
    let Some(standing) = &seen.standing else {
        return vec![Missing::of_reports(
            "evidence: there is no data, are the services reporting?".to_owned(),
        )];
    };
    let is_shown = taken.shown_at_ms.is_some();
    if standing.certificates.is_empty() && !is_shown {
        return vec![Missing::of_reports("evidence: nothing has called the target yet".to_owned())];
    }
    let open = standing.certificates.iter().filter(|shown| !(is_shown && shown.bad == 0));
    open.filter_map(certificate).collect()
}

/// Whether nobody has reported on the step, although there was time to.
pub(super) fn is_blind(taken: &Taken, seen: &Observed, now_ms: u64) -> bool {
    let since_ms = taken.settled_at_ms.unwrap_or(now_ms).max(seen.hearing_since_ms);
    if now_ms < since_ms.saturating_add(BLIND_AFTER_MS) {
        return false;
    }
    let Some(standing) = &seen.standing else { return true };
    let is_silent = taken.shown_at_ms.is_none() && standing.certificates.iter().all(|shown| shown.calls == 0);
    // If only some are gone, the guard itself pauses.
    is_silent
        || standing.blocks.iter().any(|block| match block {
            Block::NobodyReports { silent_ms, .. } => *silent_ms >= ALL_GONE_AFTER_MS,
            block => *block == Block::NoTargetCalls,
        })
}

/// Reads that the target could not have answered.
pub(super) fn misses(seen: &Observed) -> Option<Missing> {
    let upper = seen.standing.as_ref()?.miss_upper;
    (upper > seen.miss_max).then(|| {
        let most = seen.miss_max * 100.0;
        Missing::of_reports(match upper {
            1.0 => format!("reads of both stores that show misses under {most:.3} %: none was compared yet"),
            _ => format!(
                "fewer misses: up to {:.3} % of the reads, {most:.3} % are borne; a backfill brings them down, and more reads make it certain",
                upper * 100.0
            ),
        })
    })
}

fn certificate(shown: &Certificate) -> Option<Missing> {
    let operation = name(shown.operation);
    let what = match shown.missing {
        Some(0) => return None,
        Some(calls) => format!("{calls} more {operation} calls to the target"),
        None => format!(
            "fewer {operation} errors: up to {:.3} % over the source's, {:.3} % are borne",
            shown.excess * 100.0,
            shown.margin * 100.0
        ),
    };
    Some(Missing { what, until_ms: shown.expected_ms, by: Brought::Reports })
}

fn told(block: &Block) -> String {
    match block {
        Block::Tripped => "the guards to be judged anew: this stage tripped".to_owned(),
        Block::Suspicion { guard, ln_m, ln_c } => {
            format!("a guard to calm down: {guard} has {ln_m:.1} of {ln_c:.1}, over half of its evidence")
        }
        Block::Source(operation) => format!("the source's {} errors to fall", name(*operation)),
        Block::InstancesGone { gone, live } => {
            format!("{gone} of {} instances that stopped reporting within 10 s: {LOST}", gone + live)
        }
        Block::NobodyReports { instances, .. } => {
            format!("reports: none of {instances} instances reports any more: {LOST}")
        }
        Block::NoTargetCalls => "calls to the target: some are expected, none were made".to_owned(),
    }
}

const fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Write => "write",
    }
}
