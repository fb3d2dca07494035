//! One simulated process: a runtime of its own, with clocks of its own.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::runtime::{Builder, Runtime};

use crate::{
    system,
    world::{self, Time},
};

/// All clocks began so long before the world: nothing ever reaches back beyond zero.
const MONOTONIC_BASE_NS: u64 = 1_000_000_000_000_000;
/// The world begins on 2026-01-01.
pub const WALL_BASE_NS: i128 = 1_767_225_600_000_000_000;

/// How a process' clocks differ from the world's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Its wall clock is so far ahead, or behind.
    pub wall_offset_ns: i64,
    /// Its clocks gain so much, or lose it, in a million.
    pub gain_ppm: i32,
}

/// A process that runs, or would if it were not frozen.
pub struct Process {
    runtime: Option<Runtime>,
    /// Its clocks.
    pub clocks: Clocks,
    /// When it has something to do next.
    pub next: Option<Time>,
    /// It does not run before this.
    pub frozen_until: Time,
    /// It stands still right before it sends a call to a store, and goes on then.
    pub sends_at: Time,
}

impl Process {
    /// Starts a process with its main task.
    pub fn start(clocks: Clocks, main: impl Future<Output = ()> + Send + 'static) -> Self {
        clocks.set();
        let runtime =
            Builder::new_current_thread().enable_all().build().expect("the machine has descriptors");
        runtime.spawn(main);
        Self { runtime: Some(runtime), clocks, next: None, frozen_until: 0, sends_at: 0 }
    }

    /// Runs until nothing is left to do now. Gives the time to the next timer.
    pub fn run(&mut self) -> Option<Duration> {
        self.clocks.set();
        system::expect_idle();
        let idle = poll_fn(|context| match system::idle() {
            Some(timeout_ms) => Poll::Ready(timeout_ms),
            None => {
                system::wake_when_idle(context.waker());
                Poll::Pending
            }
        });
        let timeout_ms = self.runtime.as_ref()?.block_on(idle);
        u64::try_from(timeout_ms).ok().map(|ms| self.clocks.in_the_world(Duration::from_millis(ms)))
    }
}

impl Clocks {
    /// How long the world waits while these clocks show that so much has passed.
    fn in_the_world(self, shown: Duration) -> Duration {
        let rate = 1.0 + f64::from(self.gain_ppm) / 1e6;
        shown.div_f64(rate) + Duration::from_nanos(u64::from(self.gain_ppm != 0) * 1_000)
    }

    /// Lets the machine's clocks show what these show now.
    pub fn set(self) {
        let gained = i128::from(world::now()) * i128::from(self.gain_ppm) / 1_000_000;
        let now = u64::try_from(i128::from(world::now()) + gained).unwrap_or_default();
        let wall_ns = WALL_BASE_NS + i128::from(now) + i128::from(self.wall_offset_ns);
        system::set_clocks(MONOTONIC_BASE_NS + now, u64::try_from(wall_ns).unwrap_or_default());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The destructors of its tasks run, which a killed process' would not: whatever they
            // send is no longer carried, see net.rs.
            runtime.shutdown_background();
        }
    }
}
