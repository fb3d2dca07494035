//! A stream that sends a status now, and again whenever something changes.

use std::time::Duration;

use cutover_proto::v1;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Admin;

/// Maximum interval between messages.
const TICK: Duration = Duration::from_secs(1);
/// Minimum interval between statuses.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn statuses(admin: Admin, key: String) -> ReceiverStream<Result<v1::Status, Status>> {
    let (reader, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut revisions = admin.registry.subscribe();
        let mut stop = admin.stop.clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = admin.status(&key);
            let over = message.is_err();
            if reader.send(message).await.is_err() || over {
                return;
            }
            tokio::time::sleep(PAUSE).await;
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
