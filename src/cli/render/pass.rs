//! Passes that have ended.

use cutover_proto::v1;
use serde_json::{Value, json};

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
pub(in crate::cli) const fn differences(differences: &v1::Differences) -> u64 {
    let v1::Differences { missing, stale, ahead, extra, different, unversioned: _ } = *differences;
    missing + stale + ahead + extra + different
}

/// What a pass showed, for people.
pub(in crate::cli) fn evidence_line(evidence: &v1::Evidence) -> String {
    let counts = evidence.counts.unwrap_or_default();
    let mut text = format!(
        "{} {} {}: {} scanned, ",
        pass_kind(evidence.kind()),
        evidence.job,
        if evidence.clean { "clean" } else { "NOT clean" },
        counts.scanned
    );
    let copies = matches!(evidence.kind(), v1::PassKind::Full | v1::PassKind::Reverse);
    text.push_str(&match (counts.copied, counts.found.filter(|_| !copies)) {
        (0, None) => "nothing to copy".to_owned(),
        (copied, None) => format!("{copied} copied"),
        (copied, Some(found)) => {
            let v1::Differences { missing, stale, ahead, extra, different, unversioned: _ } = found;
            let found = format!(
                "{missing} missing, {stale} stale, {ahead} ahead, {extra} extra, {different} different"
            );
            if copied > 0 { format!("{found}; {copied} repaired") } else { found }
        }
    });
    let met = counts.found.filter(|_| copies).unwrap_or_default();
    let rest = [
        (counts.present, "there already"),
        (counts.stale, "newer there"),
        (met.extra, "EXTRA in the target"),
        (met.ahead, "WITHOUT A VERSION in the source"),
        (counts.quarantined, "QUARANTINED"),
        (counts.failed, "FAILED"),
    ];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text.push_str(&format!("; begun with revision {} settled", evidence.settled));
    text
}

/// What to do about what a pass has left, a line each.
pub(in crate::cli) fn advice(evidence: &v1::Evidence) -> Vec<String> {
    let remaining = evidence.counts.unwrap_or_default().remaining.unwrap_or_default();
    let migration = evidence.job.split('/').next().unwrap_or_default();
    let mut lines = Vec::new();
    if remaining.unversioned > 0 {
        lines.push(format!(
            "{} records without a version are in the target alone: the source's were deleted without an SDK",
            remaining.unversioned
        ));
        lines.push("  to delete them: cutover verify SPEC --repair --remove-extra --reason TEXT".to_owned());
        lines.push(format!(
            "  to keep them: cutover ramp {migration} --target-first PCT --override full-pass --reason TEXT"
        ));
    }
    let stamped = remaining.extra.saturating_sub(remaining.unversioned);
    if stamped > 0 {
        lines.push(format!(
            "{stamped} records are in the target alone although they have a version: the source's were deleted, \
             or the target's written, without an SDK"
        ));
        lines.push("  write or delete them once more with an SDK, then run this again".to_owned());
    }
    if remaining.ahead > 0 {
        lines.push(format!(
            "{} records have a higher version in the target: the source's were written without an SDK",
            remaining.ahead
        ));
        lines.push("  write them once more with an SDK, which stamps them, then run this again".to_owned());
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
        "finished_at_ms": evidence.finished_at_ms,
    })
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
        "found": differences(counts.found),
        "remaining": differences(counts.remaining),
    })
}
