//! Calls that were refused: counted, and remembered where somebody was refused who may route.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cutover_clock::Instant;

use super::Denied;

/// An SDK that is refused asks again sooner: it waits at most 5 s, and an attempt takes at most 7 s.
const LATELY: Duration = Duration::from_secs(30);

/// Why calls were refused, as metrics have it.
const REASONS: [&str; 5] = ["missing", "unknown", "expired", "role", "unproven"];

/// Calls that were refused since the controller's start.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; REASONS.len()],
    watched: Mutex<Option<(Instant, String)>>,
}

/// A process that was refused when it wanted to watch or report: it may route, and can't say by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedWatch {
    /// How long ago.
    pub ago: Duration,
    /// How it was refused.
    pub why: String,
    /// For how many seconds none may be refused.
    pub for_s: u64,
}

impl fmt::Display for RefusedWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ago, why, .. } = self;
        write!(f, "a process was refused {} s ago: {why}", ago.as_secs())
    }
}

impl Refusals {
    /// Counts a call. `denied`: `None` if its token lacks the role. `watch`: it was a process that wanted to watch or report,
    /// with what it was told.
    pub fn note(&self, denied: Option<&Denied>, watch: Option<&str>) {
        let reason = match denied {
            Some(Denied::Missing) => 0,
            Some(Denied::Unknown) => 1,
            Some(Denied::Expired { .. }) => 2,
            None => 3,
        };
        self.counts[reason].fetch_add(1, Ordering::Relaxed);
        if let Some(why) = watch {
            self.note_process(why);
        }
    }

    /// Counts a registration that was refused because the process can't prove what it claims to hold.
    pub fn note_unproven(&self, why: &str) {
        self.counts[4].fetch_add(1, Ordering::Relaxed);
        self.note_process(why);
    }

    /// A process may have been refused that routes, with what it was told. It is not counted.
    pub fn note_process(&self, why: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Some((Instant::now(), why.to_owned()));
    }

    /// How many, by reason.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        REASONS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// Who was refused within the last 30 s.
    pub fn watched_lately(&self) -> Option<RefusedWatch> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = watched.as_ref()?;
        let ago = at.elapsed();
        (ago < LATELY).then(|| RefusedWatch { ago, why: why.clone(), for_s: LATELY.as_secs() })
    }
}
