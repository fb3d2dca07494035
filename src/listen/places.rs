//! Places for connections, of which one address gets only a part.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    per_address: usize,
    taken: Taken,
}

/// Places taken, by address. Only addresses that have one are in it.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

/// Counts for an address, until it is dropped.
#[derive(Debug)]
struct Counted(IpAddr, Taken);

impl Places {
    pub(super) fn new(places: usize, per_address: Option<usize>) -> Self {
        let per_address = per_address.unwrap_or(usize::MAX);
        Self { free: Arc::new(Semaphore::new(places)), per_address, taken: Taken::default() }
    }

    /// Whether the address has as many as one address may have.
    pub(super) fn are_taken_by(&self, address: Option<IpAddr>) -> bool {
        let count = address.map(one_client).and_then(|address| lock(&self.taken).get(&address).copied());
        count.unwrap_or_default() >= self.per_address
    }

    /// Waits for a place. `None`: the address has as many as one address may have, or waits for them.
    pub(super) async fn take(&self, address: Option<IpAddr>) -> Option<Place> {
        let counted = match address {
            Some(address) => Some(self.count(one_client(address))?),
            None => None,
        };
        let permit = self.free.clone().acquire_owned().await.ok()?;
        Some(Place { _permit: permit, _counted: counted })
    }

    /// Counted before it waits: several may wait at the same time.
    fn count(&self, address: IpAddr) -> Option<Counted> {
        let mut taken = lock(&self.taken);
        let count = taken.get(&address).copied().unwrap_or_default();
        if count >= self.per_address {
            return None;
        }
        taken.insert(address, count + 1);
        Some(Counted(address, self.taken.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self(address, taken) = self;
        let mut taken = lock(taken);
        match taken.get_mut(address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(address)),
        }
    }
}

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: a machine with IPv6 has at least the lower 64 bits for itself.
pub(super) fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// `None`: it waits.
    fn take(places: &Places, address: &str) -> Option<Option<Place>> {
        places.take(Some(address.parse().expect("an address"))).now_or_never()
    }

    #[test]
    fn one_address_gets_a_part_and_all_have_an_end() {
        let places = Places::new(3, Some(2));
        let held = [take(&places, "10.0.0.1"), take(&places, "10.0.0.1")].map(Option::flatten);
        assert!(held.iter().all(Option::is_some));
        assert!(matches!(take(&places, "10.0.0.1"), Some(None)), "it has its part");
        let other = take(&places, "10.0.0.2").flatten();
        assert!(other.is_some());
        assert!(take(&places, "10.0.0.3").is_none(), "all are taken: it waits");
        drop(other);
        assert!(matches!(take(&places, "10.0.0.3"), Some(Some(_))));
        drop(held);
        assert!(lock(&places.taken).is_empty(), "it remembers nobody who has gone");
        assert!(matches!(take(&places, "10.0.0.1"), Some(Some(_))));
    }

    #[test]
    fn those_who_wait_count() {
        let places = Places::new(1, Some(2));
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let held = take(&places, "10.0.0.9").flatten();
        let mut waiting = [Box::pin(places.take(address)), Box::pin(places.take(address))];
        for place in &mut waiting {
            assert!(place.now_or_never().is_none());
        }
        assert!(matches!(take(&places, "10.0.0.1"), Some(None)), "two of its own wait");
        drop(waiting);
        assert!(take(&places, "10.0.0.1").is_none(), "it waits: the others have gone");
        drop(held);
        assert!(lock(&places.taken).is_empty());
    }

    #[test]
    fn a_machine_counts_as_one_address() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("::1", "::2", false),
        ] {
            let [one, other] = [one, other].map(|text| one_client(text.parse().expect("an address")));
            assert_eq!(one == other, is_same, "{one} {other}");
        }
    }

    #[test]
    fn callers_without_an_address_share_all() {
        let places = Places::new(2, Some(1));
        let take = || places.take(None).now_or_never();
        let held = [take(), take()];
        assert!(held.iter().all(|place| matches!(place, Some(Some(_)))));
        assert!(take().is_none());
    }
}
