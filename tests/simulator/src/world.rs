//! Simulated time: what happens, in order, and the processes that it happens to.
//!
//! One thread, one queue. Events at one instant happen in an order that the seed draws. A process runs
//! when something reached it or one of its timers is due, until it has nothing left to do at that
//! instant; time stands still meanwhile.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BinaryHeap,
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use crate::{process::Process, story::Story};

/// Simulated time since the beginning, in nanoseconds.
pub type Time = u64;

/// Names a process of this world. A new incarnation of it keeps the number.
pub type Pid = usize;

/// Something that happens to the world.
pub type Happening = Box<dyn FnOnce()>;

struct Entry {
    at: Time,
    tie: u32,
    number: u64,
    what: What,
}

enum What {
    /// A process may have something to do.
    Run(Pid),
    Happen(Happening),
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie, self.number).cmp(&(other.at, other.tie, other.number))
    }
}

struct World {
    queue: BinaryHeap<Reverse<Entry>>,
    number: u64,
    random: SmallRng,
    processes: Vec<Option<Process>>,
    story: Story,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static NOW: Cell<Time> = const { Cell::new(0) };
    static RUNNING: Cell<Option<Pid>> = const { Cell::new(None) };
}

/// What a task says that panics because its seed asks for it.
pub const PANIC: &str = "a panic that the simulation asked for";

/// Milliseconds as [`Time`].
pub const MS: Time = 1_000_000;
/// Seconds as [`Time`].
pub const S: Time = 1_000 * MS;

/// Makes this thread's world.
pub fn begin(seed: u64, story: Story) {
    crate::system::simulate(crate::system::mix(seed ^ 0x5eed));
    NOW.set(0);
    let world = World {
        queue: BinaryHeap::new(),
        number: 0,
        random: SmallRng::seed_from_u64(seed),
        processes: Vec::new(),
        story,
    };
    WORLD.set(Some(world));
}

fn with<T>(f: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| f(world.as_mut().expect("a world was begun on this thread")))
}

/// Now.
pub fn now() -> Time {
    NOW.get()
}

/// The process that runs; `None` between processes.
pub fn running() -> Option<Pid> {
    RUNNING.get()
}

/// Draws from the world's randomness.
pub fn draw<T>(f: impl FnOnce(&mut SmallRng) -> T) -> T {
    with(|world| f(&mut world.random))
}

/// A number in a range.
pub fn between(low: u64, high: u64) -> u64 {
    draw(|random| random.random_range(low..=high.max(low)))
}

/// True so often in a million.
pub fn chance(ppm: u32) -> bool {
    draw(|random| random.random_range(0..1_000_000) < ppm)
}

/// Lets something happen after a while.
pub fn after(delay: Time, what: impl FnOnce() + 'static) {
    push(now() + delay, What::Happen(Box::new(what)));
}

/// A process may have something to do now.
pub fn wake(pid: Pid) {
    if RUNNING.get() != Some(pid) {
        run_at(pid, now());
    }
}

fn run_at(pid: Pid, at: Time) {
    let due = with(|world| {
        let process = world.processes.get_mut(pid).and_then(Option::as_mut);
        let Some(process) = process.filter(|process| process.next.is_none_or(|next| at < next)) else {
            return false;
        };
        process.next = Some(at);
        true
    });
    if due {
        push(at, What::Run(pid));
    }
}

fn push(at: Time, what: What) {
    with(|world| {
        world.number += 1;
        let tie = world.random.random();
        world.queue.push(Reverse(Entry { at, tie, number: world.number, what }));
    });
}

/// A place for a process that is not there yet.
pub fn place() -> Pid {
    with(|world| {
        world.processes.push(None);
        world.processes.len() - 1
    })
}

/// Puts a process into its place, in the place of what was there.
pub fn put(pid: Pid, process: Process) {
    // What was there may look at the world while it is dropped.
    drop(with(|world| world.processes[pid].replace(process)));
    run_at(pid, now());
}

/// Takes a process away.
pub fn take(pid: Pid) -> Option<Process> {
    with(|world| world.processes[pid].take())
}

/// Looks at a process, or changes it.
pub fn look<T>(pid: Pid, f: impl FnOnce(&mut Process) -> T) -> Option<T> {
    with(|world| world.processes[pid].as_mut().map(f))
}

/// Writes a line into the story.
pub fn tell(line: impl FnOnce() -> String) {
    let now = now();
    with(|world| world.story.tell(now, line));
}

/// Ends the world and gives its story.
pub fn end() -> Story {
    let processes = with(|world| std::mem::take(&mut world.processes));
    (0..processes.len()).for_each(|pid| crate::net::bury(pid, true));
    // What waits for nothing ends first: its destructors may still look at the world.
    drop(processes);
    WORLD.take().map(|world| world.story).unwrap_or_default()
}

/// Lets everything happen that is to happen until then.
pub fn run_until(end: Time) {
    loop {
        let next = with(|world| match world.queue.peek() {
            Some(Reverse(entry)) if entry.at <= end => world.queue.pop().map(|entry| entry.0),
            _ => None,
        });
        let Some(entry) = next else { break };
        NOW.set(entry.at);
        match entry.what {
            What::Happen(what) => what(),
            What::Run(pid) => run(pid, entry.at),
        }
    }
    NOW.set(end);
}

fn run(pid: Pid, at: Time) {
    let taken = with(|world| {
        let slot = world.processes.get_mut(pid)?;
        let process = slot.as_mut()?;
        // Something earlier came in between.
        if process.next != Some(at) {
            return None;
        }
        process.next = None;
        if process.frozen_until > at {
            let thaw = process.frozen_until;
            return Some(Err(thaw));
        }
        Some(Ok(slot.take()?))
    });
    match taken {
        None => {}
        Some(Err(thaw)) => run_at(pid, thaw),
        Some(Ok(mut process)) => {
            RUNNING.set(Some(pid));
            with(|world| world.story.ran(at, pid));
            let wait = process.run();
            RUNNING.set(None);
            with(|world| world.processes[pid] = Some(process));
            crate::control::leases::ran(pid);
            if let Some(wait) = wait {
                run_at(pid, at + wait.as_nanos().max(1) as Time);
            }
        }
    }
}
