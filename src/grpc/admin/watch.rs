//! Streams that send a status or the overview now, and again whenever something changes.

use std::time::Duration;

use cutover_proto::v1;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Admin, convert, shared::Pace};
use crate::service::Looks;

/// Minimum interval between statuses.
const STATUS_PAUSE: Duration = Duration::from_millis(100);
/// Minimum interval between overviews.
const OVERVIEW_PAUSE: Duration = Duration::from_millis(500);

type Stream<M> = ReceiverStream<Result<M, Status>>;

/// The first message is made for this reader: whoever has just made a change must not get a status from before it.
pub(super) fn status(admin: &Admin, key: &str) -> Stream<v1::Status> {
    let first = admin.status(key);
    let (made_by, about) = (admin.clone(), key.to_owned());
    let pace = admin.pace(STATUS_PAUSE);
    admin.statuses.watch(key, pace, Some(first), move || made_by.status(&about))
}

pub(super) fn overview(admin: &Admin) -> Stream<v1::Overview> {
    let (overview, mut looks) = (admin.overview.clone(), Looks::default());
    admin.overviews.watch("", admin.pace(OVERVIEW_PAUSE), None, move || {
        let (revision, rows) = overview.rows(&mut looks);
        Ok(convert::overview::overview(revision, rows))
    })
}

impl Admin {
    fn pace(&self, pause: Duration) -> Pace {
        Pace { revisions: self.registry.subscribe(), pause, stop: self.stop.clone() }
    }
}
