//! How a file is used.

use std::time::Duration;

/// How a file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Longest wait for this process's other writes, and as long again for another process's. Keep it below
    /// half the migrator's call timeout; otherwise a busy file makes writes indeterminate that were never
    /// made.
    pub busy_timeout: Duration,
    /// Number of connections that read. At least 1.
    pub readers: u32,
    /// A write that was answered survives a power failure, not only the end of the process. Costs one fsync
    /// per write.
    pub durable: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(2), readers: 4, durable: true }
    }
}
