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

/// How much of it is read: `665 of about 3000 records (22 %)`.
pub fn far(job: &v1::Job) -> String {
    let read = read(job);
    match job.expected {
        0 => format!("{read} scanned"),
        // More were written meanwhile, or the store's estimate is old.
        expected if expected < read => format!("{read} scanned, expected about {expected}"),
        expected => format!("{read} of about {expected} records ({} %)", read * 100 / expected),
    }
}

/// The command that continues a pass that stands still. `None`: it is under way, or waits for something else.
pub(super) fn stands_still(job: &v1::Job) -> Option<String> {
    if job.tuning.unwrap_or_default().paused {
        return Some(format!("cutover tune {} --resume", job.id));
    }
    (job.waiting.is_empty() && job.claims.is_empty()).then(|| format!("{}, which continues it", command(job)))
}
