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
    let v1::Differences { missing, stale, ahead, extra, different } = *differences;
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
            let v1::Differences { missing, stale, ahead, extra, different } = found;
            let found = format!(
                "{missing} missing, {stale} stale, {ahead} ahead, {extra} extra, {different} different"
            );
            if copied > 0 { format!("{found}; {copied} repaired") } else { found }
        }
    });
    let rest = [
        (counts.present, "there already"),
        (counts.stale, "newer there"),
        (counts.quarantined, "QUARANTINED"),
        (counts.failed, "FAILED"),
    ];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text.push_str(&format!("; begun with revision {} settled", evidence.settled));
    text
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
        let v1::Differences { missing, stale, ahead, extra, different } = differences?;
        Some(json!({
            "missing": missing, "stale": stale, "ahead": ahead, "extra": extra, "different": different,
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
