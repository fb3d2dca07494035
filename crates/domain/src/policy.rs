//! What holds for a migration as a whole.

use cutover_core::routing::{self, Level};
use serde::{Deserialize, Serialize};

/// What the migration promises and requires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What reads promise.
    pub level: Level,
    /// Services that must have an instance which is not lost before a tenant leaves source-only.
    pub required_services: Vec<String>,
    /// Minimum time at target-first before target-only.
    pub soak_ms: u64,
    /// Minimum time at target-only before finishing.
    pub finish_soak_ms: u64,
    /// SDKs without contact for this long refuse operations. 0: never.
    pub fence_after_ms: u32,
    /// Longest time that an operation waits on `hold`.
    pub hold_timeout_ms: u32,
    /// Share of reads at dual that are compared with the target.
    pub shadow_ppm: u32,
    /// SDKs that can't reach the controller may go back from target-first to mirrored on their own. While
    /// this is on, nobody goes to target-only.
    #[serde(default)]
    pub local_guard: bool,
    /// Error rate of target reads that such an SDK tolerates.
    #[serde(default = "local_guard_read_ppm")]
    pub local_guard_read_ppm: u32,
    /// The same for writes.
    #[serde(default = "local_guard_write_ppm")]
    pub local_guard_write_ppm: u32,
    /// Whoever asks for an override, a change of this policy or a plan's step does not approve it.
    #[serde(default)]
    pub two_persons: bool,
}

fn local_guard_read_ppm() -> u32 {
    routing::Policy::default().local_guard_read_ppm
}

fn local_guard_write_ppm() -> u32 {
    routing::Policy::default().local_guard_write_ppm
}

impl Default for Policy {
    fn default() -> Self {
        let routing::Policy {
            level,
            hold_timeout_ms,
            fence_after_ms,
            shadow_ppm,
            local_guard,
            local_guard_read_ppm,
            local_guard_write_ppm,
        } = routing::Policy::default();
        Self {
            level,
            required_services: Vec::new(),
            soak_ms: 0,
            finish_soak_ms: 30 * 24 * 3600 * 1000,
            fence_after_ms,
            hold_timeout_ms,
            shadow_ppm,
            local_guard,
            local_guard_read_ppm,
            local_guard_write_ppm,
            two_persons: false,
        }
    }
}
