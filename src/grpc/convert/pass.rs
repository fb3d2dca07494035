//! Passes on the wire.

use cutover_proto::v1;
use cutover_store::Id;

use crate::{
    domain::{Differences, Evidence, Finding, PassCounts, PassKind, PassTables, TableIdentity, Violation},
    service::{Progress, Tuning, Witness, operate::now_ms},
};

/// Maximum bytes of a table's id, and of its place.
const TABLE_MAX_BYTES: usize = 1024;

pub(in crate::grpc) fn evidence(evidence: &Evidence) -> v1::Evidence {
    let Evidence { job, counts, clean, finished_at_ms, samples, findings, canceled_by } = evidence;
    let examples = findings.iter().flat_map(|finding| &finding.examples);
    v1::Evidence {
        job: job.id.clone(),
        kind: kind(job.kind).into(),
        settled: job.settled,
        began_revision: job.began_revision,
        upto_ppm: job.cover.upto_ppm,
        tenants: job.cover.tenants.iter().map(ToString::to_string).collect(),
        counts: Some(counts_to_wire(counts)),
        clean: *clean,
        finished_at_ms: *finished_at_ms,
        samples: samples.iter().chain(examples).cloned().collect(),
        canceled_by: canceled_by.as_ref().map(super::attribution),
        findings: findings.iter().map(finding_to_wire).collect(),
        differ_at_most: evidence.differ_at_most(),
        fingerprint: job.fingerprint.clone(),
    }
}

fn finding_to_wire(finding: &Finding) -> v1::Finding {
    let Finding { what, records, examples } = finding.clone();
    v1::Finding { what, records, examples }
}

pub(in crate::grpc) fn finding_from_wire(finding: v1::Finding) -> Finding {
    let v1::Finding { what, records, examples } = finding;
    Finding { what, records, examples }
}

pub(in crate::grpc) fn job(progress: &Progress, joined: bool) -> v1::Job {
    let Progress { job, record, claims, waiting, useless } = progress;
    let (warning, warning_action) =
        useless.as_ref().map(|it| (it.message.clone(), it.action.clone())).unwrap_or_default();
    let age_ms = if job.began_at_ms == 0 { 0 } else { now_ms().saturating_sub(job.began_at_ms) };
    let mut counts = PassCounts::default();
    record.segments.iter().for_each(|segment| counts.add(&segment.counts));
    let claim = |(segment, claim): &(u32, crate::service::Claim)| v1::Claim {
        segment: *segment,
        instance_id: claim.instance_id.clone(),
        silent_ms: claim.at.elapsed().as_millis() as u64,
        note: claim.note.clone(),
    };
    v1::Job {
        id: job.id.clone(),
        migration: job.id.split('/').next().unwrap_or_default().to_owned(),
        kind: kind(job.kind).into(),
        began_revision: job.began_revision,
        settled: job.settled,
        upto_ppm: job.cover.upto_ppm,
        tenants: job.cover.tenants.iter().map(ToString::to_string).collect(),
        segments: job.segments,
        fingerprint: job.fingerprint.clone(),
        joined,
        tuning: Some(tuning_to_wire(record.tuning)),
        segments_done: record.segments.iter().filter(|segment| segment.done).count() as u32,
        counts: Some(counts_to_wire(&counts)),
        claims: claims.iter().map(claim).collect(),
        waiting: waiting.clone(),
        warning,
        warning_action,
        age_ms,
        expected: job.expected,
        witnesses: record.witnesses.iter().map(witness_to_wire).collect(),
        source: record.source.as_ref().map(table_to_wire),
        target: record.target.as_ref().map(table_to_wire),
        new_source: job.new_tables.source,
        new_target: job.new_tables.target,
    }
}

fn table_to_wire(table: &TableIdentity) -> v1::StoreIdentity {
    let TableIdentity { id, place, ledger } = table.clone();
    v1::StoreIdentity { id, place, ledger }
}

pub(in crate::grpc) fn tables_from_wire(
    source: Option<v1::StoreIdentity>,
    target: Option<v1::StoreIdentity>,
) -> Result<PassTables, Violation> {
    Ok(PassTables { source: table_from_wire("source", source)?, target: table_from_wire("target", target)? })
}

