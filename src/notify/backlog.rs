//! The messages that one endpoint has yet to get, and which is sent next. Pure: `now_ms` is an argument.
//!
//! They are sent in order. A message that keeps failing is set aside once the endpoint accepts a later one:
//! only that tells a message that it can't process from an endpoint that is down.

use std::{collections::VecDeque, time::Duration};

use super::{AttemptOutcome, delay_ms};

/// How long a message has to fail before later ones are tried.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// No more are read from the store while this many wait.
const WAITING_MAX: usize = 16;

/// A message to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The revision of its event.
    pub revision: u64,
    /// The same for every attempt.
    pub key: String,
    /// What it is about, for people: `rollback of orders`.
    pub about: String,
    /// The body of the request.
    pub body: Vec<u8>,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it means for the message.
    pub outcome: AttemptOutcome,
    /// Whether there was an answer at all.
    pub is_answered: bool,
    /// How long the endpoint asks to be left alone.
    pub retry_after: Duration,
}

/// What follows from an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// How long to wait before the next attempt.
    pub wait: Duration,
    /// Messages that were set aside: they are not sent any more.
    pub set_aside: Vec<Message>,
}

/// Messages in order, and how the first ones fare.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Waiting>,
    /// The one that is tried now.
    at: usize,
    /// Rounds in a row without a success.
    failures: u32,
    /// The longest that the endpoint asked for in this round.
    retry_after: Duration,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    failing_since_ms: Option<u64>,
}

impl Waiting {
    fn is_hopeless(&self, now_ms: u64) -> bool {
        let patience_ms = PATIENCE.as_millis() as u64;
        self.failing_since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= patience_ms)
    }
}

impl Backlog {
    /// Adds the next one.
    pub fn push(&mut self, message: Message) {
        self.waiting.push_back(Waiting { message, failing_since_ms: None });
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Number of messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Since when the first one fails. `None`: it has not failed.
    #[must_use]
    pub fn failing_since_ms(&self) -> Option<u64> {
        self.waiting.front().and_then(|first| first.failing_since_ms)
    }

    /// The message to be sent now.
    #[must_use]
    pub fn next(&self) -> Option<&Message> {
        self.waiting.get(self.at).map(|waiting| &waiting.message)
    }

    /// The newest revision up to which nothing waits, if everything up to `read` was added.
    #[must_use]
    pub fn done(&self, read: u64) -> u64 {
        self.waiting.front().map_or(read, |first| first.message.revision - 1)
    }

    /// Takes the result of sending [`Self::next`]. `jitter` is a random number.
    pub fn attempted(&mut self, attempt: Attempt, now_ms: u64, jitter: u32) -> Next {
        let Some(tried) = self.waiting.get_mut(self.at) else { return Next::default() };
        if attempt.outcome == AttemptOutcome::Retried {
            tried.failing_since_ms.get_or_insert(now_ms);
            return Next { wait: self.failed(attempt, now_ms, jitter), set_aside: Vec::new() };
        }
        self.waiting.remove(self.at);
        let mut set_aside = Vec::new();
        if attempt.outcome == AttemptOutcome::Delivered {
            // It works, and still not for those.
            let earlier = self.waiting.drain(..self.at).collect::<Vec<_>>();
            let (hopeless, others): (Vec<_>, Vec<_>) =
                earlier.into_iter().partition(|waiting| waiting.is_hopeless(now_ms));
            others.into_iter().rev().for_each(|waiting| self.waiting.push_front(waiting));
            set_aside.extend(hopeless.into_iter().map(|waiting| waiting.message));
        }
        (self.at, self.failures, self.retry_after) = (0, 0, Duration::ZERO);
        Next { wait: Duration::ZERO, set_aside }
    }

    /// How long to wait after a failure. Once the first message has failed for long, the others are tried
    /// before that, until one gets no answer: then the endpoint is down.
    fn failed(&mut self, attempt: Attempt, now_ms: u64, jitter: u32) -> Duration {
        self.retry_after = self.retry_after.max(attempt.retry_after);
        let is_down = self.at > 0 && !attempt.is_answered;
        let is_hopeless = self.waiting.front().is_some_and(|first| first.is_hopeless(now_ms));
        if is_hopeless && !is_down && self.at + 1 < self.waiting.len() {
            self.at += 1;
            return Duration::ZERO;
        }
        self.failures = self.failures.saturating_add(1);
        let wait = Duration::from_millis(delay_ms(self.failures, jitter)).max(self.retry_after);
        (self.at, self.retry_after) = (0, Duration::ZERO);
        wait
    }
}
