//! Shares of what everybody may hold together: one address, or one token, gets only a part.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who holds a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Of IPv6 the first 64 bits.
    Address(IpAddr),
    /// By its name.
    Token(String),
}

/// What is shared, counted in whatever unit.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    all: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    sum: usize,
    /// Only who has something is in it.
    by: HashMap<Holder, usize>,
}

/// A part, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    holders: Vec<Holder>,
    count: usize,
}

/// What is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UsedUp {
    /// Everything.
    All,
    /// The part of one.
    Of(Holder),
}

impl Shares {
    /// `each`: how much one holder may have of `all`.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// An empty part, which counts for each of the holders.
    pub(super) fn empty(&self, holders: Vec<Holder>) -> Share {
        Share { shares: self.clone(), holders, count: 0 }
    }
}

impl Share {
    /// Takes more. If that is too much, it keeps what it has.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), UsedUp> {
        let Shares { all, each, ref taken } = self.shares;
        let mut taken = lock(taken);
        if taken.sum.saturating_add(more) > all {
            return Err(UsedUp::All);
        }
        let of = |holder| taken.by.get(holder).copied().unwrap_or_default();
        if let Some(holder) = self.holders.iter().find(|holder| of(holder).saturating_add(more) > each) {
            return Err(UsedUp::Of(holder.clone()));
        }
        taken.sum += more;
        for holder in &self.holders {
            *taken.by.entry(holder.clone()).or_default() += more;
        }
        self.count += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = lock(&self.shares.taken);
        taken.sum -= self.count;
        for holder in &self.holders {
            match taken.by.get_mut(holder) {
                Some(count) if *count > self.count => *count -= self.count,
                _ => drop(taken.by.remove(holder)),
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders(address: u8, token: &str) -> Vec<Holder> {
        vec![Holder::Address([10, 0, 0, address].into()), Holder::Token(token.to_owned())]
    }

    #[test]
    fn one_holder_gets_a_part_and_all_have_an_end() {
        let shares = Shares::new(5, 3);
        let mut first = shares.empty(holders(1, "a"));
        assert_eq!(first.grow(3), Ok(()));
        assert_eq!(first.grow(1), Err(UsedUp::Of(Holder::Address([10, 0, 0, 1].into()))));
        let mut second = shares.empty(holders(2, "a"));
        assert_eq!(second.grow(1), Err(UsedUp::Of(Holder::Token("a".to_owned()))), "from another address");
        let mut third = shares.empty(holders(2, "b"));
        assert_eq!(third.grow(2), Ok(()));
        assert_eq!(shares.empty(holders(3, "c")).grow(1), Err(UsedUp::All));
        drop((first, second, third));
        assert_eq!(lock(&shares.taken).sum, 0);
        assert!(lock(&shares.taken).by.is_empty(), "it remembers nobody who has gone");
    }

    #[test]
    fn who_is_nobody_counts_for_all() {
        let shares = Shares::new(2, 1);
        let mut share = shares.empty(Vec::new());
        assert_eq!(share.grow(2), Ok(()));
        assert_eq!(share.grow(1), Err(UsedUp::All), "what it has stays");
        assert_eq!(lock(&shares.taken).sum, 2);
    }
}
