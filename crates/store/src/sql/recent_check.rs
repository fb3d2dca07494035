//! A check of the tables whose outcome holds for a moment.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use super::super::StoreError;

/// How long. A trigger that fails for each record would otherwise cost a check for each of them, of about 20 queries.
const HOLDS: Duration = Duration::from_secs(1);

/// The outcome of the last check, and when it ended.
#[derive(Debug, Default)]
pub(in super::super) struct RecentCheck(Mutex<Option<(Instant, Result<(), StoreError>)>>);

impl RecentCheck {
    /// The outcome of the last check if it is recent, and of this one otherwise. Whoever asks meanwhile waits for it.
    pub(in super::super) async fn or(
        &self,
        check: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((ended, outcome)) if ended.elapsed() < HOLDS => outcome.clone(),
            _ => {
                let outcome = check.await;
                *last = Some((Instant::now(), outcome.clone()));
                outcome
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cutover_core::outcome::ErrorClass;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_is_repeated_only_once_its_outcome_is_old() {
        let failed = Err(StoreError::NotApplied { class: ErrorClass::Timeout, what: "late".to_owned() });
        let recent = RecentCheck::default();
        assert_eq!(recent.or(async { Ok(()) }).await, Ok(()));
        assert_eq!(recent.or(async { panic!("it is recent") }).await, Ok(()));
        tokio::time::advance(HOLDS).await;
        assert_eq!(recent.or(async { failed.clone() }).await, failed);
        assert_eq!(recent.or(async { panic!("it is recent") }).await, failed);
        tokio::time::advance(HOLDS).await;
        assert_eq!(recent.or(async { Ok(()) }).await, Ok(()));
    }
}
