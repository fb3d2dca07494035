//! How fast the instances received a rollback.

use std::time::Duration;

use cutover_clock::Instant;

use super::Guards;
use crate::domain::Key;

/// Interval between checks.
const LOOK: Duration = Duration::from_millis(5);
/// Instances that have not received it by then are left to `cutover status`.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the instances followed a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Which.
    pub revision: u64,
    /// Instances that had to receive it, without lost ones.
    pub instances: u32,
    /// Those of them that have not received it.
    pub behind: u32,
    /// From the verdict to the commit, in milliseconds.
    pub decided_ms: u64,
    /// From the commit until half of them had confirmed it. `None`: not yet.
    pub p50_ms: Option<u64>,
    /// From the commit until all had confirmed it; while some are behind, so far.
    pub last_ms: u64,
}

/// Observes until everybody has received it, or for long enough.
pub(super) async fn follow(guards: &Guards, key: &Key, revision: u64, decided: Duration) {
    let began = Instant::now();
    let (instances, _) = guards.instances.live_and_behind(revision);
    let decided_ms = decided.as_millis() as u64;
    let mut followed =
        Followed { revision, instances, behind: instances, decided_ms, p50_ms: None, last_ms: 0 };
    loop {
        (_, followed.behind) = guards.instances.live_and_behind(revision);
        followed.last_ms = began.elapsed().as_millis() as u64;
        if followed.behind * 2 <= instances {
            followed.p50_ms = followed.p50_ms.or(Some(followed.last_ms));
        }
        guards.follows().insert(key.clone(), followed);
        if followed.behind == 0 {
            tracing::warn!(migration.key = %key, revision, instances, duration_ms = followed.last_ms, "all instances have heard of the rollback");
            return;
        }
        if began.elapsed() > PATIENCE {
            tracing::error!(migration.key = %key, revision, behind = followed.behind, "instances have not heard of the rollback");
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
