//! What migrations do: whether one was rolled back, stands still, or lacks an instance or a clean pass.

use cutover_proto::v1;

use super::{Global, Report};
use crate::{
    cli::{connect::answer, render},
    gist::{self, Gist, Tone, gist},
};

/// Migrations that are listed.
const MIGRATIONS_MAX: usize = 20;

/// All that need somebody.
pub(super) async fn check(global: &Global, report: &mut Report) {
    // Why it can't be reached was said before.
    let Ok(mut admin) = global.admin().await else { return };
    let Ok(listed) = answer(admin.list_migrations(v1::ListMigrationsRequest {})).await else { return };
    let glances = listed.glances.iter().filter_map(|glance| Some((&glance.key, glance.gist.as_ref()?)));
    let urgent = glances.filter(|(_, gist)| gist.urgency() != v1::Urgency::Calm);
    let urgent: Vec<_> = urgent.collect();
    if urgent.is_empty() {
        return;
    }
    report.begin("migrations");
    for (_, gist) in urgent.iter().take(MIGRATIONS_MAX) {
        match gist.urgency() {
            v1::Urgency::Alarm => report.fail(&gist.what, next(&gist.next)),
            _ => report.warn(&gist.what, next(&gist.next)),
        }
    }
    if urgent.len() > MIGRATIONS_MAX {
        report.warn(format!("{} more need somebody", urgent.len() - MIGRATIONS_MAX), "cutover list");
    }
}

/// The migration of a spec: what it does, its instances, and its newest pass.
pub(super) fn one(status: &v1::Status, report: &mut Report) {
    let Gist { what, next: then, tone, .. } = gist(status, gist::ago);
    match tone {
        Tone::Calm => report.ok(&what),
        Tone::Waiting => report.warn(&what, next(&then)),
        Tone::Alarm => report.fail(&what, next(&then)),
    }
    let migration = status.migration.clone().unwrap_or_default();
    let key = &migration.key;
    let is_lost = |it: &&v1::Instance| it.lost && !it.counted_out && !it.parked;
    let lost = status.instances.iter().filter(is_lost).count();
    if lost > 0 {
        report.warn(
            format!("instances that are lost: {lost}"),
            format!("cutover instances {key}; cutover evict ID --lost --reason .. if the process is dead"),
        );
    }
    let is_over = matches!(migration.state(), v1::State::Finished | v1::State::Abandoned);
    let unclean = migration.evidence.last().filter(|pass| !pass.clean && !is_over);
    if let Some(pass) = unclean {
        let action =
            "Correct what it found, and run it again: cutover quarantine list SPEC, cutover verify SPEC";
        report.warn(format!("the newest pass: {}", render::evidence_line(pass)), action);
    }
}

fn next(action: &str) -> String {
    if action.is_empty() { String::new() } else { format!("Next: {action}") }
}
