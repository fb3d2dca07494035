//! The controller's own store, if its file is on this machine.

use super::Report;
use crate::server;

/// A controller needs room for its log and for a copy of it while it is written back.
const FREE_MIN_BYTES: u64 = 1 << 30;

pub(super) async fn check(url: &str, report: &mut Report) {
    report.begin(format!("store {}", server::shown_store(url)));
    if !url.starts_with("sqlite:") {
        return report.warn(
            "it is no file on this machine, so it can't be checked from here",
            "The controller's finding about its store is above; the server has tools of its own",
        );
    }
    let found = match server::inspect(url).await {
        Ok(found) => found,
        Err(error) => return report.fail(error.to_string(), ""),
    };
    report.ok(format!("the file is intact, at revision {}, {}", found.revision, size(found.bytes)));
    match found.schema.cmp(&found.known) {
        std::cmp::Ordering::Equal => report.ok(format!("schema {}, the newest", found.schema)),
        std::cmp::Ordering::Less => report.warn(
            format!("schema {}, and this version's is {}", found.schema, found.known),
            "The next start of cutover serve changes it; older versions can't read it then. Back it up first",
        ),
        std::cmp::Ordering::Greater => report.fail(
            format!(
                "schema {} was made by a newer cutover; this version knows {}",
                found.schema, found.known
            ),
            "Run the newer version",
        ),
    }
    let free = size(found.free_bytes);
    match found.free_bytes {
        FREE_MIN_BYTES.. => report.ok(format!("its disk has {free} left")),
        _ => report.warn(
            format!("its disk has only {free} left"),
            "Make room: without any, no change can be committed, not even a rollback",
        ),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_048_575 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        1_048_576..=1_073_741_823 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
