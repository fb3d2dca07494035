//! The files that this command line or its environment names.

use cutover_clock::now_ms;

use super::{Global, Report};
use crate::server::certificate_ends_s;

pub(super) fn check(global: &Global, report: &mut Report) {
    let files = [("the CA", &global.ca), ("the client certificate", &global.client_cert)];
    let given: Vec<_> = files.into_iter().filter_map(|(what, path)| Some((what, path.as_ref()?))).collect();
    if given.is_empty() {
        return;
    }
    report.begin("certificates");
    for (what, path) in given {
        let what = format!("{what} in {}", path.display());
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                report.fail(format!("can't read {what}: {error}"), "");
                continue;
            }
        };
        match certificate_ends_s(&text) {
            Some(ends_s) => {
                let ends_ms = ends_s.saturating_mul(1000);
                report.ends(&what, ends_ms, now_ms(), "Replace the file by a new certificate");
            }
            None => report.fail(
                format!("{what} is no certificate"),
                "Give it in PEM, as in -----BEGIN CERTIFICATE-----",
            ),
        }
    }
}
