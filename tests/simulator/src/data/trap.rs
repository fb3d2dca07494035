//! Waits for a call to a store, and makes it late.

use std::cell::RefCell;

use cutover_client::store::Id;

use crate::world::{self, Pid, Time};

thread_local! {
    static TRAP: RefCell<Option<Trap>> = const { RefCell::new(None) };
}

/// Waits for a call.
pub struct Trap {
    /// Of this process.
    pub pid: Pid,
    /// To this store.
    pub store: usize,
    /// That writes, or else that reads.
    pub is_write: bool,
    /// So many of these calls go by before.
    pub skips: u64,
    /// What becomes of the call.
    pub delay: Delay,
    /// What happens when it is made. Gets the record that it writes.
    pub spring: Box<dyn FnOnce(Option<Id>)>,
}

/// How a call that is waited for is late.
#[derive(Clone, Copy, Debug)]
pub enum Delay {
    /// Not at all.
    None,
    /// It is sent so much later.
    HeldBack(Time),
    /// It is done so much later. Its caller hears at once that nothing is known.
    Unanswered(Time),
}

/// Waits for one call, in place of an earlier trap.
pub fn set_trap(trap: Trap) {
    TRAP.set(Some(trap));
}

/// Waits for no call any more.
pub fn clear_trap() {
    TRAP.take();
}

/// A call is made.
pub(super) fn spring_trap(store: usize, written: &[Id]) -> Delay {
    let is_write = !written.is_empty();
    let is_it = |trap: &mut Trap| {
        let matches = Some(trap.pid) == world::running() && trap.store == store && trap.is_write == is_write;
        let is_due = trap.skips == 0;
        trap.skips = trap.skips.saturating_sub(u64::from(matches));
        matches && is_due
    };
    let Some(Trap { pid, delay, spring, .. }) = TRAP.with_borrow_mut(|trap| trap.take_if(is_it)) else {
        return Delay::None;
    };
    let first = written.first().cloned();
    world::after(0, move || spring(first));
    if let Delay::HeldBack(held_back) = delay {
        let until = world::now() + held_back;
        world::after(0, move || _ = world::look(pid, |process| process.sends_at = until));
    }
    delay
}
