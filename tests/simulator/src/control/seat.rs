//! The row of the leader in a store that several controllers share, and the transactions that lock it.
//!
//! It does what `store/postgres` has PostgreSQL do. A transaction that writes holds a shared lock on the row of its term
//! until it ends. Taking over and giving back need the row alone, so they wait for those. A beat waits only for somebody who
//! is taking over. The server ends a transaction whose client is silent.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use cutover::store::{Seat, Term};
use cutover_client::routing::Mutation;

use crate::{
    oracle,
    world::{self, MS, Pid, S, Time},
};

/// A transaction whose client is silent between statements ends after this.
const IDLE: Time = 2 * S;
/// Somebody who waits for a lock looks again after this.
const LOOK: Time = MS;

/// How a transaction locks the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Beside others.
    Shared,
    /// Alone.
    Alone,
}

/// Writes of one kind are made one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Changes of migrations.
    Commits,
    /// Instances, passes, cursors and tokens.
    Records,
    /// What was reported.
    Windows,
}

/// A transaction that is under way.
struct Open {
    lock: Lock,
    order: Option<Order>,
    term: Option<Term>,
    pid: Pid,
}

/// What a transaction needs to begin.
#[derive(Clone)]
pub struct Begin {
    /// Its number.
    pub number: u64,
    /// Of this controller.
    pub pid: Pid,
    /// How it locks the row.
    pub lock: Lock,
    /// `None`: it writes the row alone.
    pub order: Option<Order>,
    /// The row has to be like this. `None` of both: whatever it is.
    pub seen: Option<Seat>,
    /// The row has to be in this term.
    pub term: Option<Term>,
}

#[derive(Default)]
struct Row {
    seat: Seated,
    open: BTreeMap<u64, Open>,
    /// Ended, whatever arrives of them later.
    ended: BTreeSet<u64>,
    number: u64,
    /// Who has written in each epoch.
    writers: BTreeMap<u64, Pid>,
}

struct Seated {
    seat: Seat,
    pid: Option<Pid>,
    /// When it was taken.
    since: Time,
}

impl Default for Seated {
    fn default() -> Self {
        let seat = Seat { epoch: 0, beat: 0, holder: String::new(), history: "simulated".to_owned() };
        Self { seat, pid: None, since: 0 }
    }
}

thread_local! {
    static ROW: RefCell<Row> = RefCell::default();
}

fn with<T>(f: impl FnOnce(&mut Row) -> T) -> T {
    ROW.with_borrow_mut(f)
}

/// A number for a transaction.
pub fn number() -> u64 {
    with(|row| {
        row.number += 1;
        row.number
    })
}

/// The row.
pub fn seat() -> Seat {
    with(|row| row.seat.seat.clone())
}

/// The controller that took the seat last, if nobody has left it since.
pub fn holder() -> Option<Pid> {
    with(|row| row.seat.pid)
}

/// When the seat was taken last.
pub fn taken_at() -> Time {
    with(|row| row.seat.since)
}

/// Whether the row is in a term.
pub fn is_in(term: &Term) -> bool {
    with(|row| row.is_in(term))
}

impl Row {
    fn is_in(&self, term: &Term) -> bool {
        let Seat { epoch, holder, .. } = &self.seat.seat;
        *epoch == term.epoch && *holder == term.holder
    }

    fn must_wait(&self, lock: Lock, order: Option<Order>) -> bool {
        self.open.values().any(|open| {
            let passes = lock == Lock::Shared || Mutation::TakeoverWaits.is_left_out();
            let has_row = open.lock == Lock::Alone || !passes;
            has_row || order.is_some() && order == open.order
        })
    }
}

/// Begins a transaction once it gets its locks. `begun` hears whether the row is as it has to be; if not, it has ended.
pub fn begin_transaction(begin: Begin, begun: impl FnOnce(bool) + 'static) {
    let must_wait = with(|row| match row.ended.contains(&begin.number) {
        true => None,
        false => Some(row.must_wait(begin.lock, begin.order)),
    });
    match must_wait {
        None => {}
        Some(true) => world::after(LOOK, move || begin_transaction(begin, begun)),
        Some(false) => {
            let number = begin.number;
            let is_right = with(|row| {
                let is_seen = begin.seen.as_ref().is_none_or(|seen| *seen == row.seat.seat);
                let is_in_term = begin.term.as_ref().is_none_or(|term| row.is_in(term));
                let is_right = is_seen && (is_in_term || Mutation::FencedWrites.is_left_out());
                if is_right {
                    let Begin { lock, order, term, pid, .. } = begin;
                    row.open.insert(number, Open { lock, order, term, pid });
                }
                is_right
            });
            world::after(IDLE, move || end_transaction(number));
            begun(is_right);
        }
    }
}

/// The client of a transaction is gone or silent: it is rolled back, unless it has been committed.
pub fn end_transaction(number: u64) {
    with(|row| {
        row.open.remove(&number);
        row.ended.insert(number);
    });
}

