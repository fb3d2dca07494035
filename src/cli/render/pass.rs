//! Passes that have ended.

use cutover_proto::v1;
use serde_json::{Value, json};

use super::attribution_json;
use crate::{domain, gist};

/// What kind of pass, in one word.
pub(in crate::cli) const fn pass_kind(kind: v1::PassKind) -> &'static str {
    match kind {
        v1::PassKind::Unspecified | v1::PassKind::Full => "full",
        v1::PassKind::Verify => "verify",
        v1::PassKind::Sweep => "sweep",
        v1::PassKind::Sample => "sample",
        v1::PassKind::Reverse => "reverse",
    }
}

/// All differences together.
const fn differences(differences: &v1::Differences) -> u64 {
    let v1::Differences { missing, stale, ahead, extra, different, unversioned: _ } = *differences;
    missing + stale + ahead + extra + different
}

pub(in crate::cli) fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// What a pass showed, for people.
pub(in crate::cli) fn evidence_line(evidence: &v1::Evidence) -> String {
    let kind = evidence.kind();
    let counts = evidence.counts.unwrap_or_default();
    let how = match (&evidence.canceled_by, evidence.clean, kind) {
        (Some(_), ..) => "canceled",
        // It says nothing about the records that it left out.
        (None, true, v1::PassKind::Sample) => "found no difference",
        (None, true, _) => "clean",
        (None, false, _) => "NOT clean",
    };
    let what = match kind {
        v1::PassKind::Verify | v1::PassKind::Sample | v1::PassKind::Sweep => compared(&counts),
        _ => copied(kind, &counts),
    };
    let rest = [(counts.quarantined, "QUARANTINED"), (counts.failed, "FAILED")];
    let rest: String = rest
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    let bound = evidence.differ_at_most.map_or(String::new(), |share| {
        format!("; at most {} % of all records differ (95 % confidence)", domain::percent_up(share))
    });
    let is_empty =
        evidence.clean && matches!(kind, v1::PassKind::Full | v1::PassKind::Verify) && counts.scanned == 0;
    let empty = if is_empty { "; NO RECORD FOUND: is the source the right table?" } else { "" };
    let (kind, job, settled) = (pass_kind(kind), &evidence.job, evidence.settled);
    let since = match settled {
        0 => "started before every instance had reported since the controller's start".to_owned(),
        settled => format!("started when every instance had reached revision {settled}"),
    };
    format!("{kind} {job} {how}: {what}{rest}{bound}{empty}; {since}")
}

/// Why a clean pass shows records that differ.
pub(in crate::cli) fn expected(evidence: &v1::Evidence) -> Option<String> {
    let newer = evidence.counts.unwrap_or_default().target_only;
    (evidence.clean && newer > 0).then(|| {
        format!(
            "expected: {} newer in the target, or only there. Tenants that are or were at target-only have writes that \
             the source lacks, until cutover reverse copies them",
            if newer == 1 { "1 record is".to_owned() } else { format!("{newer} records are") }
        )
    })
}

