//! Standard output that does not mind when its reader has gone.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use cutover_core::text::is_visible;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{server, view::wrap};

/// This process is a member that has to say goodbye before it ends.
static IS_MEMBER: AtomicBool = AtomicBool::new(false);
static READER_HAS_GONE: Notify = Notify::const_new();

/// A line on stdout. A reader that has gone ends the process quietly, as it does any filter, or through
/// [`stop_signal`].
pub(super) fn line(text: &str) {
    if writeln!(io::stdout().lock(), "{text}").is_ok() {
        return;
    }
    match IS_MEMBER.load(Ordering::Relaxed) {
        true => READER_HAS_GONE.notify_one(),
        false => std::process::exit(0),
    }
}

/// A line for people, broken between words where a terminal ends.
pub(super) fn text(text: &str) {
    wrap(text, columns()).iter().for_each(|part| line(part));
}

/// Columns of the terminal that stdout is; of a file or a pipe any number.
pub(super) fn columns() -> usize {
    let terminal = console::Term::stdout();
    if terminal.is_term() { usize::from(terminal.size().1) } else { usize::MAX }
}

/// Returns when a worker has to stop: at a signal, or when the reader of stdout has gone. Without its goodbye every next
/// step would wait for it.
pub(super) async fn stop_signal() {
    IS_MEMBER.store(true, Ordering::Relaxed);
    tokio::select! {
        () = server::stop_signal() => {}
        () = READER_HAS_GONE.notified() => {}
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
            part if !is_visible(part) => line.extend(part.escape_default()),
            part => line.push(part),
        }
    }
    line
}
