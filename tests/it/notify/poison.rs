//! A message that an endpoint can't process, an endpoint that is down, and one that asks for time.

use std::time::{Duration, SystemTime};

use cutover::notify::{
    Attempt, AttemptOutcome, Backlog, Message, Next, PATIENCE, RETRY_AFTER_MAX, retry_after,
};

/// An endpoint in simulated time, and what becomes of its messages.
#[derive(Default)]
struct Endpoint {
    backlog: Backlog,
    now_ms: u64,
    delivered: Vec<u64>,
    set_aside: Vec<u64>,
    attempts: u32,
}

impl Endpoint {
    fn with(messages: &[u64]) -> Self {
        let mut endpoint = Self::default();
        messages.iter().for_each(|revision| endpoint.commit(*revision));
        endpoint
    }

    fn commit(&mut self, revision: u64) {
        let (key, about) = (format!("h1-{revision}"), format!("rollback of orders, revision {revision}"));
        self.backlog.push(Message { revision, key, about, body: Vec::new() });
    }

    /// Sends for so long; what the endpoint answers depends on the message.
    fn run(&mut self, lasting: Duration, answer: impl Fn(u64) -> Attempt) {
        let until_ms = self.now_ms + lasting.as_millis() as u64;
        while self.now_ms < until_ms {
            let Some(revision) = self.backlog.next().map(|message| message.revision) else { return };
            let attempt = answer(revision);
            let Next { wait, set_aside } = self.backlog.attempted(attempt, self.now_ms, u32::MAX);
            self.attempts += 1;
            self.delivered.extend((attempt.outcome == AttemptOutcome::Delivered).then_some(revision));
            self.set_aside.extend(set_aside.iter().map(|message| message.revision));
            self.now_ms += wait.as_millis() as u64;
        }
    }
}

const fn answered(outcome: AttemptOutcome) -> Attempt {
    Attempt { outcome, is_answered: true, retry_after: Duration::ZERO }
}

const TAKEN: Attempt = answered(AttemptOutcome::Delivered);
const REJECTED: Attempt = answered(AttemptOutcome::Dropped);
const FAILED: Attempt = answered(AttemptOutcome::Retried);
const SILENT: Attempt = Attempt { is_answered: false, ..FAILED };

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_message_that_always_fails_delays_the_next_ones_for_a_quarter_of_an_hour() {
    // Whether it answers with an error, or dies of the message.
    for poison in [FAILED, SILENT] {
        let mut endpoint = Endpoint::with(&[7, 8, 9]);
        let answer = |revision| if revision == 7 { poison } else { TAKEN };
        endpoint.run(PATIENCE - Duration::from_secs(1), answer);
        assert!(endpoint.delivered.is_empty(), "in order, as long as it may recover");
        assert_eq!((endpoint.backlog.done(9), endpoint.backlog.failing_since_ms()), (6, Some(0)));
        endpoint.run(Duration::from_secs(6 * 60), answer);
        assert_eq!((&endpoint.delivered[..], &endpoint.set_aside[..]), (&[8, 9][..], &[7][..]));
        assert!(endpoint.backlog.is_empty() && endpoint.backlog.done(9) == 9);
    }
}

#[test]
fn several_in_a_row_that_always_fail_are_each_given_their_time() {
    let mut endpoint = Endpoint::with(&[7, 8, 9]);
    let answer = |revision| if revision <= 8 { FAILED } else { TAKEN };
    endpoint.run(Duration::from_secs(16 * 60), answer);
    assert_eq!((&endpoint.delivered[..], &endpoint.set_aside[..]), (&[9][..], &[7][..]));
    assert_eq!(
        endpoint.backlog.done(9),
        7,
        "8 is sent again after a restart, and so is 9, with the same keys"
    );
    endpoint.run(HOUR, answer);
    assert_eq!(endpoint.set_aside, [7], "nobody knows that it is not the endpoint");
    endpoint.commit(10);
    endpoint.run(HOUR, answer);
    assert_eq!((&endpoint.delivered[..], &endpoint.set_aside[..]), (&[9, 10][..], &[7, 8][..]));
}

#[test]
fn an_endpoint_that_is_down_for_days_gets_everything_in_order_once_it_is_back() {
    for down in [FAILED, SILENT] {
        let mut endpoint = Endpoint::with(&[7, 8, 9]);
        endpoint.run(72 * HOUR, |_| down);
        assert!(endpoint.backlog.failing_since_ms().is_some() && endpoint.set_aside.is_empty());
        let tried = endpoint.attempts;
        endpoint.run(HOUR, |_| down);
        // A dead one costs two timeouts every five minutes, however many messages wait.
        let most = if down == SILENT { 2 * 12 } else { 3 * 12 };
        assert!(endpoint.attempts - tried <= most, "{}", endpoint.attempts - tried);
        endpoint.run(HOUR, |_| TAKEN);
        assert_eq!((&endpoint.delivered[..], &endpoint.set_aside[..]), (&[7, 8, 9][..], &[][..]));
    }
}

#[test]
fn an_endpoint_that_recovers_between_two_attempts_loses_nothing() {
    let mut endpoint = Endpoint::with(&[7, 8]);
    endpoint.run(PATIENCE / 2, |_| FAILED);
    endpoint.run(HOUR, |_| TAKEN);
    assert_eq!((&endpoint.delivered[..], &endpoint.set_aside[..]), (&[7, 8][..], &[][..]));
    // A later message that is rejected shows nothing about the first.
    let mut endpoint = Endpoint::with(&[7, 8, 9]);
    endpoint.run(24 * HOUR, |revision| if revision == 8 { REJECTED } else { FAILED });
    assert!(endpoint.set_aside.is_empty() && endpoint.backlog.len() == 2);
    endpoint.run(HOUR, |_| TAKEN);
    assert_eq!(endpoint.delivered, [7, 9]);
}

#[test]
fn an_endpoint_is_left_alone_for_as_long_as_it_asks_to_be() {
    let mut endpoint = Endpoint::with(&[7]);
    let busy = Attempt { retry_after: Duration::from_secs(90), ..FAILED };
    endpoint.run(Duration::from_millis(1), |_| busy);
    assert_eq!((endpoint.attempts, endpoint.now_ms), (1, 90_000));
    // Once it no longer asks, what it asked for is forgotten.
    endpoint.run(Duration::from_millis(1), |_| FAILED);
    assert_eq!(endpoint.now_ms, 92_000);
}

#[test]
fn retry_after_is_a_number_of_seconds_or_a_date_and_at_most_an_hour() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let asked = |header| retry_after(header, now).as_secs();
    assert_eq!((asked("120"), asked(" 5 "), asked("0")), (120, 5, 0));
    assert_eq!(asked("Sun, 06 Nov 1994 08:50:07 GMT"), 30);
    assert_eq!(asked("Sun, 06 Nov 1994 08:49:07 GMT"), 0, "it is over");
    assert_eq!(asked("86400"), RETRY_AFTER_MAX.as_secs());
    assert_eq!(asked("99999999999999999999999"), RETRY_AFTER_MAX.as_secs());
    assert_eq!(asked("Sat, 06 Nov 2094 08:49:07 GMT"), RETRY_AFTER_MAX.as_secs());
    for nonsense in ["", "soon", "-1", "1.5", "Sun, 99 Nov"] {
        assert_eq!(asked(nonsense), 0, "{nonsense}");
    }
}
