//! Repeats a request if that may help. The AWS SDK's own retries are off, because they hide that an earlier
//! attempt may have written.

use std::{future::Future, time::Duration};

use rand::RngExt as _;
use tokio::time::Instant;

use crate::{StoreError, error::Doubt};

const FIRST_WAIT: Duration = Duration::from_millis(25);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long one call may still retry.
#[derive(Debug)]
pub(super) struct Retries {
    until: Instant,
    wait: Duration,
}

impl Retries {
    /// Attempts that begin within `timeout` from now.
    pub(super) fn within(timeout: Duration) -> Self {
        Self { until: Instant::now() + timeout, wait: FIRST_WAIT }
    }

    /// Waits, longer each time and with some jitter. False: no time is left.
    pub(super) async fn wait(&mut self) -> bool {
        let wait = rand::rng().random_range(self.wait / 2..=self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        if Instant::now() + wait > self.until {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }

    /// Makes attempts until one succeeds, one fails for good, or time is up.
    pub(super) async fn run<T, F>(self, attempt: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Ok(self.write(attempt).await?.0)
    }

    /// The same for attempts that write. Once one may have written, no later failure can say that nothing was
    /// written.
    pub(super) async fn write<T, F>(
        mut self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<(T, Doubt), StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut doubt: Doubt = None;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok((answer, doubt)),
                Err(error) => error,
            };
            let retry = !matches!(error, StoreError::Permanent { .. });
            if error.may_apply() {
                doubt = Some(error.clone());
            }
            if !retry || !self.wait().await {
                return Err(doubt.unwrap_or(error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