/// Commits a transaction: does what it was for. `None`: it has ended already.
pub fn commit<T>(number: u64, act: impl FnOnce() -> T) -> Option<T> {
    let open = with(|row| {
        row.ended.insert(number);
        row.open.remove(&number)
    })?;
    if let Some(term) = &open.term {
        check_writer(term, open.pid);
    }
    Some(act())
}

/// Nobody writes after somebody else has taken over, and only one in each epoch.
fn check_writer(term: &Term, pid: Pid) {
    let (seat, is_in, first) = with(|row| {
        let first = *row.writers.entry(term.epoch).or_insert(pid);
        (row.seat.seat.clone(), row.is_in(term), first)
    });
    if !is_in {
        let what = format!("{pid} of epoch {} commits in epoch {}", term.epoch, seat.epoch);
        oracle::fault_once("deposed", what);
    }
    if first != pid {
        oracle::fault_once("two leaders", format!("{first} and {pid} commit in epoch {}", term.epoch));
    }
}

/// Changes the row once nobody who writes it locks it. `Lock::Shared`: a beat, which others who write do not lock out.
pub fn change(
    lock: Lock,
    term: Term,
    change: impl FnOnce(&mut Seat) + 'static,
    changed: impl FnOnce(bool) + 'static,
) {
    if with(|row| row.must_wait(lock, None)) {
        return world::after(LOOK, move || self::change(lock, term, change, changed));
    }
    let is_in = with(|row| {
        let is_in = row.is_in(&term);
        if is_in {
            change(&mut row.seat.seat);
            row.seat.pid = row.seat.pid.filter(|_| !row.seat.seat.holder.is_empty());
        }
        is_in
    });
    changed(is_in);
}

/// A controller takes the seat: call this in its transaction.
pub fn take(pid: Pid, holder: String) {
    let epoch = with(|row| {
        let seat = &mut row.seat.seat;
        (seat.epoch, seat.beat, seat.holder) = (seat.epoch + 1, 0, holder);
        (row.seat.pid, row.seat.since) = (Some(pid), world::now());
        row.seat.seat.epoch
    });
    world::tell(|| format!("controller {pid} leads in epoch {epoch}"));
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::story::Story;

    type Heard = Rc<RefCell<Vec<(&'static str, bool)>>>;

    /// A controller's claim, and what a transaction of it needs.
    fn writes(number: u64, term: &Term) -> Begin {
        let order = Some(Order::Commits);
        Begin { number, pid: 1, lock: Lock::Shared, order, seen: None, term: Some(term.clone()) }
    }

    fn takes(number: u64) -> Begin {
        Begin { number, pid: 2, lock: Lock::Alone, order: None, seen: Some(seat()), term: None }
    }

    fn hears(heard: &Heard, what: &'static str) -> impl FnOnce(bool) + 'static {
        let heard = heard.clone();
        move |is_right| heard.borrow_mut().push((what, is_right))
    }

    #[test]
    fn a_takeover_waits_for_a_write_and_refuses_later_ones() {
        world::begin(1, Story::default());
        take(1, "ada".to_owned());
        let term = Term { epoch: 1, holder: "ada".to_owned() };
        let heard = Heard::default();
        begin_transaction(writes(1, &term), hears(&heard, "write"));
        begin_transaction(takes(2), hears(&heard, "takeover"));
        change(Lock::Shared, term.clone(), |seat| seat.beat += 1, hears(&heard, "beat"));
        world::run_until(S);
        assert_eq!(*heard.borrow(), [("write", true), ("beat", true)], "a beat waits for no write");
        assert_eq!(commit(1, || 7), Some(7));
        world::run_until(2 * S);
        assert_eq!(heard.borrow().last(), Some(&("takeover", false)), "the leader has beaten since");
        begin_transaction(takes(3), hears(&heard, "takeover"));
        begin_transaction(writes(4, &term), hears(&heard, "write"));
        commit(3, || take(2, "bob".to_owned()));
        world::run_until(3 * S);
        assert_eq!(heard.borrow()[3..], [("takeover", true), ("write", false)]);
        assert!(!is_in(&term) && holder() == Some(2));
    }

    #[test]
    fn a_silent_client_loses_its_transaction() {
        world::begin(1, Story::default());
        take(1, "ada".to_owned());
        let term = Term { epoch: 1, holder: "ada".to_owned() };
        let heard = Heard::default();
        begin_transaction(writes(1, &term), hears(&heard, "write"));
        world::run_until(IDLE + MS);
        assert_eq!(commit(1, || 7), None);
        end_transaction(2);
        begin_transaction(writes(2, &term), hears(&heard, "closed before it came"));
        begin_transaction(writes(3, &term), hears(&heard, "next"));
        assert_eq!(*heard.borrow(), [("write", true), ("next", true)]);
    }
}
