//! Credentials that are renewed before they expire, while no request waits.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How often a task looks whether they have to be renewed.
const LOOK: Duration = Duration::from_secs(30);
/// How long before they expire.
const BEFORE: Duration = Duration::from_secs(5 * 60);
/// Those that don't say when they expire are read again after this time, as the SDK does.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// The last that were provided, or why none were.
type Last = Result<Credentials, String>;

#[derive(Debug)]
struct Renewed(watch::Receiver<Last>);

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let last = self.0.borrow().clone();
        future::ProvideCredentials::ready(last.map_err(CredentialsError::provider_error))
    }
}

/// Has the credentials renewed by a task, as long as the configuration or a client of it is there. Otherwise the SDK
/// renews them within a request, 10 s before they expire; a request with a short limit that is dropped then drops the
/// renewal as well, and the next one begins anew.
pub async fn renewed(config: SdkConfig) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else { return config };
    let (send, receive) = watch::channel(provided(&provider).await);
    tokio::spawn(async move {
        let mut read = Instant::now();
        while !send.is_closed() {
            sleep(LOOK).await;
            let is_due = match &*send.borrow() {
                Ok(last) => is_due(last, read.elapsed()),
                Err(_) => true,
            };
            if !is_due {
                continue;
            }
            let next = provided(&provider).await;
            if next.is_ok() {
                read = Instant::now();
            }
            // Those that are there serve until they expire, and then DynamoDB says so.
            if next.is_ok() || send.borrow().is_err() {
                _ = send.send_replace(next);
            }
        }
    });
    let renewed = SharedCredentialsProvider::new(Renewed(receive));
    config.into_builder().credentials_provider(renewed).build()
}

async fn provided(provider: &SharedCredentialsProvider) -> Last {
    provider.provide_credentials().await.map_err(|error| crate::root_cause(&error))
}

fn is_due(last: &Credentials, age: Duration) -> bool {
    match last.expiry() {
        Some(expiry) => expiry.duration_since(SystemTime::now()).unwrap_or_default() < BEFORE,
        None => age > AGAIN,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    /// Gives other ones each time, which expire in 4 minutes.
    #[derive(Debug, Default)]
    struct Short(AtomicU64);

    impl ProvideCredentials for Short {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let id = format!("key-{}", self.0.fetch_add(1, SeqCst));
            let expiry = SystemTime::now() + Duration::from_secs(240);
            future::ProvideCredentials::ready(Ok(Credentials::new(id, "secret", None, Some(expiry), "test")))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_renewed_while_nobody_asks() {
        let short = SharedCredentialsProvider::new(Short::default());
        let config = SdkConfig::builder().credentials_provider(short).build();
        let provider = renewed(config).await.credentials_provider().unwrap();
        for id in ["key-0", "key-1", "key-2"] {
            for _ in 0..2 {
                assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), id);
            }
            sleep(LOOK + Duration::from_millis(1)).await;
        }
    }
}
