//! What an endpoint's answer means, and when to retry.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The delay after the first failure.
const FIRST_MS: u64 = 1_000;
/// Longest delay.
const LONGEST_MS: u64 = 5 * 60 * 1_000;

/// An endpoint that asks to be left alone for longer is asked again after this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The result of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// No answer: refused, disconnected, or too late.
    Silence,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Silence => f.write_str("no answer"),
        }
    }
}

/// What happens to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It was delivered: continue with the next one.
    Delivered,
    /// It is sent again later.
    Retried,
    /// The endpoint will never accept it: log it, count it, continue with the next one.
    Dropped,
}

/// The meaning of an answer. A 4xx means that the message itself is at fault, except 408 and 429, which mean
/// "later". Every other failure may be over by the next attempt.
#[must_use]
pub const fn after(answer: Answer) -> AttemptOutcome {
    match answer {
        Answer::Status(200..=299) => AttemptOutcome::Delivered,
        Answer::Status(408 | 429) | Answer::Silence => AttemptOutcome::Retried,
        Answer::Status(400..=499) => AttemptOutcome::Dropped,
        Answer::Status(_) => AttemptOutcome::Retried,
    }
}

/// How long to wait after this many failures in a row (1: the first): between half of and a full second,
/// doubled each time, at most five minutes. `jitter` is a random number, so that endpoints that failed
/// together are not retried together.
#[must_use]
pub fn delay_ms(failures: u32, jitter: u32) -> u64 {
    let doubled = FIRST_MS << failures.saturating_sub(1).min(20);
    let whole = doubled.min(LONGEST_MS);
    whole / 2 + (whole / 2 * u64::from(jitter)) / u64::from(u32::MAX)
}

/// What a `Retry-After` header asks for: seconds, or an HTTP date. At most an hour; zero for a date in the past
/// and for anything else.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Duration {
    let header = header.trim();
    let is_number = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit());
    let asked = match header.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if is_number => RETRY_AFTER_MAX,
        Err(_) => {
            let at = httpdate::parse_http_date(header).ok();
            at.and_then(|at| at.duration_since(now).ok()).unwrap_or_default()
        }
    };
    asked.min(RETRY_AFTER_MAX)
}
