//! How often a call is retried, and for how long.

use std::time::Duration;

use cutover_store::StoreError;
use tokio::time::Instant;

use super::Error;

/// First delay.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_secs(5);

/// Retries what may be retried: indefinitely while a store is overloaded, and for `patience` while it fails.
/// `failed` is called with every failure that is retried.
pub(super) async fn patiently<T, F>(
    patience: Duration,
    failed: impl Fn(&'static str, &StoreError),
    attempt: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut failing_since: Option<Instant> = None;
    let mut backoff = BACKOFF_FIRST;
    loop {
        let (store, error) = match attempt().await {
            Err(Error::Store { store, error }) => (store, error),
            done => return done,
        };
        match error {
            StoreError::Permanent { .. } => return Err(Error::Store { store, error }),
            StoreError::Throttled { retry_after, .. } => backoff = backoff.max(retry_after),
            _ => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    return Err(Error::Store { store, error });
                }
            }
        }
        failed(store, &error);
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}
