use std::cell::RefCell;

use super::*;
use cutover_core::outcome::ErrorClass;

fn unsure() -> StoreError {
    StoreError::Indeterminate { class: ErrorClass::Timeout, what: "no answer".to_owned() }
}

fn throttled() -> StoreError {
    StoreError::Throttled { retry_after: FIRST_WAIT, what: "too much".to_owned() }
}

fn refused() -> StoreError {
    StoreError::Permanent { class: ErrorClass::Other, field: "table".to_owned(), what: "gone".to_owned() }
}

/// Runs attempts with these answers in turn, the last one repeated for ever. Returns the result and the
/// number of attempts.
async fn attempts(answers: &[Result<u8, StoreError>]) -> (Result<u8, StoreError>, usize) {
    let made = RefCell::new(0);
    let attempt = async || {
        let n = *made.borrow();
        *made.borrow_mut() += 1;
        answers[n.min(answers.len() - 1)].clone()
    };
    let answer = Retries::within(Duration::from_secs(4)).run(attempt).await;
    (answer, made.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_passing_fault_is_not_seen() {
    assert_eq!(attempts(&[Err(throttled()), Err(unsure()), Ok(7)]).await, (Ok(7), 3));
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_is_not_tried_again() {
    assert_eq!(attempts(&[Err(refused())]).await, (Err(refused()), 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_been_made_is_never_called_not_made() {
    assert_eq!(attempts(&[Err(unsure()), Err(refused())]).await, (Err(unsure()), 2));
    assert_eq!(attempts(&[Err(unsure()), Err(throttled())]).await.0, Err(unsure()));
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_one_is_told_with_the_doubt() {
    let answers = RefCell::new(vec![Err(unsure()), Err(throttled()), Ok(7)]);
    let written =
        Retries::within(Duration::from_secs(4)).write(async || answers.borrow_mut().remove(0)).await;
    assert_eq!(written, Ok((7, Some(unsure()))));
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_its_time_is_over() {
    let began = Instant::now();
    let (answer, made) = attempts(&[Err(throttled())]).await;
    assert_eq!(answer, Err(throttled()));
    assert!((5..=16).contains(&made), "{made}");
    assert!(began.elapsed() <= Duration::from_secs(4));
}