fn table_from_wire(
    field: &str,
    table: Option<v1::StoreIdentity>,
) -> Result<Option<TableIdentity>, Violation> {
    let Some(v1::StoreIdentity { id, place, ledger }) = table else { return Ok(None) };
    let fits = |text: &str| text.len() <= TABLE_MAX_BYTES && !text.chars().any(char::is_control);
    if id.is_empty() || !fits(&id) || !fits(&place) || !fits(&ledger) {
        let message = format!("give an id, and at most {TABLE_MAX_BYTES} bytes without control characters");
        return Err(Violation::new(field, message));
    }
    Ok(Some(TableIdentity { id, place, ledger }))
}

fn witness_to_wire(witness: &Witness) -> v1::Witness {
    let Witness { tenant, key, version } = witness.clone();
    v1::Witness { tenant, key, version }
}

pub(in crate::grpc) fn witness_from_wire(witness: v1::Witness) -> Result<Witness, Violation> {
    let v1::Witness { tenant, key, version } = witness;
    Id::new(&tenant, &key).map_err(|error| Violation::new("witness", error.to_string()))?;
    Ok(Witness { tenant, key, version })
}

const fn kind(kind: PassKind) -> v1::PassKind {
    match kind {
        PassKind::Full => v1::PassKind::Full,
        PassKind::Verify => v1::PassKind::Verify,
        PassKind::Sweep => v1::PassKind::Sweep,
        PassKind::Sample => v1::PassKind::Sample,
        PassKind::Reverse => v1::PassKind::Reverse,
    }
}

pub(in crate::grpc) fn kind_from_wire(kind: i32) -> Result<PassKind, Violation> {
    match v1::PassKind::try_from(kind) {
        Ok(v1::PassKind::Unspecified | v1::PassKind::Full) => Ok(PassKind::Full),
        Ok(v1::PassKind::Verify) => Ok(PassKind::Verify),
        Ok(v1::PassKind::Sweep) => Ok(PassKind::Sweep),
        Ok(v1::PassKind::Sample) => Ok(PassKind::Sample),
        Ok(v1::PassKind::Reverse) => Ok(PassKind::Reverse),
        Err(_) => Err(Violation::new("kind", "is no pass that this controller knows")),
    }
}

pub(in crate::grpc) const fn tuning_to_wire(tuning: Tuning) -> v1::Tuning {
    let Tuning { paused, records_per_s, bytes_per_s } = tuning;
    v1::Tuning { paused, records_per_s, bytes_per_s }
}

pub(in crate::grpc) const fn tuning_from_wire(tuning: &v1::Tuning) -> Tuning {
    let v1::Tuning { paused, records_per_s, bytes_per_s } = *tuning;
    Tuning { paused, records_per_s, bytes_per_s }
}

pub(in crate::grpc) fn counts_to_wire(counts: &PassCounts) -> v1::PassCounts {
    let PassCounts {
        scanned,
        copied,
        present,
        stale,
        quarantined,
        failed,
        bytes,
        found,
        remaining,
        compared,
        checked,
        target_only,
    } = *counts;
    let differences = |Differences { missing, stale, ahead, extra, different, unversioned }| {
        v1::Differences { missing, stale, ahead, extra, different, unversioned }
    };
    v1::PassCounts {
        scanned,
        copied,
        stale,
        quarantined,
        failed,
        present,
        bytes,
        found: Some(differences(found)),
        remaining: Some(differences(remaining)),
        compared,
        checked,
        target_only,
    }
}

pub(in crate::grpc) fn counts_from_wire(counts: v1::PassCounts) -> PassCounts {
    let v1::PassCounts {
        scanned,
        copied,
        stale,
        quarantined,
        failed,
        present,
        bytes,
        found,
        remaining,
        compared,
        checked,
        target_only,
    } = counts;
    let differences = |differences: Option<v1::Differences>| {
        let v1::Differences { missing, stale, ahead, extra, different, unversioned } =
            differences.unwrap_or_default();
        Differences { missing, stale, ahead, extra, different, unversioned }
    };
    PassCounts {
        scanned,
        copied,
        present,
        stale,
        quarantined,
        failed,
        bytes,
        found: differences(found),
        remaining: differences(remaining),
        compared,
        checked,
        target_only,
    }
}
