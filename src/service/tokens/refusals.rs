//! Calls that were refused: counted, and remembered where somebody was refused who may route.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cutover_clock::Instant;
use cutover_core::text::{cut, is_visible};

use super::Denied;

/// An SDK that is refused asks again sooner: it waits at most 5 s, and an attempt takes at most 7 s.
const LATELY: Duration = Duration::from_secs(30);

/// Longest text that is remembered of a refusal. Operators read it among other things, and a stranger may have caused it.
const WHY_MAX_BYTES: usize = 500;

/// Why calls were refused, as metrics have it.
const REASONS: [&str; 6] = ["missing", "unknown", "expired", "role", "unproven", "oidc"];

/// Calls that were refused since the controller's start.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; REASONS.len()],
    watched: Mutex<Option<(Instant, RefusedBy, String)>>,
}

/// What refused a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// The check of a call.
    Call,
    /// There was no writer slot for it.
    Slots,
    /// The port, before any call.
    Connection {
        /// Whose connection it was.
        address: Option<IpAddr>,
    },
    /// A limit of connections, calls, streams or memory.
    Limit {
        /// Whose it was.
        address: Option<IpAddr>,
    },
}

/// A process that was refused when it wanted to watch or report: it may route, and can't say by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedWatch {
    /// How long ago.
    pub ago: Duration,
    /// What refused it.
    pub by: RefusedBy,
    /// How it was refused.
    pub why: String,
    /// For how many seconds none may be refused.
    pub for_s: u64,
}

impl fmt::Display for RefusedWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ago, by, why, .. } = self;
        let ago = ago.as_secs();
        match by {
            RefusedBy::Call | RefusedBy::Slots | RefusedBy::Limit { address: None } => {
                write!(f, "a process was refused {ago} s ago: {why}")
            }
            RefusedBy::Limit { address: Some(address) } => {
                write!(f, "a client at {address} was refused {ago} s ago: {why}")
            }
            RefusedBy::Connection { address: Some(address) } => {
                write!(f, "a connection from {address} was refused {ago} s ago: {why}")
            }
            RefusedBy::Connection { address: None } => {
                write!(f, "a connection was refused {ago} s ago: {why}")
            }
        }
    }
}

impl RefusedWatch {
    /// What lets the process in again, as a clause.
    pub fn advice(&self) -> String {
        match self.by {
            RefusedBy::Call => "give it a valid token (cutover token list)".to_owned(),
            RefusedBy::Slots => format!(
                "it registers once a writer slot is free: look again in {} s, or evict instances that are dead",
                self.for_s
            ),
            RefusedBy::Limit { address } => {
                let address = address.map_or_else(|| "that address".to_owned(), |it| it.to_string());
                format!("raise that limit of cutover serve, or keep strangers at {address} off the gRPC port")
            }
            RefusedBy::Connection { address } => {
                let address = address.map_or_else(|| "that address".to_owned(), |it| it.to_string());
                format!(
                    "let it connect with https://, trust the controller's CA (CUTOVER_CA), and show a valid certificate if \
                     clients need one (CUTOVER_CLIENT_CERT). If no process of yours runs on {address}, it is a check or a \
                     scan: keep it off the gRPC port"
                )
            }
        }
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
            Some(Denied::Oidc(_)) => 5,
        };
        self.counts[reason].fetch_add(1, Ordering::Relaxed);
        if let Some(why) = watch {
            self.note_process(RefusedBy::Call, why);
        }
    }

    /// Counts a registration that was refused because the process can't prove what it claims to hold.
    pub fn note_unproven(&self, why: &str) {
        self.counts[4].fetch_add(1, Ordering::Relaxed);
        self.note_process(RefusedBy::Call, why);
    }

    /// A process may have been refused that routes, with what it was told. It is not counted.
    pub fn note_process(&self, by: RefusedBy, why: &str) {
        let why: String = why.chars().map(|it| if is_visible(it) { it } else { ' ' }).collect();
        let why = cut(&why, WHY_MAX_BYTES);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Some((Instant::now(), by, why));
    }

    /// How many, by reason.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        REASONS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// Who was refused within the last 30 s.
    pub fn watched_lately(&self) -> Option<RefusedWatch> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, by, why) = watched.as_ref()?;
        let ago = at.elapsed();
        (ago < LATELY).then(|| RefusedWatch { ago, by: *by, why: why.clone(), for_s: LATELY.as_secs() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_is_remembered_in_one_short_line() {
        let refusals = Refusals::default();
        let said = format!("unknown {}\n- evict it: cutover evict a --force\u{202e}", "x".repeat(20_000));
        refusals.note_process(RefusedBy::Call, &said);
        let why = refusals.watched_lately().expect("just now").why;
        assert_eq!((why.len(), why.ends_with("..")), (WHY_MAX_BYTES + 2, true), "{why}");
        refusals.note_process(RefusedBy::Call, "a\n- b\u{202e}");
        assert_eq!(refusals.watched_lately().expect("just now").why, "a - b ");
    }

    #[test]
    fn who_got_no_writer_slot_is_told_with_what_to_do() {
        let refusals = Refusals::default();
        refusals.note_process(RefusedBy::Slots, "all writer slots are taken");
        let refused = refusals.watched_lately().expect("just now");
        assert_eq!(refused.to_string(), "a process was refused 0 s ago: all writer slots are taken");
        assert!(refused.advice().contains("look again in 30 s, or evict"), "{}", refused.advice());
    }

    #[test]
    fn who_was_refused_by_a_limit_is_named_with_what_to_do() {
        let refusals = Refusals::default();
        let address = Some([10, 0, 0, 7].into());
        refusals.note_process(RefusedBy::Limit { address }, "too many streams");
        let refused = refusals.watched_lately().expect("just now");
        assert_eq!(refused.to_string(), "a client at 10.0.0.7 was refused 0 s ago: too many streams");
        assert!(
            refused.advice().contains("keep strangers at 10.0.0.7 off the gRPC port"),
            "{}",
            refused.advice()
        );
    }
}
