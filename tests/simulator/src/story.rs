//! What happened, for people, and a number that tells two runs apart.

use std::{collections::VecDeque, fmt::Write as _, io};

use crate::{
    system,
    world::{self, Pid, Time},
};

/// Puts the log of whoever runs into the story.
pub struct Log;

impl Log {
    /// From now on this thread's warnings are part of the story.
    pub fn install() -> tracing::subscriber::DefaultGuard {
        let lines = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        let lines = lines.with_max_level(tracing::Level::WARN).with_writer(|| Self);
        tracing::subscriber::set_default(lines.finish())
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let who = world::running().map_or_else(String::new, |pid| format!("log of {pid}: "));
        world::tell(|| who + String::from_utf8_lossy(line).trim());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that are kept.
const LINES_MAX: usize = 20_000;

/// The last lines of what happened.
#[derive(Debug, Default)]
pub struct Story {
    lines: VecDeque<(Time, String)>,
    trace: u64,
    events: u64,
}

impl Story {
    /// Adds a line.
    pub fn tell(&mut self, at: Time, line: impl FnOnce() -> String) {
        let line = line();
        for bytes in line.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.note(at, u64::from_le_bytes(word));
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((at, line));
    }

    /// A process ran.
    pub fn ran(&mut self, at: Time, pid: Pid) {
        self.events += 1;
        self.note(at, pid as u64);
    }

    fn note(&mut self, at: Time, word: u64) {
        self.trace = system::mix(self.trace.rotate_left(5) ^ at ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }

    /// Of everything that happened, in order: equal for equal runs.
    pub const fn trace(&self) -> u64 {
        self.trace
    }

    /// How often a process ran.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The last lines that are to be shown.
    pub fn tail(&self, most: usize, is_shown: impl Fn(&str) -> bool) -> String {
        let shown: Vec<_> = self.lines.iter().filter(|(_, line)| is_shown(line)).collect();
        let mut text = String::new();
        for (at, line) in shown.iter().skip(shown.len().saturating_sub(most)) {
            let ms = at / 1_000_000;
            _ = writeln!(text, "{:>5}.{:03} {line}", ms / 1_000, ms % 1_000);
        }
        text
    }
}
