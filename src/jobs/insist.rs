//! Calls to a controller that may be away for a while.

use std::time::Duration;

use cutover_client::AuthorizedChannel;
use cutover_proto::v1::job_service_client::JobServiceClient;
use tokio::time::Instant;
use tonic::{Code, Response, Status};

use super::Error;

/// Delay before a worker asks again: for a call without an answer, or without a segment to work on.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(300);
/// How long to wait for a controller that restarts or does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Retries while the controller is away, or does not answer.
pub(super) async fn insist<T, F>(
    jobs: &JobServiceClient<AuthorizedChannel>,
    ask: impl Fn(JobServiceClient<AuthorizedChannel>) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let began = Instant::now();
    loop {
        let status = match tokio::time::timeout(CALL_TIMEOUT, ask(jobs.clone())).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) if !is_away(&status) => return Err(status.into()),
            Ok(Err(status)) => status,
            Err(_) => Status::unavailable("no answer"),
        };
        if began.elapsed() >= PATIENCE {
            let seconds = began.elapsed().as_secs();
            return Err(Status::unavailable(format!(
                "no answer from the controller for {seconds} s ({}): is it running, and can it be reached? \
                 What was done stays, run it again and it goes on",
                status.message()
            ))
            .into());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Whether the connection to the controller failed, rather than the request. The controller's own errors have
/// no source.
fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use cutover_client::Access;

    use super::{super::worker::connect, *};

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_says_nothing_ends_a_worker_after_a_minute_with_a_reason() {
        let jobs = connect("http://127.0.0.1:1", &Access::default()).expect("an address");
        let began = Instant::now();
        let silent = insist(&jobs, |_| std::future::pending::<Result<Response<()>, Status>>());
        let error = silent.await.expect_err("it never answers").to_string();
        assert!(error.contains("no answer from the controller for 6"), "{error}");
        assert!((60..80).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        // It takes the first answer that arrives, and the controller's own errors at once.
        let asked = std::sync::atomic::AtomicU32::new(0);
        let answer = insist(&jobs, |_| {
            let asked = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move { if asked < 3 { std::future::pending().await } else { Ok(Response::new(asked)) } }
        });
        assert_eq!(answer.await.expect("it is back"), 3);
        let refused = insist(&jobs, |_| async { Err::<Response<()>, _>(Status::not_found("no such job")) });
        assert_eq!(refused.await.expect_err("refused").to_string(), "no such job");
    }
}
