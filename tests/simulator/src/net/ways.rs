//! How messages fare on the ways between processes.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::world::{self, MS, Pid, Time};

/// How messages fare.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Shortest and longest time of a message.
    pub latency: (Time, Time),
    /// Share of messages that are lost once, in ppm, and come after a retransmission.
    pub lost_ppm: u32,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency: (MS / 2, 2 * MS), lost_ppm: 0 }
    }
}

/// Lost messages are sent again after this.
pub(super) const RETRANSMIT: Time = 200 * MS;

#[derive(Default)]
struct Ways {
    weather: Weather,
    /// From one process to another, nothing passes.
    blocked: BTreeSet<(Pid, Pid)>,
    /// From one process to another, messages take so long.
    slow: BTreeMap<(Pid, Pid), (Time, Time)>,
}

thread_local! {
    static WAYS: RefCell<Ways> = RefCell::default();
}

/// Forgets everything.
pub(super) fn begin(weather: Weather) {
    WAYS.set(Ways { weather, ..Ways::default() });
}

/// Messages fare otherwise from now on.
pub fn set_weather(weather: Weather) {
    WAYS.with_borrow_mut(|ways| ways.weather = weather);
}

/// Nothing passes from one process to another any more.
pub fn block(from: Pid, to: Pid) {
    WAYS.with_borrow_mut(|ways| _ = ways.blocked.insert((from, to)));
}

/// Everything passes again.
pub fn unblock(from: Pid, to: Pid) {
    WAYS.with_borrow_mut(|ways| _ = ways.blocked.remove(&(from, to)));
}

/// Messages from one process to another take so long.
pub fn slow_down(from: Pid, to: Pid, latency: (Time, Time)) {
    WAYS.with_borrow_mut(|ways| _ = ways.slow.insert((from, to), latency));
}

/// They take as long as others.
pub fn speed_up(from: Pid, to: Pid) {
    WAYS.with_borrow_mut(|ways| _ = ways.slow.remove(&(from, to)));
}

pub(super) fn is_blocked(from: Pid, to: Pid) -> bool {
    WAYS.with_borrow(|ways| ways.blocked.contains(&(from, to)))
}

/// How long a message takes.
pub(super) fn delay() -> Time {
    let weather = WAYS.with_borrow(|ways| ways.weather.clone());
    let latency = world::between(weather.latency.0, weather.latency.1);
    if world::chance(weather.lost_ppm) { latency + RETRANSMIT } else { latency }
}

/// Carries something besides connections from one process to another, in this time longer than a message takes. While
/// nothing passes, it waits.
pub fn carry(from: Pid, to: Pid, longer: Time, arrives: impl FnOnce() + 'static) {
    world::after(delay_from(from, to) + longer, move || pass(from, to, arrives));
}

fn pass(from: Pid, to: Pid, arrives: impl FnOnce() + 'static) {
    match is_blocked(from, to) {
        true => world::after(RETRANSMIT, move || pass(from, to, arrives)),
        false => arrives(),
    }
}

/// How long a message takes from one process to another.
pub(super) fn delay_from(from: Pid, to: Pid) -> Time {
    let slow = WAYS.with_borrow(|ways| ways.slow.get(&(from, to)).copied());
    slow.map_or_else(delay, |(low, high)| world::between(low, high))
}
