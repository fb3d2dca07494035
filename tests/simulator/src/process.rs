//! One simulated process: a runtime of its own, with clocks of its own.

use std::{future::poll_fn, task::Poll, time::Duration};

use cutover_client::routing::Mutation;
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
    /// The machine was suspended for so long. Its monotonic clock stood still, and the others went on.
    pub suspended_ns: u64,
}

/// A process that runs, or would if it were not frozen.
pub struct Process {
    runtime: Option<Runtime>,
    /// Its clocks when it ran last.
    clocks: Clocks,
    /// Its machine is suspended since then, until the process runs again.
    suspended_since: Option<Time>,
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
        let runtime = Some(runtime);
        Self { runtime, clocks, suspended_since: None, next: None, frozen_until: 0, sends_at: 0 }
    }

    /// Its machine is suspended from now on, for as long as it stands still.
    pub fn suspend(&mut self) {
        self.suspended_since.get_or_insert(world::now());
    }

    /// Its wall clock jumps.
    pub const fn jump(&mut self, by_ns: i64) {
        self.clocks.wall_offset_ns += by_ns;
    }

    /// Its clocks as they are now.
    pub fn clocks(&self) -> Clocks {
        let shown = |at| self.clocks.shown(at);
        let suspended_ns = self.suspended_since.map_or(0, |since| shown(world::now()) - shown(since));
        Clocks { suspended_ns: self.clocks.suspended_ns + suspended_ns, ..self.clocks }
    }

    /// Runs until nothing is left to do now. Gives the time to the next timer.
    pub fn run(&mut self) -> Option<Duration> {
        self.clocks = self.clocks();
        self.suspended_since = None;
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

    /// The time since the beginning, as they show it.
    fn shown(self, at: Time) -> u64 {
        let gained = i128::from(at) * i128::from(self.gain_ppm) / 1_000_000;
        u64::try_from(i128::from(at) + gained).unwrap_or_default()
    }

    /// Lets the machine's clocks show what these show now.
    pub fn set(self) {
        let now = self.shown(world::now());
        let wall_ns = WALL_BASE_NS + i128::from(now) + i128::from(self.wall_offset_ns);
        let awake = MONOTONIC_BASE_NS + now.saturating_sub(self.suspended_ns);
        let since_boot = match Mutation::SuspendCounts.is_left_out() {
            true => awake,
            false => MONOTONIC_BASE_NS + now,
        };
        system::set_clocks(awake, since_boot, u64::try_from(wall_ns).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant as StdInstant};

    use cutover_client::clock::Instant;

    use super::*;

    /// On a thread of its own: from then on its clocks are simulated.
    fn simulated(test: impl FnOnce() + Send + 'static) {
        let test = thread::spawn(move || {
            world::begin(1, crate::story::Story::default());
            test();
        });
        test.join().expect("the assertions hold");
    }

    #[test]
    fn a_lease_includes_suspended_time_which_is_asked_for_anew() {
        simulated(|| {
            let show = |awake_s: u64, since_boot_s: u64| {
                system::set_clocks(
                    MONOTONIC_BASE_NS + awake_s * world::S,
                    MONOTONIC_BASE_NS + since_boot_s * world::S,
                    0,
                );
            };
            // It was suspended before, too.
            show(1, 100);
            let (began, monotonic) = (Instant::now(), StdInstant::now());
            let elapsed = || (began.elapsed().as_secs(), monotonic.elapsed().as_secs());
            show(2, 101);
            assert_eq!(elapsed(), (1, 1));
            show(3, 3_702);
            assert_eq!(elapsed(), (3_602, 2), "it was suspended for an hour");
            show(4, 3_703);
            assert_eq!(elapsed(), (3_603, 3), "and is not any more");
        });
    }

    #[test]
    fn the_monotonic_clock_of_a_suspended_machine_stands_still_until_its_process_runs() {
        simulated(|| {
            for gain_ppm in [0, 24_000, -24_000] {
                let clocks = Clocks { gain_ppm, ..Clocks::default() };
                let mut process = Process {
                    runtime: None,
                    clocks,
                    suspended_since: None,
                    next: None,
                    frozen_until: 0,
                    sends_at: 0,
                };
                process.clocks().set();
                let (began, monotonic) = (Instant::now(), StdInstant::now());
                process.suspend();
                world::run_until(world::now() + 10 * world::S);
                process.clocks().set();
                assert_eq!(monotonic.elapsed(), Duration::ZERO);
                assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
                process.run();
                world::run_until(world::now() + 10 * world::S);
                process.clocks().set();
                assert!(
                    monotonic.elapsed() > Duration::from_secs(9)
                        && monotonic.elapsed() < Duration::from_secs(11)
                );
            }
        });
    }
}
