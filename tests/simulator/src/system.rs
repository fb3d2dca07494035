//! The C library's clock, randomness and waiting, as the thread of a simulation has them.
//!
//! The standard library, tokio, hyper, `rand` and the SDK reach these four functions by their names in
//! the C library. A definition in the executable comes before the library's, so everything that a
//! simulated process can ask of the machine is answered here, dependencies included. No seam in the
//! product could do that: a `HashMap` draws its order, and hyper reads the time, without asking anybody.
//! Threads that simulate nothing get the kernel's answer.
//!
//! This is the one file of the repository that needs `unsafe`: a function that replaces another one's
//! symbol is unsafe to declare, and it has to write where C callers point.
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_long, c_uint, c_void},
    task::Waker,
};

/// What the thread's functions answer with.
struct System {
    simulated: Cell<bool>,
    monotonic_ns: Cell<u64>,
    since_boot_ns: Cell<u64>,
    wall_ns: Cell<u64>,
    random: Cell<u64>,
    /// What a runtime without work was about to wait for, in milliseconds; below 0: for ever.
    idle: Cell<Option<c_int>>,
    /// Looks at events without waiting, since the last wait.
    spins: Cell<u32>,
}

thread_local! {
    static SYSTEM: System = const {
        System {
            simulated: Cell::new(false),
            monotonic_ns: Cell::new(0),
            since_boot_ns: Cell::new(0),
            wall_ns: Cell::new(0),
            random: Cell::new(0),
            idle: Cell::new(None),
            spins: Cell::new(0),
        }
    };
    static WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// A runtime that looks for events so often without ever waiting has a task that never waits.
const SPINS_MAX: u32 = 200_000;

/// From now on this thread simulates. `seed` is of its randomness.
pub fn simulate(seed: u64) {
    SYSTEM.with(|system| {
        system.random.set(seed);
        system.simulated.set(true);
    });
}

/// What this thread's clocks show. `since_boot_ns` includes the time that the machine was suspended.
pub fn set_clocks(monotonic_ns: u64, since_boot_ns: u64, wall_ns: u64) {
    SYSTEM.with(|system| {
        system.monotonic_ns.set(monotonic_ns);
        system.since_boot_ns.set(since_boot_ns);
        system.wall_ns.set(wall_ns);
    });
}

/// Forgets what the last runtime waited for; the next one that waits wakes this.
pub fn expect_idle() {
    SYSTEM.with(|system| {
        system.idle.set(None);
        system.spins.set(0);
    });
}

/// What a runtime without work was about to wait for, in milliseconds; below 0: for ever.
pub fn idle() -> Option<i32> {
    SYSTEM.with(|system| system.idle.get())
}

/// To be woken when the runtime has no work.
pub fn wake_when_idle(waker: &Waker) {
    WAKER.with_borrow_mut(|kept| *kept = Some(waker.clone()));
}

/// splitmix64 (Steele, Lea, Flood 2014).
pub fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn next_random() -> u64 {
    SYSTEM.with(|system| {
        let state = system.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        system.random.set(state);
        mix(state)
    })
}

fn is_simulated() -> bool {
    SYSTEM.with(|system| system.simulated.get())
}

/// Every clock of the machine.
///
/// # Safety
/// As of the C library: `time` points to a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if !is_simulated() {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock as c_long, time) } as c_int;
    }
    let ns = SYSTEM.with(|system| match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => system.wall_ns.get(),
        libc::CLOCK_BOOTTIME | libc::CLOCK_BOOTTIME_ALARM => system.since_boot_ns.get(),
        _ => system.monotonic_ns.get(),
    });
    let now = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as c_long,
    };
    // SAFETY: the caller says that it points to one.
    unsafe { time.write(now) };
    0
}

/// Randomness: keys of hash maps, generators' seeds, tokio's choices.
///
/// # Safety
/// As of the C library: `buffer` has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if !is_simulated() {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags as c_long) } as isize;
    }
    let mut bytes = (0..length.div_ceil(8)).flat_map(|_| next_random().to_le_bytes());
    for at in 0..length {
        let byte = bytes.next().unwrap_or_default();
        // SAFETY: the caller says that it has `length` bytes.
        unsafe { buffer.cast::<u8>().add(at).write(byte) };
    }
    length as isize
}

/// The number of this process, which is part of names.
#[unsafe(no_mangle)]
pub extern "C" fn getpid() -> libc::pid_t {
    if is_simulated() {
        return 1;
    }
    // SAFETY: it takes no arguments.
    unsafe { libc::syscall(libc::SYS_getpid) as libc::pid_t }
}

/// Waits for events. A runtime calls it with the time to its next timer when it has nothing to do:
/// here it does not wait, but gives way to the other processes.
///
/// # Safety
/// As of the C library: `events` has room for `most`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    timeout_ms: c_int,
) -> c_int {
    if !is_simulated() {
        let no_mask = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the caller's arguments, passed on.
        let found = unsafe {
            libc::syscall(libc::SYS_epoll_pwait, epoll, events, most, timeout_ms, no_mask, 8_usize)
        };
        return found as c_int;
    }
    let spins = SYSTEM.with(|system| {
        if timeout_ms != 0 {
            system.idle.set(Some(timeout_ms));
        }
        system.spins.set(system.spins.get() + 1);
        system.spins.get()
    });
    assert!(spins < SPINS_MAX, "a task of a simulated process never waits");
    if timeout_ms != 0
        && let Some(waker) = WAKER.with_borrow_mut(Option::take)
    {
        waker.wake();
    }
    0
}
