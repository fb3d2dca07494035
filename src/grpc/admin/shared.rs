//! What many watch is made once for all of them, while somebody does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use cutover_clock::Instant;
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Maximum interval between messages.
const TICK: Duration = Duration::from_secs(1);

/// A message, and since when it was made: what happened before is in it.
#[derive(Clone, Debug)]
struct Made<M> {
    began: Instant,
    message: Result<Arc<M>, Status>,
}

/// `None`: the first one is still to be made.
type Sender<M> = watch::Sender<Option<Made<M>>>;

/// Hands out messages, by what they are about.
#[derive(Debug)]
pub(in crate::grpc) struct Shared<M> {
    /// The task that makes messages owns the sender. Dead: nobody watches, or the task has failed.
    newest: Mutex<HashMap<String, Weak<Sender<M>>>>,
}

impl<M> Default for Shared<M> {
    fn default() -> Self {
        Self { newest: Mutex::default() }
    }
}

/// When messages are made.
pub(super) struct Pace {
    /// Changes of the controller's state.
    pub(super) revisions: watch::Receiver<u64>,
    /// Minimum interval between messages.
    pub(super) pause: Duration,
    /// The controller stops.
    pub(super) stop: watch::Receiver<bool>,
}

impl<M: Clone + Send + Sync + 'static> Shared<M> {
    /// Sends the newest message about something, and each later one; an error is the last. A slow reader skips ahead.
    /// `first`: made just now, for a reader who must not get an older one.
    pub(super) fn watch(
        self: &Arc<Self>,
        about: &str,
        pace: Pace,
        first: Option<Result<M, Status>>,
        make: impl FnMut() -> Result<M, Status> + Send + 'static,
    ) -> ReceiverStream<Result<M, Status>> {
        let (reader, stream) = mpsc::channel(1);
        let mut stop = pace.stop.clone();
        let oldest = first.is_some().then(Instant::now);
        let mut newest = self.subscribe(about, pace, make);
        tokio::spawn(async move {
            if let Some(first) = first {
                let is_over = first.is_err();
                if reader.send(first).await.is_err() || is_over {
                    return;
                }
            }
            loop {
                let made = newest.borrow_and_update().clone();
                if let Some(Made { began, message }) = made
                    && oldest.is_none_or(|oldest| began >= oldest)
                {
                    let is_over = message.is_err();
                    let message = message.map(|message| (*message).clone());
                    if reader.send(message).await.is_err() || is_over {
                        return;
                    }
                }
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { return },
                    _ = stop.changed() => return,
                    () = reader.closed() => return,
                }
            }
        });
        ReceiverStream::new(stream)
    }

    fn subscribe(
        self: &Arc<Self>,
        about: &str,
        pace: Pace,
        make: impl FnMut() -> Result<M, Status> + Send + 'static,
    ) -> watch::Receiver<Option<Made<M>>> {
        let mut newest = self.lock();
        if let Some(sender) = newest.get(about).and_then(Weak::upgrade) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        newest.insert(about.to_owned(), Arc::downgrade(&sender));
        tokio::spawn(self.clone().run(about.to_owned(), sender, pace, make));
        receiver
    }

    async fn run(
        self: Arc<Self>,
        about: String,
        sender: Arc<Sender<M>>,
        pace: Pace,
        mut make: impl FnMut() -> Result<M, Status> + Send + 'static,
    ) {
        let Pace { mut revisions, pause, .. } = pace;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            revisions.mark_unchanged();
            let began = Instant::now();
            let message = make().map(Arc::new);
            let is_over = message.is_err();
            sender.send_replace(Some(Made { began, message }));
            if !is_over {
                tokio::time::sleep(pause).await;
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = revisions.changed() => {}
                    () = sender.closed() => {}
                }
            }
            // Under the lock, so that nobody subscribes to what has ended.
            let mut newest = self.lock();
            if is_over || sender.receiver_count() == 0 {
                newest.remove(&about);
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Sender<M>>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio_stream::StreamExt as _;

    use super::*;

    struct World {
        shared: Arc<Shared<u64>>,
        made: Arc<AtomicU64>,
        revisions: watch::Sender<u64>,
        stop: watch::Sender<bool>,
    }

    impl World {
        fn new() -> Self {
            let (revisions, stop) = (watch::Sender::new(1), watch::Sender::new(false));
            Self { shared: Arc::default(), made: Arc::default(), revisions, stop }
        }

        fn watch(&self, about: &str, first: Option<u64>) -> ReceiverStream<Result<u64, Status>> {
            let (made, last) = (self.made.clone(), about == "short");
            let (revisions, stop) = (self.revisions.subscribe(), self.stop.subscribe());
            let pace = Pace { revisions, stop, pause: Duration::from_millis(100) };
            self.shared.watch(about, pace, first.map(Ok), move || match made.fetch_add(1, Ordering::SeqCst) {
                2.. if last => Err(Status::not_found("deleted")),
                at => Ok(at),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_watch_and_each_message_is_made_once() {
        let world = World::new();
        let mut readers: Vec<_> = (0..20).map(|_| world.watch("orders", None)).collect();
        for _ in 0..3 {
            for reader in &mut readers {
                reader.next().await.expect("a message").expect("a number");
            }
        }
        let made = world.made.load(Ordering::SeqCst);
        assert!((3..=4).contains(&made), "{made} made for 20 readers of 3");
        drop(readers);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let at_end = world.made.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.made.load(Ordering::SeqCst), at_end, "nobody watches");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_with_a_first_message_gets_none_that_was_begun_before() {
        let world = World::new();
        let mut early = world.watch("orders", None);
        assert_eq!(early.next().await.expect("a message").expect("a number"), 0);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut late = world.watch("orders", Some(77));
        let mut next = async || late.next().await.expect("a message").expect("a number");
        assert_eq!((next().await, next().await), (77, 1), "0 is from before");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_the_last_message_of_all_and_a_later_reader_begins_anew() {
        let world = World::new();
        let mut readers = [world.watch("short", None), world.watch("short", None)];
        for reader in &mut readers {
            let all: Vec<_> = reader.collect().await;
            assert!(all.last().is_some_and(Result::is_err), "{all:?}");
        }
        assert!(world.watch("short", None).next().await.expect("an answer").is_err());
    }
}
