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
    Plain,
    /// The client has no certificate, or none that is accepted.
    Certificate,
    /// The client does not accept the server's certificate.
    Rejected,
    /// The address has its part of the handshakes.
    Busy,
    /// The handshake took too long.
    Timeout,
    /// Something else, like a connection that broke.
    Other,
}

/// The reasons, as metrics have them.
const REASONS: [(Refused, &str); 6] = [
    (Refused::Plain, "plain"),
    (Refused::Certificate, "certificate"),
    (Refused::Rejected, "rejected"),
    (Refused::Busy, "busy"),
    (Refused::Timeout, "timeout"),
    (Refused::Other, "other"),
];

#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; REASONS.len()],
    warned: Mutex<[Option<Instant>; REASONS.len()]>,
    last: watch::Sender<Option<String>>,
}

impl Refused {
    /// Why a handshake failed.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Self::Certificate,
            Some(Error::AlertReceived(_)) => Self::Rejected,
            _ => Self::Other,
        }
    }

    /// Whether it may be one of the server's own clients, set up wrongly. The others are rather scans of ports, or a network
    /// that breaks.
    const fn is_misconfigured(self) -> bool {
        matches!(self, Self::Plain | Self::Certificate | Self::Rejected)
    }
}

impl Refusals {
    pub(super) fn note(&self, reason: Refused, address: Option<IpAddr>, why: &str) {
        let at = REASONS.iter().position(|(of, _)| *of == reason).unwrap_or(REASONS.len() - 1);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = warned[at].is_none_or(|at| at.elapsed() > WARN_EVERY);
        if !reason.is_misconfigured() {
            tracing::debug!(?address, "a connection was refused: {why}");
        } else if is_due {
            warned[at] = Some(Instant::now());
            tracing::warn!(?address, "a connection was refused: {why}");
        }
        drop(warned);
        if reason.is_misconfigured() {
            self.last.send_replace(Some(why.to_owned()));
        }
    }

    /// How many, by reason.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        REASONS.into_iter().map(|(_, name)| name).zip(counts).collect()
    }

    pub(super) fn last(&self) -> watch::Receiver<Option<String>> {
        self.last.subscribe()
    }
}
