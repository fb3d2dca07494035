//! What an endpoint's answer means, and when to try again.

/// The delay after the first failure.
const FIRST_MS: u64 = 1_000;
/// No delay is longer.
const LONGEST_MS: u64 = 5 * 60 * 1_000;

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// None: refused, cut, or too late.
    Silence,
}

/// What becomes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived: go on with the next.
    Delivered,
    /// The same again, later.
    Retried,
    /// The endpoint will never take it: log it, count it, go on with the next.
    Dropped,
}

impl Outcome {
    /// As metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Dropped => "dropped",
        }
    }
}

/// What an answer means. A 4xx says that the message itself is at fault, except for 408 and 429, which
/// say "later"; everything else that is not a success may be over by the next time.
#[must_use]
pub const fn after(answer: Answer) -> Outcome {
    match answer {
        Answer::Status(200..=299) => Outcome::Delivered,
        Answer::Status(408 | 429) | Answer::Silence => Outcome::Retried,
        Answer::Status(400..=499) => Outcome::Dropped,
        Answer::Status(_) => Outcome::Retried,
    }
}

/// How long to wait after so many failures in a row (1: the first): between half and all of a second
/// doubled each time, five minutes at most. `jitter` is any random number; endpoints that fell over
/// together are not asked together.
#[must_use]
pub fn delay_ms(failures: u32, jitter: u32) -> u64 {
    let doubled = FIRST_MS << failures.saturating_sub(1).min(20);
    let whole = doubled.min(LONGEST_MS);
    whole / 2 + (whole / 2 * u64::from(jitter)) / u64::from(u32::MAX)
}
