//! What an endpoint's answer means, and when to retry.

/// The delay after the first failure.
const FIRST_MS: u64 = 1_000;
/// Longest delay.
const LONGEST_MS: u64 = 5 * 60 * 1_000;

/// The result of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// No answer: refused, disconnected, or too late.
    Silence,
}

/// What happens to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was delivered: continue with the next one.
    Delivered,
    /// It is sent again later.
    Retried,
    /// The endpoint will never accept it: log it, count it, continue with the next one.
    Dropped,
}

impl Outcome {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Dropped => "dropped",
        }
    }
}

/// The meaning of an answer. A 4xx means that the message itself is at fault, except 408 and 429, which mean
/// "later". Every other failure may be over by the next attempt.
#[must_use]
pub const fn after(answer: Answer) -> Outcome {
    match answer {
        Answer::Status(200..=299) => Outcome::Delivered,
        Answer::Status(408 | 429) | Answer::Silence => Outcome::Retried,
        Answer::Status(400..=499) => Outcome::Dropped,
        Answer::Status(_) => Outcome::Retried,
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
