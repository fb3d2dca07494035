//! Room for connections: places within the limits, and a few more for those that only get an answer.

use std::net::IpAddr;

use futures::FutureExt as _;
use tokio::time::Instant;

use super::{
    SPARE, SPARE_PER_ADDRESS, WARN_EVERY,
    places::{Place, Places},
};

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Room {
    connections: usize,
    per_address: Option<usize>,
    places: Places,
    spare: Places,
    warned: Option<Instant>,
}

/// A place that a connection got.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) place: Place,
    /// Beyond the limits: the connection gets one answer, in little time.
    pub(super) is_spare: bool,
}

impl Room {
    pub(super) fn new(connections: usize, per_address: Option<usize>) -> Self {
        Self {
            connections,
            per_address,
            places: Places::new(connections, per_address),
            spare: Places::new(SPARE, per_address.map(|_| SPARE_PER_ADDRESS)),
            warned: None,
        }
    }

    /// A place for a connection. It waits for one while all are taken. `None`: its address has more than its part, the
    /// spare ones included.
    pub(super) async fn seat(&mut self, address: Option<IpAddr>) -> Option<Seat> {
        let seat = if self.places.are_taken_by(address) {
            // The others must not wait behind it: there are places for them.
            let place = self.spare.take(address).now_or_never().flatten();
            place.map(|place| Seat { place, is_spare: true })
        } else {
            tokio::select! {
                biased;
                Some(place) = self.places.take(address) => Some(Seat { place, is_spare: false }),
                // It waits in the socket's queue, rather than being closed: it may be urgent.
                place = self.spare.take(address) => place.map(|place| Seat { place, is_spare: true }),
            }
        };
        let is_refused = seat.as_ref().is_none_or(|seat| seat.is_spare);
        if is_refused && self.warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            self.warned = Some(Instant::now());
            let Self { connections, per_address, .. } = self;
            tracing::warn!(connections, per_address, ?address, "connections are refused: a limit is reached");
        }
        seat
    }
}
