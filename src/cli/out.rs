//! Standard output that does not mind when its reader has gone.

use std::io::{self, Write};

use serde_json::Value;

/// A line on stdout. A reader that has gone ends the process quietly, as it does any filter.
pub(super) fn line(text: &str) {
    if writeln!(io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// JSON on one line of stdout.
pub(super) fn json(value: &Value) {
    line(&value.to_string());
}

/// A line on stderr.
pub(super) fn error(text: &str) {
    // Nobody is left to be told when stderr has gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
