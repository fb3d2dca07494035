//! Notifies endpoints of commits (docs/notifications.md). It follows the event log independently of commits,
//! with one task and a few messages in hand for each endpoint, so no endpoint delays a commit or another
//! endpoint.

mod sender;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cutover_clock::Instant;

use self::sender::Sender;
use super::{Registry, once::Once};
use crate::{
    domain::Event,
    https::HttpsError,
    notify::{
        Answer, Attempt, AttemptOutcome, Backlog, Endpoint, KINDS, Message, Next, after, idempotency_key,
        is_told,
    },
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
    began: Instant,
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
    set_aside: AtomicU64,
    state: Mutex<EndpointState>,
}

/// How an endpoint fares.
#[derive(Clone, Debug, Default)]
struct EndpointState {
    /// Messages read from the store that it has yet to get.
    waiting: u64,
    /// On this controller's clock. `None`: the first of them has not failed.
    failing_since_ms: Option<u64>,
    /// Its last answer.
    answer: String,
    /// The last message that was set aside. Empty: none was.
    set_aside: String,
}

/// Why no notifications can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Messages can't be sent.
    #[error(transparent)]
    Https(#[from] HttpsError),
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
            let (delivered, retried, dropped, set_aside) = Default::default();
            let state = Mutex::default();
            told.push(Arc::new(Told { endpoint, cursor, delivered, retried, dropped, set_aside, state }));
        }
        if !upkeep.put_cursors.is_empty() || !upkeep.remove_cursors.is_empty() {
            store.keep(&upkeep).await?;
        }
        Ok(Self { store, registry, sender, told, began: Instant::now() })
    }

    /// Results of messages since the start, for metrics and for people.
    pub fn deliveries(&self) -> Vec<Deliveries> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let now_ms = self.now_ms();
        let one = |told: &Arc<Told>| {
            let state = told.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Deliveries {
                endpoint: told.endpoint.name.clone(),
                delivered: read(&told.delivered),
                retried: read(&told.retried),
                dropped: read(&told.dropped),
                set_aside: read(&told.set_aside),
                waiting: state.waiting,
                failing_ms: state.failing_since_ms.map(|since_ms| now_ms.saturating_sub(since_ms)),
                answer: state.answer,
                last_set_aside: state.set_aside,
            }
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
        let (mut read, mut saved) = (told.cursor, told.cursor);
        let (mut backlog, mut has_more, mut once) = (Backlog::default(), true, Once::default());
        loop {
            // Marked before the read: the next look sees a commit in between.
            has_more |= revisions.has_changed().unwrap_or(false);
            if has_more && backlog.has_room() {
                revisions.mark_unchanged();
                let events = self.store.changes(read, EVENTS_MAX).await;
                let is_news = once.is_news(&events);
                match events {
                    Ok(events) => {
                        has_more = !events.is_empty();
                        read = events.last().map_or(read, |event| event.revision);
                        let events = events.iter().filter(|event| is_told(event, KINDS));
                        events.for_each(|event| backlog.push(self.message(&told.endpoint, event)));
                    }
                    Err(error) => {
                        if is_news {
                            tracing::warn!(endpoint = name, %error, "could not read what to notify; retrying");
                        }
                        if backlog.is_empty() {
                            tokio::time::sleep(STORE_AWAY).await;
                            continue;
                        }
                    }
                }
            }
            let wait = self.attempt(told, &mut backlog).await;
            let done = backlog.done(read);
            if done > saved && (wait.is_some() || done - saved >= UNSAVED_MAX) {
                let put_cursors = vec![CursorRecord { endpoint: name.clone(), revision: done }];
                match self.store.keep(&Upkeep { put_cursors, ..Upkeep::default() }).await {
                    Ok(()) => saved = done,
                    Err(error) => tracing::warn!(
                        endpoint = name,
                        %error,
                        "could not store how far delivery got; after a restart messages may be sent again"
                    ),
                }
            }
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None if has_more => {}
                None if revisions.changed().await.is_err() => return,
                None => has_more = true,
            }
        }
    }

    fn message(&self, endpoint: &Endpoint, event: &Event) -> Message {
        let history_id = &self.registry.state().history_id;
        Message {
            revision: event.revision,
            key: idempotency_key(history_id, event),
            about: format!("{} of {}, revision {}", event.change, event.key, event.revision),
            body: crate::notify::body(endpoint.shape, history_id, event),
        }
    }

    /// One attempt. Returns how long to wait before the next; `None`: there is nothing to send.
    async fn attempt(&self, told: &Told, backlog: &mut Backlog) -> Option<Duration> {
        let (endpoint, name) = (&told.endpoint, &told.endpoint.name);
        let message = backlog.next()?;
        let key = message.key.clone();
        let sent = self.sender.post(endpoint, &key, &message.body, unix_s()).await;
        let answer = sent.as_ref().map_or(Answer::Silence, |(status, _)| Answer::Status(*status));
        let outcome = after(answer);
        let retry_after = sent.as_ref().map_or(Duration::ZERO, |(_, asked)| *asked);
        let attempt = Attempt { outcome, is_answered: sent.is_ok(), retry_after };
        let Next { wait, set_aside } = backlog.attempted(attempt, self.now_ms(), rand::random());
        match outcome {
            AttemptOutcome::Delivered => told.count(&told.delivered, 1),
            AttemptOutcome::Retried => {
                told.count(&told.retried, 1);
                let wait_ms = wait.as_millis() as u64;
                tracing::warn!(
                    endpoint = name,
                    key,
                    ?answer,
                    why = sent.err(),
                    wait_ms,
                    "could not deliver a notification; retrying"
                );
            }
            AttemptOutcome::Dropped => {
                told.count(&told.dropped, 1);
                tracing::error!(endpoint = name, key, ?answer, "the endpoint rejects this message: dropped");
            }
        }
        told.count(&told.set_aside, set_aside.len() as u64);
        for Message { key, about, .. } in &set_aside {
            tracing::error!(
                endpoint = name,
                key,
                "{about}: set aside; it kept failing while a later message was delivered"
            );
        }
        told.note(backlog, answer, &set_aside);
        Some(wait)
    }

    /// Milliseconds since the start.
    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

impl Told {
    fn count(&self, counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    fn note(&self, backlog: &Backlog, answer: Answer, set_aside: &[Message]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting = backlog.len() as u64;
        state.failing_since_ms = backlog.failing_since_ms();
        state.answer = answer.to_string();
        if let Some(last) = set_aside.last() {
            state.set_aside = last.about.clone();
        }
    }
}

fn unix_s() -> u64 {
    now_ms() / 1_000
}
