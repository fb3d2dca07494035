//! Core dumps: a copy of the memory, with tokens, private keys and the database's password.

use nix::sys::resource::{Resource, setrlimit};

/// The system keeps no core dump of this process from now on, and other processes of the same user can't read its memory or
/// environment.
pub(super) fn forbid() {
    #[cfg(target_os = "linux")]
    let forbidden = nix::sys::prctl::set_dumpable(false);
    #[cfg(not(target_os = "linux"))]
    let forbidden = Ok(());
    // Where a program takes them, the limit alone may not hold.
    if let Err(error) = forbidden.and(setrlimit(Resource::RLIMIT_CORE, 0, 0)) {
        tracing::warn!(%error, "could not forbid core dumps: one would have tokens and passwords");
    }
}
