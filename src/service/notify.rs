//! Notifies endpoints of commits (docs/notifications.md). It follows the event log independently of commits,
//! with one task and one event in hand for each endpoint, so no endpoint delays a commit or another endpoint.

mod sender;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use sender::SenderError;

use self::sender::Sender;
use super::{Registry, once::Once};
use crate::{
    domain::Event,
    notify::{Answer, Endpoint, KINDS, Outcome, after, delay_ms, idempotency_key, is_told},
    store::{CursorRecord, Error, Store, Upkeep},
    telemetry::{Deliveries, now_ms},
};

/// Events read at a time; each may have many rows.
const EVENTS_MAX: u32 = 16;
/// Events that are not sent are skipped without a write, up to this many.
const UNSAVED_MAX: u64 = 256;
/// Interval between attempts while the store does not answer.
const STORE_AWAY: Duration = Duration::from_secs(1);

/// Notifies endpoints of commits.
#[derive(Debug)]
pub struct Notify {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    sender: Sender,
    told: Vec<Arc<Told>>,
}

/// One endpoint, and the results of its messages since the start.
#[derive(Debug)]
struct Told {
    endpoint: Endpoint,
    /// Its position at the start.
    cursor: u64,
    delivered: AtomicU64,
    retried: AtomicU64,
    dropped: AtomicU64,
}

/// Why no notifications can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Messages can't be sent.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// Cursors can't be stored.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Notify {
    /// Gives each new endpoint a cursor at the newest revision, and removes those of endpoints that are no
    /// longer configured.
    pub async fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        endpoints: Vec<Endpoint>,
        known: &[CursorRecord],
    ) -> Result<Self, NotifyError> {
        let newest = registry.state().revision;
        let sender = Sender::new(endpoints.iter().any(Endpoint::is_https))?;
        let is_named = |record: &&CursorRecord| endpoints.iter().any(|to| to.name == record.endpoint);
        let gone = known.iter().filter(|record| !is_named(record));
        let mut upkeep = Upkeep {
            remove_cursors: gone.map(|record| record.endpoint.clone()).collect(),
            ..Upkeep::default()
        };
        let mut told = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            // Beyond the newest revision: the store is an older backup, and what follows is new again.
            let at = known.iter().find(|record| record.endpoint == endpoint.name);
            let cursor = at.map_or(newest, |record| record.revision.min(newest));
            if at.is_none_or(|record| record.revision != cursor) {
                let endpoint = endpoint.name.clone();
                upkeep.put_cursors.push(CursorRecord { endpoint, revision: cursor });
            }
            let (delivered, retried, dropped) = Default::default();
            told.push(Arc::new(Told { endpoint, cursor, delivered, retried, dropped }));
        }
        if !upkeep.put_cursors.is_empty() || !upkeep.remove_cursors.is_empty() {
            store.keep(&upkeep).await?;
        }
        Ok(Self { store, registry, sender, told })
    }

    /// Results of messages since the start, for metrics.
    pub fn deliveries(&self) -> Vec<Deliveries> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let one = |told: &Arc<Told>| Deliveries {
            endpoint: told.endpoint.name.clone(),
            delivered: read(&told.delivered),
            retried: read(&told.retried),
            dropped: read(&told.dropped),
        };
        self.told.iter().map(one).collect()
    }

    /// Notifies all endpoints until it is dropped.
    pub async fn tell(self: Arc<Self>) {
        let mut tasks = tokio::task::JoinSet::new();
        for told in &self.told {
            let (notify, told) = (self.clone(), told.clone());
            tasks.spawn(async move { notify.follow(&told).await });
        }
        // No task ends by itself; without endpoints there is nobody to notify.
        match tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "an endpoint is not told any more"),
        }
    }

    async fn follow(&self, told: &Told) {
        let name = &told.endpoint.name;
        let mut revisions = self.registry.subscribe();
        let (mut cursor, mut saved) = (told.cursor, told.cursor);
        let mut once = Once::default();
        loop {
            // Marked before the read: the next look sees a commit in between.
            revisions.mark_unchanged();
            let read = self.store.changes(cursor, EVENTS_MAX).await;
            let is_news = once.is_news(&read);
            let events = match read {
                Ok(events) => events,
                Err(error) => {
                    if is_news {
                        tracing::warn!(endpoint = name, %error, "could not read what to notify; retrying");
                    }
                    tokio::time::sleep(STORE_AWAY).await;
                    continue;
                }
            };
            let are_all = events.is_empty();
            for event in events {
                let is_told = is_told(&event, KINDS);
                if is_told {
                    self.deliver(told, &event).await;
                }
                cursor = event.revision;
                if is_told || cursor - saved >= UNSAVED_MAX {
                    let put_cursors = vec![CursorRecord { endpoint: name.clone(), revision: cursor }];
                    match self.store.keep(&Upkeep { put_cursors, ..Upkeep::default() }).await {
                        Ok(()) => saved = cursor,
                        Err(error) => tracing::warn!(
                            endpoint = name,
                            %error,
                            "could not store how far delivery got; after a restart messages may be sent again"
                        ),
                    }
                }
            }
            if are_all && revisions.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sends the same message until it arrives or never will.
    async fn deliver(&self, told: &Told, event: &Event) {
        let (endpoint, history_id) = (&told.endpoint, self.registry.state().history_id.clone());
        let (name, key) = (&endpoint.name, idempotency_key(&history_id, event));
        let body = crate::notify::body(endpoint.shape, &history_id, event);
        let mut failures = 0_u32;
        loop {
            let sent = self.sender.post(endpoint, &key, &body, unix_s()).await;
            let answer = sent.as_ref().map_or(Answer::Silence, |status| Answer::Status(*status));
            let (outcome, why) = (after(answer), sent.err());
            let count = match outcome {
                Outcome::Delivered => &told.delivered,
                Outcome::Retried => &told.retried,
                Outcome::Dropped => &told.dropped,
            };
            count.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::Delivered => return,
                Outcome::Dropped => {
                    tracing::error!(
                        endpoint = name,
                        key,
                        ?answer,
                        "it will never take this message: dropped"
                    );
                    return;
                }
                Outcome::Retried => {
                    failures = failures.saturating_add(1);
                    let delay_ms = delay_ms(failures, rand::random());
                    tracing::warn!(
                        endpoint = name,
                        key,
                        ?answer,
                        why,
                        failures,
                        delay_ms,
                        "could not deliver a notification; retrying"
                    );
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                }
            }
        }
    }
}

fn unix_s() -> u64 {
    now_ms() / 1_000
}
