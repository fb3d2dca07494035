//! The controller's own store: a file on this machine, or what several controllers share.

use std::cmp::Ordering;

use super::Report;
use crate::server::{self, Inspected, Leader};

/// A controller needs room for its log and for a copy of it while it is written back.
const FREE_MIN_BYTES: u64 = 1 << 30;

pub(super) async fn check(url: &str, report: &mut Report) {
    report.begin(format!("store {}", server::shown_store(url)));
    match server::inspect(url).await {
        Ok(Inspected::File { schema, known, revision, bytes, free_bytes }) => {
            report.ok(format!("the file is intact, at revision {revision}, {}", size(bytes)));
            of_schema(schema, known, report);
            of_disk(free_bytes, report);
        }
        Ok(Inspected::Shared { schema, format, revision, leader, is_renewed }) => {
            report.ok(format!("it answers, at revision {revision}"));
            if let Some((schema, known)) = schema {
                of_schema(schema, known, report);
            }
            of_format(format, report);
            of_leader(&leader, is_renewed, report);
        }
        Err(error) => report.fail(error.to_string(), ""),
    }
}

fn of_schema(schema: i64, known: i64, report: &mut Report) {
    match schema.cmp(&known) {
        Ordering::Equal => report.ok(format!("schema {schema}, the newest")),
        Ordering::Less => report.warn(
            format!("schema {schema}, and this version's is {known}"),
            "The next start of cutover serve changes it; older versions can't read it then. Back it up first",
        ),
        Ordering::Greater => report.fail(
            format!("schema {schema} was made by a newer cutover; this version knows {known}"),
            "Run the newer version",
        ),
    }
}

/// A newer one is reported as a failure to look: nobody but a newer version may lead there.
fn of_format((format, known): (u64, u64), report: &mut Report) {
    match format {
        _ if format == known => report.ok(format!("format {format}, the newest")),
        _ => report.warn(
            format!("format {format}, and this version's is {known}"),
            "Once a controller of this version has led, older ones never lead again",
        ),
    }
}

fn of_disk(free_bytes: u64, report: &mut Report) {
    let free = size(free_bytes);
    match free_bytes {
        FREE_MIN_BYTES.. => report.ok(format!("its disk has {free} left")),
        _ => report.warn(
            format!("its disk has only {free} left"),
            "Make room: without any, no change can be committed, not even a rollback",
        ),
    }
}

fn of_leader(leader: &Leader, is_renewed: bool, report: &mut Report) {
    match leader {
        Leader::Known(name) if is_renewed => report.ok(format!("{name} leads, and renews its lease")),
        Leader::Known(name) => report.fail(
            format!("{name} led last, and does not renew its lease, and nobody takes over"),
            "Nothing can be committed: see whether controllers run, and reach the store",
        ),
        Leader::Nobody => report.warn(
            "no controller leads",
            "Start one: cutover serve --store with this URL. SDKs go on by what they know",
        ),
        Leader::Unknown(why) => report.fail(why.clone(), ""),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_048_575 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        1_048_576..=1_073_741_823 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
