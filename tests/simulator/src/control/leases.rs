//! Whether more than one controller may answer at a moment, or none for too long.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use cutover::store::Lease;

use crate::{
    oracle,
    world::{self, MS, Pid},
};

thread_local! {
    static LEASES: RefCell<Vec<(Pid, Weak<Lease>)>> = const { RefCell::new(Vec::new()) };
}

/// A controller starts.
pub fn begins(pid: Pid, lease: &Arc<Lease>) {
    LEASES.with_borrow_mut(|leases| {
        leases.retain(|(other, _)| *other != pid);
        leases.push((pid, Arc::downgrade(lease)));
    });
}

/// The controllers that would answer now, each by its own clock.
pub fn held() -> Vec<Pid> {
    let leases = LEASES.with_borrow(Clone::clone);
    let is_held = |(pid, lease): &(Pid, Weak<Lease>)| {
        let Some(lease) = lease.upgrade() else { return false };
        world::look(*pid, |process| process.clocks().set()).is_some() && lease.is_held()
    };
    leases.iter().filter(|lease| is_held(lease)).map(|(pid, _)| *pid).collect()
}

/// A process has run: a lease may have been taken or renewed. A lease ends by itself.
pub fn ran(pid: Pid) {
    if !LEASES.with_borrow(|leases| leases.iter().any(|(of, _)| *of == pid)) {
        return;
    }
    let held = held();
    if held.len() > 1 {
        oracle::fault_once("two leases", format!("{held:?} answer at {} ms", world::now() / MS));
    }
}
