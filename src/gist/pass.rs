//! A pass that is running, in words.

use cutover_proto::v1;

/// The command that continues a pass, or begins another one like it.
pub fn command(job: &v1::Job) -> &'static str {
    match job.kind() {
        v1::PassKind::Unspecified | v1::PassKind::Full => "cutover backfill SPEC",
        v1::PassKind::Verify => "cutover verify SPEC",
        v1::PassKind::Sweep => "cutover verify SPEC --sweep",
        v1::PassKind::Sample => "cutover verify SPEC --sample PCT",
        v1::PassKind::Reverse => "cutover reverse SPEC",
    }
}

/// A pass that is running, in a few words.
pub fn pass(job: &v1::Job) -> String {
    let kind = job.kind().as_str_name().trim_start_matches("PASS_KIND_").to_lowercase();
    let workers: std::collections::BTreeSet<&str> =
        job.claims.iter().map(|claim| claim.instance_id.as_str()).collect();
    let how = match (job.tuning.unwrap_or_default().paused, job.waiting.as_str(), workers.len()) {
        (true, ..) => "paused".to_owned(),
        (_, waiting, _) if !waiting.is_empty() => waiting.to_owned(),
        (_, _, 0) => "NO WORKER".to_owned(),
        (_, _, 1) => "1 worker".to_owned(),
        (_, _, workers) => format!("{workers} workers"),
    };
    format!("{kind} pass {}, {}, {how}", job.id, far(job))
}

/// Records that it has read, of both stores.
pub fn read(job: &v1::Job) -> u64 {
    let counts = job.counts.unwrap_or_default();
    counts.scanned + counts.checked
}

/// Which part of that is checked only, to find what this store has alone: `20 of them in the target`.
pub fn checked(job: &v1::Job) -> Option<String> {
    let checked = job.counts.unwrap_or_default().checked;
    (checked > 0).then(|| format!("{checked} of them in the {}", checked_store(job.kind())))
}

/// The store of which a pass only checks records.
pub fn checked_store(kind: v1::PassKind) -> &'static str {
    if kind == v1::PassKind::Reverse { "source" } else { "target" }
}

/// How much of it is read: `665 of about 3000 records (22 %)`.
pub fn far(job: &v1::Job) -> String {
    let read = read(job);
    match job.expected {
        0 => format!("{read} records read"),
        // More were written meanwhile, or the store's estimate is old.
        expected if expected < read => format!("{read} records read, expected about {expected}"),
        expected => {
            let share = read * 100 / expected;
            // It is done when all segments are.
            let share = if job.segments_done < job.segments { share.min(99) } else { share };
            format!("{read} of about {expected} records ({share} %)")
        }
    }
}

/// The command that continues a pass that stands still. `None`: it is under way, or waits for something else.
pub(super) fn stands_still(job: &v1::Job) -> Option<String> {
    if job.tuning.unwrap_or_default().paused {
        return Some(format!("cutover tune {} --resume", job.id));
    }
    (job.waiting.is_empty() && job.claims.is_empty()).then(|| format!("{}, which continues it", command(job)))
}
