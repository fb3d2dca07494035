//! Streams that send something now, and again whenever something changes.

use std::time::Duration;

use cutover_proto::v1;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Admin, convert};

/// Maximum interval between messages.
const TICK: Duration = Duration::from_secs(1);
/// Minimum interval between statuses.
const PAUSE: Duration = Duration::from_millis(100);
/// The same of overviews, which cost more.
const OVERVIEW_PAUSE: Duration = Duration::from_millis(500);

pub(super) fn statuses(admin: Admin, key: String) -> ReceiverStream<Result<v1::Status, Status>> {
    repeated(admin, PAUSE, move |admin| admin.status(&key))
}

pub(super) fn overviews(admin: Admin) -> ReceiverStream<Result<v1::Overview, Status>> {
    repeated(admin, OVERVIEW_PAUSE, |admin| {
        let (revision, rows) = admin.overview.rows();
        Ok(convert::overview::overview(revision, rows))
    })
}

fn repeated<T: Send + 'static>(
    admin: Admin,
    pause: Duration,
    now: impl Fn(&Admin) -> Result<T, Status> + Send + Sync + 'static,
) -> ReceiverStream<Result<T, Status>> {
    let (reader, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut revisions = admin.registry.subscribe();
        let mut stop = admin.stop.clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = now(&admin);
            let over = message.is_err();
            if reader.send(message).await.is_err() || over {
                return;
            }
            tokio::time::sleep(pause).await;
            tokio::select! {
                _ = ticks.tick() => {}
                changed = revisions.changed() => if changed.is_err() { return },
                _ = stop.changed() => return,
                () = reader.closed() => return,
            }
        }
    });
    ReceiverStream::new(stream)
}
