//! What a pass that has ended showed, and what to do about it.

use std::{path::Path, time::Duration};

use cutover_proto::v1;
use cutover_store::spec::{Missing, Spec};

use super::{
    super::{Global, out, render},
    progress::Useless,
    read, verify,
};
use crate::jobs::{attributes::Values, quarantine::Rows};

/// How long the quarantine may fail.
const PATIENCE: Duration = Duration::from_secs(5);

/// `values`: those of records that differ. `spec`: the file as it was given, for commands to copy.
pub(super) async fn tell(
    global: &Global,
    evidence: &v1::Evidence,
    useless: &Useless,
    values: Option<&Values>,
    spec: &str,
) {
    if global.json {
        let mut json = render::evidence_json(evidence);
        json["warning"] = Some(&useless.why).filter(|why| !why.is_empty()).cloned().into();
        out::json(&json);
        verify::show(values, true);
        return;
    }
    out::line(&render::evidence_line(evidence));
    render::finding_lines(evidence).iter().for_each(|line| out::line(&format!("  {line}")));
    render::expected(evidence).iter().for_each(|line| out::line(line));
    verify::show(values, false);
    if !evidence.clean {
        let remaining = evidence.counts.and_then(|counts| counts.remaining).unwrap_or_default();
        let parsed = read(Path::new(spec)).ok();
        let in_quarantine = match &parsed {
            Some(spec) if remaining.missing + remaining.stale > 0 => quarantined(spec).await,
            _ => 0,
        };
        let expires = parsed.is_some_and(|spec| spec.ttl.is_some());
        let known = render::Known { spec, in_quarantine, expires };
        render::advice(evidence, known).iter().for_each(|line| out::line(line));
        out::line(&verdict(evidence));
    }
    if useless.why.is_empty() {
        return;
    }
    match evidence.kind() {
        v1::PassKind::Verify => out::line(&useless.at_the_end(v1::PassKind::Verify)),
        kind if evidence.clean => out::error(&useless.at_the_end(kind)),
        _ => {}
    }
}

fn verdict(evidence: &v1::Evidence) -> String {
    match &evidence.canceled_by {
        Some(v1::Attribution { by, reason, .. }) if reason.is_empty() => {
            format!("canceled by {by}; what it did stays")
        }
        Some(v1::Attribution { by, reason, .. }) => {
            format!("canceled by {by}: {reason}; what it did stays")
        }
        None => "not clean: this run does not unblock the next step. Fix the records above and run it again"
            .to_owned(),
    }
}

/// Records that no pass can copy to the target. 0 also if the quarantine can't be read: this is for advice alone.
async fn quarantined(spec: &Spec) -> u64 {
    let quarantine = spec.open_quarantine(Missing::Refuse, |name| std::env::var(name).ok()).await;
    let Ok(Some(quarantine)) = quarantine else { return 0 };
    let (mut rows, mut count) = (Rows::of(&*quarantine, &spec.migration, PATIENCE), 0);
    while let Ok(Some(page)) = rows.next().await {
        count += page.iter().filter(|row| row.toward.name() == "target").count() as u64;
    }
    count
}
