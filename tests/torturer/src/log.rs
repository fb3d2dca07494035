//! A worker's log, one line per event, written before the worker continues: it survives kill -9.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One line. Times are nanoseconds of the machine's monotonic clock, which all processes share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// A write begins. `value` is unique; `None`: a delete.
    Begin { op: u64, record: String, value: Option<u64>, at: u64 },
    /// It was answered.
    End { op: u64, answer: Answer, at: u64 },
    /// A read that was answered. `found`: the number of the write; `None`: nothing.
    Read { record: String, found: Option<u64>, began: u64, ended: u64 },
}

/// How a write was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Acknowledged,
    NotApplied,
    Indeterminate,
}

/// A worker's log.
#[derive(Debug)]
pub struct Log {
    file: File,
    ops: AtomicU64,
}

impl Log {
    /// Continues a log that may exist.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::options().create(true).append(true).open(path)?, ops: AtomicU64::new(0) })
    }

    /// A number that no other write of this process has.
    pub fn next_op(&self) -> u64 {
        self.ops.fetch_add(1, Ordering::Relaxed)
    }

    /// One write to the file: appended as a whole or not at all.
    pub fn note(&self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        (&self.file).write_all(&text)?;
        Ok(())
    }
}

/// Of the machine's monotonic clock.
pub fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |at| at.tv_sec().unsigned_abs() * 1_000_000_000 + at.tv_nsec().unsigned_abs())
}
