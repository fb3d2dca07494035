//! Who was refused because of a limit: how many, and the last one that may be a process that routes.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use super::RefusedConnection;

/// A limit of the gRPC port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Of connections.
    Connections,
    /// Of calls a second.
    Calls,
    /// Of open streams.
    Streams,
    /// Of bytes of requests that are being received.
    Memory,
}

/// The limits, as metrics name them.
const LIMITS: [&str; 4] = ["connections", "calls", "streams", "memory"];

/// What the gRPC port holds and has refused since the process started.
#[derive(Debug, Default)]
pub struct LimitCounts {
    open: AtomicU64,
    refused: [AtomicU64; LIMITS.len()],
    last: watch::Sender<Option<RefusedConnection>>,
}

/// Counts as an open connection until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<LimitCounts>);

impl LimitCounts {
    /// Counts a refusal. `why`: what was said, if it was said to a process that may route.
    pub fn refuse(&self, limit: Limit, address: Option<IpAddr>, why: Option<&str>) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(why) = why {
            self.last.send_replace(Some(RefusedConnection { address, why: why.to_owned() }));
        }
    }

    /// How many were refused, by limit.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        LIMITS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// How many connections are open.
    pub fn connections(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// The last refusal of somebody who may route.
    pub fn last(&self) -> watch::Receiver<Option<RefusedConnection>> {
        self.last.subscribe()
    }

    pub(super) fn open(self: Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
