//! Finds the busiest tenants in bounded memory: the space-saving sketch of Metwally, Agrawal and El Abbadi.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Every tenant with more than one in this many operations is in the sketch.
const PLACES: usize = 64;

/// Operations of the busiest tenants.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    places: Vec<Place>,
    total: u64,
    hashing: RandomState,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    count: u64,
    /// The part of `count` that may belong to earlier tenants.
    over: u64,
    tenant: String,
}

impl Sketch {
    /// Counts one more operation of a tenant.
    pub(super) fn add(&mut self, tenant: &str) {
        self.total += 1;
        let hash = self.hashing.hash_one(tenant);
        let found = self.places.iter_mut().find(|place| place.hash == hash && place.tenant == tenant);
        if let Some(place) = found {
            place.count += 1;
        } else if self.places.len() < PLACES {
            self.places.push(Place { hash, count: 1, over: 0, tenant: tenant.to_owned() });
        } else if let Some(least) = self.places.iter_mut().min_by_key(|place| place.count) {
            (least.hash, least.over) = (hash, least.count);
            least.count += 1;
            least.tenant.clear();
            least.tenant.push_str(tenant);
        }
    }

    /// All operations, including those of tenants without a place.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// A lower bound of each tenant's operations.
    pub(super) fn at_least(&self) -> impl Iterator<Item = (&str, u64)> {
        self.places.iter().map(|place| (place.tenant.as_str(), place.count - place.over))
    }

    /// Halves all counts, so that the past fades.
    pub(super) fn fade(&mut self) {
        self.total /= 2;
        for place in &mut self.places {
            // In this order, `over` stays at most `count`.
            (place.count, place.over) = (place.count / 2, place.over / 2);
        }
        self.places.retain(|place| place.count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_are_found_among_a_hundred_thousand_and_never_overrated() {
        let mut sketch = Sketch::default();
        for i in 0..100_000 {
            sketch.add(&format!("tenant-{i}"));
            if i % 10 == 0 {
                sketch.add("busy");
            }
        }
        let busy: Vec<_> = sketch.at_least().filter(|(_, calls)| calls * 64 > sketch.total()).collect();
        assert_eq!(busy.len(), 1, "{busy:?}");
        assert!(busy[0].0 == "busy" && busy[0].1 <= 10_000, "{busy:?}");
        assert_eq!((sketch.places.len(), sketch.total()), (PLACES, 110_000));
    }

    #[test]
    fn who_was_busy_once_is_forgotten() {
        let mut sketch = Sketch::default();
        (0..1_000).for_each(|_| sketch.add("acme"));
        (0..10).for_each(|_| sketch.fade());
        assert_eq!((sketch.at_least().count(), sketch.total()), (0, 0));
    }
}
