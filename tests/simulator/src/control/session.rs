//! What a controller does at a store that it shares, and what it concludes from errors: as `store/server/transaction` does.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use cutover::store::{CALL, Error, Lease, Seat, SeatStore, Term};
use tokio::time::timeout;

use super::{
    leases, refuses_beats_of,
    seat::{self, Begin, Lock, Order},
    weather,
};
use crate::{
    net,
    remote::Slot,
    world::{self, Pid},
};

/// Longest wait for the answer to a commit.
const ANSWER: Duration = Duration::from_secs(4);
/// Longest time for a write up to its commit.
const WRITE: Duration = Duration::from_secs(15);
/// Longest time for a read.
const READ: Duration = Duration::from_secs(10);

/// The way of one controller to the store.
#[derive(Clone, Copy, Debug)]
struct Way {
    pid: Pid,
    store: Pid,
}

impl Way {
    /// Has something done at the store. Gives an answer there, which comes back if somebody fills it.
    async fn ask<T: Send + 'static>(self, act: impl FnOnce(Answer<T>) + Send + 'static) -> T {
        let slot = Slot::new(self.pid);
        self.send(Answer { way: self, slot: slot.clone() }, act);
        slot.await
    }

    fn send<T: 'static>(self, answer: T, act: impl FnOnce(T) + 'static) {
        let slow = world::between(0, weather().slow);
        net::carry(self.pid, self.store, slow, move || act(answer));
    }
}

/// Where an answer goes.
struct Answer<T> {
    way: Way,
    slot: Slot<T>,
}

impl<T: 'static> Answer<T> {
    fn give(self, answer: T) {
        let Way { pid, store } = self.way;
        let slow = world::between(0, weather().slow);
        net::carry(store, pid, slow, move || self.slot.fill(answer));
    }
}

/// A transaction, as its client has it. Dropped, it closes its connection.
struct Transaction {
    way: Way,
    number: u64,
}

impl Transaction {
    fn new(way: Way) -> Self {
        Self { way, number: seat::number() }
    }

    async fn begin(&self, lock: Lock, order: Option<Order>, seen: Option<Seat>, term: Option<Term>) -> bool {
        let (number, pid) = (self.number, self.way.pid);
        let begin = Begin { number, pid, lock, order, seen, term };
        self.way.ask(move |answer| seat::begin_transaction(begin, move |begun| answer.give(begun))).await
    }

    async fn commit<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let number = self.number;
        self.way.ask(move |answer| answer.give(seat::commit(number, act))).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // A killed process' machine says so, in most cases.
        let is_silent = world::running() != Some(self.way.pid) && world::chance(200_000);
        if !is_silent {
            self.way.send(self.number, seat::end_transaction);
        }
    }
}

/// A controller's connections to the store that it shares.
#[derive(Clone)]
pub struct Session {
    way: Way,
    lease: Arc<Lease>,
}

impl Session {
    /// Of a controller that starts.
    pub fn new(pid: Pid, store: Pid) -> Self {
        let way = Way { pid, store };
        let lease = Arc::new(Lease::new(SharedSeat(way)));
        leases::begins(pid, &lease);
        Self { way, lease }
    }

    /// Its claim to lead.
    pub fn lease(&self) -> Arc<Lease> {
        self.lease.clone()
    }

    /// Writes in a transaction, in this controller's term.
    pub async fn write<T: Send + 'static>(
        &self,
        order: Order,
        act: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(term) = self.lease.term() else { return Err(deposed()) };
        let transaction = Transaction::new(self.way);
        let begun = transaction.begin(Lock::Shared, Some(order), None, Some(term.clone()));
        if !self.bounded(&term, WRITE, begun).await? {
            self.lease.depose(&term);
            return Err(deposed());
        }
        let unknown = |why: &str| Error::Unknown(why.to_owned());
        match timeout(ANSWER, transaction.commit(act)).await {
            Ok(Some(done)) => done,
            Ok(None) => Err(unknown("the server has ended the session")),
            Err(_) => Err(unknown("the server does not answer")),
        }
    }

    /// Reads, in this controller's term if it has one.
    pub async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let term = self.lease.term();
        let expected = term.clone();
        let read = self.way.ask(move |answer| {
            let is_right = expected.is_none_or(|term| seat::is_in(&term));
            answer.give(is_right.then(act));
        });
        let Some(term) = term else {
            return timeout(CALL, read).await.ok().flatten().unwrap_or_else(|| Err(silent()));
        };
        match self.bounded(&term, READ, read).await? {
            Some(done) => done,
            None => {
                self.lease.depose(&term);
                Err(deposed())
            }
        }
    }

    /// Ends by a deadline, and with the term.
    async fn bounded<T>(
        &self,
        term: &Term,
        limit: Duration,
        part: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::select! {
            done = timeout(limit, part) => done.map_err(|_| silent()),
            () = self.lease.ended(term) => Err(deposed()),
        }
    }
}

fn deposed() -> Error {
    Error::Unavailable("another controller leads now: ask that one".to_owned())
}

fn silent() -> Error {
    Error::Unavailable("the store does not answer".to_owned())
}

/// The row, as a controller reaches it.
struct SharedSeat(Way);

impl fmt::Debug for SharedSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSeat")
    }
}

impl SharedSeat {
    /// Whether the store refuses a call, and whether it loses the answer.
    fn fails() -> (bool, bool) {
        (world::chance(weather().refused_ppm), world::chance(weather().unanswered_ppm))
    }

    async fn change(
        &self,
        lock: Lock,
        term: &Term,
        change: impl FnOnce(&mut Seat) + Send + 'static,
    ) -> Result<bool, Error> {
        let term = term.clone();
        let changed = self.0.ask(move |answer| match Self::fails() {
            (true, _) => answer.give(None),
            (_, is_lost) => seat::change(lock, term, change, move |changed| {
                answer.give(Some(changed).filter(|_| !is_lost));
            }),
        });
        changed.await.ok_or_else(silent)
    }
}

#[async_trait]
impl SeatStore for SharedSeat {
    async fn read(&self) -> Result<Seat, Error> {
        let read = self.0.ask(|answer| answer.give((!Self::fails().0).then(seat::seat)));
        read.await.ok_or_else(silent)
    }

    async fn take(&self, seen: &Seat, holder: &str) -> Result<bool, Error> {
        let transaction = Transaction::new(self.0);
        if !transaction.begin(Lock::Alone, None, Some(seen.clone()), None).await {
            return Ok(false);
        }
        let (pid, holder) = (self.0.pid, holder.to_owned());
        let taken = transaction.commit(move || match Self::fails() {
            (true, _) => false,
            (_, is_lost) => {
                seat::take(pid, holder);
                !is_lost
            }
        });
        taken.await.filter(|taken| *taken).ok_or_else(silent)
    }

    async fn beat(&self, term: &Term) -> Result<bool, Error> {
        if refuses_beats_of(self.0.pid) {
            return Err(silent());
        }
        self.change(Lock::Shared, term, |seat| seat.beat += 1).await
    }

    async fn vacate(&self, term: &Term) -> Result<(), Error> {
        let leave = |seat: &mut Seat| (seat.epoch, seat.holder) = (seat.epoch + 1, String::new());
        self.change(Lock::Alone, term, leave).await.map(drop)
    }
}
