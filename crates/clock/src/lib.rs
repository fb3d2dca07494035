//! The two clocks of the SDK and the controller. Nothing else that safety relies on reads the time.
//!
//! [`Instant`] measures durations. It is monotonic and includes the time that the machine was suspended,
//! where the system reports it (`CLOCK_BOOTTIME` on Linux), so a lease does not outlive a suspended laptop or
//! VM. [`now_ms`] is the wall clock: for people, and for versions.
//!
//! Both follow tokio's clock when a test pauses it, so `tokio::time::advance` moves leases along with timers.
//! A timer itself does not count suspended time and may fire late. Read the clock again after a wait that
//! safety relies on.

use std::{
    future::poll_fn,
    ops::Add,
    pin::pin,
    sync::OnceLock,
    task::Poll,
    time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant as TokioInstant;

/// A point in monotonic time, including suspended time. It may lie before the machine's boot, as that of a
/// process that was heard before a reboot does. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

/// From the earliest instant to the process's first reading of the clock. The system's own instants can't
/// lie before boot everywhere, and one that is cut off there would make what it measures younger.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Instant {
    /// The current time. It lies between the beginning and the end of this call.
    pub fn now() -> Self {
        /// From the first reading: with a clock that stands still, a second reading must not differ.
        static FIRST: OnceLock<Duration> = OnceLock::new();
        let before = StdInstant::now();
        let awake = TokioInstant::now();
        let is_paused = !(before..=StdInstant::now()).contains(&awake.into_std());
        if is_paused {
            return Self(since_earliest(awake) + *FIRST.get_or_init(suspended));
        }
        // In this order, the sum is at least the first reading and at most the last.
        Self(since_earliest(awake) + suspended())
    }

    /// Time since this instant; zero if it is in the future.
    pub fn elapsed(&self) -> Duration {
        Self::now().saturating_duration_since(*self)
    }

    /// Time from `earlier` to this instant; zero if `earlier` is later.
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from now until this instant; zero if it has passed.
    pub fn remaining(&self) -> Duration {
        self.saturating_duration_since(Self::now())
    }

    /// The instant that much earlier. Exact for the 30 years before the process's first reading.
    pub fn saturating_sub(&self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Works on something until a moment, by this clock: also if the machine was suspended meanwhile. `None`: the moment
/// came first, and nothing was done after it.
pub async fn before<F: Future>(until: Instant, work: F) -> Option<F::Output> {
    let (mut work, mut timer) = (pin!(work), pin!(tokio::time::sleep(until.remaining())));
    poll_fn(|context| {
        if until.remaining().is_zero() {
            return Poll::Ready(None);
        }
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => timer.as_mut().poll(context).map(|()| None),
        }
    })
    .await
}

fn since_earliest(awake: TokioInstant) -> Duration {
    static FIRST: OnceLock<StdInstant> = OnceLock::new();
    let (awake, first) = (awake.into_std(), *FIRST.get_or_init(StdInstant::now));
    FAR.saturating_sub(first.saturating_duration_since(awake)) + awake.saturating_duration_since(first)
}

/// Milliseconds since 1970 by the wall clock, which may jump. 0 if the clock is set before 1970.
pub fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((since_1970 + ahead()).as_millis()).unwrap_or(u64::MAX)
}

/// How far a test's advanced clock is ahead of the system's.
fn ahead() -> Duration {
    TokioInstant::now().saturating_duration_since(TokioInstant::from_std(StdInstant::now()))
}

/// An id of the current boot of this machine, and the time since then, suspended time included; for state
/// that outlives a process. `None` if the system does not report it.
pub fn since_boot() -> Option<(String, Duration)> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some((id.trim().to_owned(), boot()? + ahead()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn boot() -> Option<Duration> {
    None
}

/// How long the system has been suspended since boot.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn suspended() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let awake = clock_gettime(ClockId::CLOCK_MONOTONIC);
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME);
    match (awake, since_boot) {
        (Ok(awake), Ok(since_boot)) => Duration::from(since_boot).saturating_sub(Duration::from(awake)),
        // A system call filter does not know CLOCK_BOOTTIME.
        _ => Duration::ZERO,
    }
}

/// This system does not report it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn suspended() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_follow_the_paused_clock_of_a_test() {
        let (began, began_ms) = (Instant::now(), now_ms());
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let elapsed = began.elapsed();
        assert!(elapsed >= Duration::from_secs(3_600) && elapsed < Duration::from_secs(3_601), "{elapsed:?}");
        assert!((3_599_000..3_700_000).contains(&(now_ms() - began_ms)));
    }

    #[test]
    fn it_goes_forward_without_a_runtime() {
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(began.elapsed() >= Duration::from_millis(2));
        assert!(now_ms() > 1_700_000_000_000);
    }

    /// Set in a process whose clock of suspended time is a day ahead.
    #[cfg(target_os = "linux")]
    const AHEAD: &str = "CUTOVER_TEST_SUSPENDED_A_DAY";

    /// No test can suspend its machine. A time namespace moves `CLOCK_BOOTTIME`, and leaves `CLOCK_MONOTONIC`.
    #[test]
    #[cfg(target_os = "linux")]
    fn suspended_time_counts() {
        const DAY: Duration = Duration::from_secs(86_400);
        let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux has it");
        let uptime = uptime.split(' ').next().and_then(|s| s.parse().ok()).map(Duration::from_secs_f64);
        let (_, since_boot) = since_boot().expect("Linux reports it");
        let apart = since_boot.abs_diff(uptime.expect("seconds"));
        assert!(apart < Duration::from_secs(10), "both include suspended time: {apart:?}");
        if std::env::var_os(AHEAD).is_some() {
            assert!(suspended() >= DAY, "{:?}", suspended());
            let awake = Instant(since_earliest(TokioInstant::now()));
            assert!(Instant::now() >= awake + DAY, "an instant includes it: {:?}", Instant::now());
            return;
        }
        let this = std::env::current_exe().expect("this test");
        let child = std::process::Command::new("unshare")
            .args(["--time", "--boottime", "86400", "--fork"])
            .arg(this)
            .args(["--exact", "tests::suspended_time_counts"])
            .env(AHEAD, "1")
            .output();
        let Ok(child) = child else { return eprintln!("without `unshare` no clock can be moved") };
        let (out, told) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        if told.contains("not permitted") {
            return eprintln!("without privileges no clock can be moved: {told}");
        }
        assert!(child.status.success() && out.contains("1 passed"), "{out}{told}");
    }

    #[test]
    fn arithmetic_saturates() {
        let now = Instant::now();
        assert!(now + Duration::MAX > now);
        assert!(now.saturating_sub(Duration::MAX) < now);
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert_eq!(now.saturating_duration_since(now.saturating_sub(year)), year, "boot is no bound");
        assert_eq!(now.saturating_duration_since(now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((now + Duration::from_secs(5)).saturating_duration_since(now), Duration::from_secs(5));
        assert!((now + Duration::from_secs(5)).remaining() > Duration::from_secs(4));
        assert_eq!(now.remaining(), Duration::ZERO);
    }
}
