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

/// Text of others on one line, without what a terminal would obey.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.trim().chars() {
        match part {
            '\n' | '\t' => line.push(' '),
            part if part.is_control() => line.extend(part.escape_default()),
            part => line.push(part),
        }
    }
    line
}
