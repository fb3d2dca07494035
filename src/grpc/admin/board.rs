//! The overview: made once for all who watch it, while somebody does.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use cutover_proto::v1;
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::convert;
use crate::service::{Looks, Overview};

/// Maximum interval between overviews.
const TICK: Duration = Duration::from_secs(1);
/// Minimum interval between overviews.
const PAUSE: Duration = Duration::from_millis(500);

/// `None`: the first one is still to be made.
type Newest = Option<Arc<v1::Overview>>;

/// Hands out overviews.
#[derive(Debug)]
pub(in crate::grpc) struct Board {
    overview: Overview,
    /// The task that makes overviews owns it. Dead: nobody watches, or the task has failed.
    newest: Mutex<Weak<watch::Sender<Newest>>>,
}

impl Board {
    pub(in crate::grpc) fn new(overview: Overview) -> Arc<Self> {
        Arc::new(Self { overview, newest: Mutex::default() })
    }

    /// Sends the newest overview now, and each later one. A slow reader skips ahead.
    pub(super) fn watch(
        self: &Arc<Self>,
        mut stop: watch::Receiver<bool>,
    ) -> ReceiverStream<Result<v1::Overview, Status>> {
        let (reader, stream) = mpsc::channel(1);
        let mut newest = self.subscribe();
        tokio::spawn(async move {
            loop {
                let overview = newest.borrow_and_update().clone();
                if let Some(overview) = overview
                    && reader.send(Ok((*overview).clone())).await.is_err()
                {
                    return;
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

    fn subscribe(self: &Arc<Self>) -> watch::Receiver<Newest> {
        let mut newest = self.lock();
        if let Some(sender) = newest.upgrade() {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        *newest = Arc::downgrade(&sender);
        tokio::spawn(self.clone().run(sender));
        receiver
    }

    async fn run(self: Arc<Self>, sender: Arc<watch::Sender<Newest>>) {
        let mut revisions = self.overview.registry.subscribe();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = Looks::default();
        loop {
            revisions.mark_unchanged();
            let (revision, rows) = self.overview.rows(&mut looks);
            sender.send_replace(Some(Arc::new(convert::overview::overview(revision, rows))));
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                _ = ticks.tick() => {}
                _ = revisions.changed() => {}
                () = sender.closed() => {}
            }
            // Under the lock, so that nobody subscribes to what has ended.
            let mut newest = self.lock();
            if sender.receiver_count() == 0 {
                *newest = Weak::new();
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Weak<watch::Sender<Newest>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