/// Every record is in one class: they add up to what was compared.
fn compared(counts: &v1::PassCounts) -> String {
    let found = counts.found.unwrap_or_default();
    let v1::Differences { missing, stale, ahead, extra, different, unversioned: _ } = found;
    // An earlier version did not count them.
    let mut text = if counts.compared == 0 && counts.scanned > 0 {
        format!("{} scanned", counts.scanned)
    } else {
        let same = counts.compared.saturating_sub(differences(&found) + counts.target_only);
        format!("{} compared: {same} the same", counts.compared)
    };
    for (count, what) in [
        (missing, "missing"),
        (stale, "stale"),
        (ahead, "ahead"),
        (extra, "extra"),
        (different, "different"),
        (counts.target_only, "written at target-only"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if counts.copied > 0 {
        text.push_str(&format!("; {} repaired", counts.copied));
    }
    text
}

fn copied(kind: v1::PassKind, counts: &v1::PassCounts) -> String {
    let found = counts.found.unwrap_or_default();
    let mut text = format!("{} scanned, ", counts.scanned);
    text.push_str(&match counts.copied {
        0 => "nothing to copy".to_owned(),
        copied => format!("{copied} copied"),
    });
    let met = counts.copied + counts.present + counts.stale + counts.quarantined + counts.failed;
    let others = if kind == v1::PassKind::Reverse { counts.scanned.saturating_sub(met) } else { 0 };
    let newer = match (kind, found.ahead) {
        (v1::PassKind::Reverse, _) => "newer in the source",
        (_, 0) => "newer in the target",
        _ => "newer in the target only at the first look",
    };
    for (count, what) in [
        (others, "of tenants that were not at target-only"),
        (counts.present, "there already"),
        (counts.stale.saturating_sub(if kind == v1::PassKind::Reverse { 0 } else { found.ahead }), newer),
        (found.missing, "MISSING in the target"),
        (found.extra, "EXTRA in the target"),
        (found.ahead, "NEWER in the target"),
        (counts.target_only, "written at target-only"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    // The progress counted them, too.
    if counts.checked > 0 {
        text.push_str(&format!("; {} of the {} checked", counts.checked, gist::checked_store(kind)));
    }
    text
}

/// Why records differ or could not be moved: each reason with its count, then some examples.
pub(in crate::cli) fn finding_lines(evidence: &v1::Evidence) -> Vec<String> {
    let counts = evidence.counts.unwrap_or_default();
    let mut lines = Vec::new();
    for v1::Finding { what, records, examples } in &evidence.findings {
        if *records > 1 {
            lines.push(format!("{records} {what}"));
        }
        let indent = if *records > 1 { "  " } else { "" };
        lines.extend(examples.iter().map(|example| format!("{indent}{example}")));
    }
    let shown: u64 = evidence.findings.iter().map(|finding| finding.records).sum();
    let found = counts.found.map_or(0, |found| differences(&found));
    let all = counts.quarantined + counts.failed + found;
    if all > shown && !lines.is_empty() {
        lines.push(format!("{} for other reasons", all - shown));
    }
    lines
}

/// The migration in a job's id.
pub(in crate::cli) fn migration_of(job: &str) -> &str {
    job.split('/').next().unwrap_or_default()
}

/// `1 record is`, or `5 records are`.
fn are(count: u64) -> String {
    format!("{} {}", records(count), if count == 1 { "is" } else { "are" })
}

/// What is known of a pass besides its counts.
#[derive(Clone, Copy, Default)]
pub(in crate::cli) struct Known<'a> {
    /// The spec file, for commands to copy.
    pub(in crate::cli) spec: &'a str,
    /// Records that don't fit the target, as far as it is known.
    pub(in crate::cli) in_quarantine: u64,
    /// Whether records expire.
    pub(in crate::cli) expires: bool,
}

/// What to do about what a pass has left, a line each.
pub(in crate::cli) fn advice(evidence: &v1::Evidence, known: Known<'_>) -> Vec<String> {
    let Known { spec, in_quarantine, expires } = known;
    let counts = evidence.counts.unwrap_or_default();
    let remaining = counts.remaining.unwrap_or_default();
    let migration = migration_of(&evidence.job);
    let mut lines = Vec::new();
    let others = counts.quarantined + counts.failed + differences(&remaining);
    if counts.target_only > 0 && others == 0 && !evidence.clean && evidence.canceled_by.is_none() {
        lines.push(format!(
            "{} of tenants that were at target-only count as different, because a reverse pass ran beside this one",
            records(counts.target_only)
        ));
        lines.push("  run this again once the reverse pass has ended".to_owned());
    }
    if evidence.counts.is_some_and(|counts| counts.quarantined > 0) {
        lines.push(format!("all records that don't fit: cutover quarantine list {spec}"));
        lines.push(format!("  once they do: cutover quarantine retry {spec} tries just these"));
    }
    if remaining.unversioned > 0 {
        lines.push(format!(
            "{} in the target alone, without a version: the source's were deleted, or the target's inserted, without an \
             SDK",
            are(remaining.unversioned)
        ));
        lines.push(format!("  to delete them: cutover verify {spec} --repair --remove-extra --reason TEXT"));
        let all = if expires {
            String::new()
        } else {
            format!(
                ", or for all at once: cutover ramp {migration} --target-first PCT --override full-pass --reason TEXT"
            )
        };
        lines.push(format!("  to keep them: write them once with an SDK{all}"));
    }
    let behind = remaining.missing + remaining.stale;
    if behind > 0 && evidence.kind() != v1::PassKind::Reverse {
        lines.push(format!("{} missing or older in the target", are(behind)));
        if in_quarantine > 0 {
            lines.push(format!(
                "  {} in quarantine don't fit, so no pass can copy them. Fix them: cutover quarantine list {spec}",
                records(in_quarantine)
            ));
        }
        let others = if in_quarantine > 0 { "then" } else { "to copy them" };
        lines.push(format!("  {others}: cutover backfill {spec}, or cutover verify {spec} --repair"));
        if remaining.missing > 0 && expires {
            let line = "  records expire (ttl), so nothing is added where the target is read: first ramp those tenants to mirrored";
            lines.push(line.to_owned());
        }
    }
    let failed = evidence.counts.unwrap_or_default().failed;
    if failed > 0 {
        lines.push(format!("{} can't be read or written; no pass can repair that", records(failed)));
        lines.push(format!(
            "  correct them with the store's own tools. If only the target's is wrong, and its tenant was never at \
             target-only: delete it there, then cutover backfill {spec}"
        ));
        lines.push(
            "  a record that another spec wrote can be written again by an SDK: docs/spec.md, \"Changing a spec\"".to_owned(),
        );
    }
    if evidence.kind() == v1::PassKind::Reverse {
        if remaining.missing > 0 {
            lines.push(format!(
                "{} in the source alone, and the target may never have had them: they were not deleted",
                are(remaining.missing)
            ));
            lines.push("  write or delete them once more with an SDK, then run this again".to_owned());
        }
        let kept_out = remaining.ahead + remaining.extra;
        if kept_out > 0 {
            lines.push(format!(
                "{} could not go back: the source's ledger has a newer version, but another program deleted the row or \
                 inserted it again",
                records(kept_out)
            ));
            lines.push("  write or delete them once more with an SDK, then run this again".to_owned());
        }
        return lines;
    }
    let stamped = remaining.extra.saturating_sub(remaining.unversioned);
    if stamped + remaining.ahead > 0 {
        lines.push(
            "if an earlier migration to this target was finished, the target is right and this source is out of date: \
             don't overwrite it. Otherwise:"
                .to_owned(),
        );
    }
    if stamped > 0 {
        lines.push(format!(
            "{} in the target alone although there is a version: the source's were deleted, or the target's written, \
             without an SDK",
            are(stamped)
        ));
        lines.push("  write or delete them once more with an SDK, then run this again".to_owned());
    }
    if remaining.different > 0 {
        lines.push(format!(
            "{} of the same version, but of other content: the source's or the target's was written without an SDK",
            are(remaining.different)
        ));
        lines.push("  write them once more with an SDK, then run this again".to_owned());
    }
    if remaining.ahead > 0 {
        lines.push(format!(
            "{} newer in the target: something wrote them in one of the stores without an SDK",
            are(remaining.ahead)
        ));
        lines.push("  write them once more with an SDK, which stamps them, then run this again".to_owned());
    }
    if stamped + remaining.ahead + remaining.different > 0 {
        lines.push("if the source is right in all of them, and everybody reads it:".to_owned());
        lines.push(format!("  cutover verify {spec} --repair --source-wins --reason TEXT"));
    }
    lines
}

/// What a pass showed.
pub(in crate::cli) fn evidence_json(evidence: &v1::Evidence) -> Value {
    json!({
        "job": evidence.job,
        "kind": pass_kind(evidence.kind()),
        "clean": evidence.clean,
        "settled": evidence.settled,
        "began_revision": evidence.began_revision,
        "upto_ppm": evidence.upto_ppm,
        "counts": counts_json(&evidence.counts.unwrap_or_default()),
        "samples": evidence.samples,
        "differ_at_most": evidence.differ_at_most,
        "findings": evidence.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "finished_at_ms": evidence.finished_at_ms,
        "canceled_by": evidence.canceled_by.as_ref().map(attribution_json),
    })
}

fn finding_json(finding: &v1::Finding) -> Value {
    let v1::Finding { what, records, examples } = finding;
    json!({ "what": what, "records": records, "examples": examples })
}

/// What a pass did, in records.
pub(in crate::cli) fn counts_json(counts: &v1::PassCounts) -> Value {
    let differences = |differences: Option<v1::Differences>| {
        let v1::Differences { missing, stale, ahead, extra, different, unversioned } = differences?;
        Some(json!({
            "missing": missing, "stale": stale, "ahead": ahead, "extra": extra, "different": different,
            "unversioned": unversioned,
        }))
    };
    json!({
        "scanned": counts.scanned,
        "copied": counts.copied,
        "present": counts.present,
        "stale": counts.stale,
        "quarantined": counts.quarantined,
        "failed": counts.failed,
        "bytes": counts.bytes,
        "compared": counts.compared,
        "checked": counts.checked,
        "target_only": counts.target_only,
        "found": differences(counts.found),
        "remaining": differences(counts.remaining),
    })
}
