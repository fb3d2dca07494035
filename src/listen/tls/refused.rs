//! Connections that were refused before their first request: why, and how many.

use std::{
    io,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::Error;
use tokio::{sync::watch, time::Instant};

use crate::listen::WARN_EVERY;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The client does not use TLS.
    Plain {
        /// It made a call that only processes make that may route.
        is_process: bool,
    },
    /// The client has no certificate, or none that is accepted.
    Certificate,
    /// The client does not accept the server's certificate, or can't use its own files.
    Rejected,
    /// There is no place for its handshake.
    Busy,
    /// The handshake took too long.
    Timeout,
    /// Something else, like a connection that broke.
    Other,
}

/// The reasons, as metrics have them.
const REASONS: [&str; 6] = ["plain", "certificate", "rejected", "busy", "timeout", "other"];

/// A connection that was refused, of what may be a client of this server that is set up wrongly.
#[derive(Clone, Debug)]
pub struct RefusedConnection {
    /// Whose it was.
    pub address: Option<IpAddr>,
    /// Why it was refused.
    pub why: String,
}

#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; REASONS.len()],
    warned: Mutex<[Option<Instant>; REASONS.len()]>,
    last: watch::Sender<Option<RefusedConnection>>,
}

impl Refused {
    /// Why a handshake failed, and in words.
    pub(super) fn of(error: &io::Error) -> (Self, String) {
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => {
                (Self::Certificate, error.to_string())
            }
            Some(Error::AlertReceived(alert)) => {
                let why = format!(
                    "the client does not accept this controller's certificate, or can't use its own files ({alert:?})"
                );
                (Self::Rejected, why)
            }
            _ => (Self::Other, error.to_string()),
        }
    }

    const fn at(self) -> usize {
        match self {
            Self::Plain { .. } => 0,
            Self::Certificate => 1,
            Self::Rejected => 2,
            Self::Busy => 3,
            Self::Timeout => 4,
            Self::Other => 5,
        }
    }

    /// Whether an operator can do something about it. The others are rather scans of ports, or a network that breaks.
    const fn is_warned_of(self) -> bool {
        !matches!(self, Self::Timeout | Self::Other)
    }

    /// Whether it may be a process that routes. Anybody may come without TLS, and a probe does.
    const fn may_route(self) -> bool {
        matches!(self, Self::Plain { is_process: true } | Self::Certificate | Self::Rejected | Self::Busy)
    }
}

impl Refusals {
    pub(super) fn note(&self, reason: Refused, address: Option<IpAddr>, why: &str) {
        let at = reason.at();
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = warned[at].is_none_or(|at| at.elapsed() > WARN_EVERY);
        if !reason.is_warned_of() {
            tracing::debug!(?address, "a connection was refused: {why}");
        } else if is_due {
            warned[at] = Some(Instant::now());
            tracing::warn!(?address, "a connection was refused: {why}");
        }
        drop(warned);
        if reason.may_route() {
            self.last.send_replace(Some(RefusedConnection { address, why: why.to_owned() }));
        }
    }

    /// How many, by reason.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        REASONS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    pub(super) fn last(&self) -> watch::Receiver<Option<RefusedConnection>> {
        self.last.subscribe()
    }
}
