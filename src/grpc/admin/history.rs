//! Pages of the history, and where what is kept of it begins.

use cutover_proto::v1;
use tonic::Status;

use crate::{
    domain::{Key, Refusal},
    grpc::{convert, status},
    service::{HistoryQuery, Operate},
};

/// One page, newest first unless it is asked for otherwise. `known`: whether there is such a migration; a
/// deleted one has a history, a misspelled one has none.
pub(super) async fn page(
    operate: &Operate,
    request: v1::ListHistoryRequest,
    known: impl Fn(&Key) -> bool,
) -> Result<v1::ListHistoryResponse, Status> {
    let v1::ListHistoryRequest { key, before, page_size, oldest_first, after } = request;
    let key = Some(key).filter(|key| !key.is_empty());
    let key = key.map(|key| Key::parse(&key)).transpose().map_err(status::invalid)?;
    if let Some(key) = key.as_ref().filter(|key| !known(key)) {
        let query = HistoryQuery { key: Some(key.clone()), limit: 1, ..HistoryQuery::default() };
        if operate.history(&query).await.map_err(status::store)?.is_empty() {
            return Err(status::refusal(Refusal::NotFound(key.clone())));
        }
    }
    let limit = if page_size == 0 { 100 } else { page_size.min(1000) };
    let mut events = if oldest_first {
        operate.history_after(after, limit).await
    } else {
        let before = Some(before).filter(|before| *before > 0);
        operate.history(&HistoryQuery { key: key.clone(), before, limit, ..HistoryQuery::default() }).await
    }
    .map_err(status::store)?;
    let more = events.len() == limit as usize;
    let next = events.last().filter(|_| more).map_or(0, |event| event.revision);
    events.retain(|event| key.as_ref().is_none_or(|key| event.key == *key));
    // Read last: what is missing above is told in any case.
    let dropped = operate.dropped().await.map_err(status::store)?;
    Ok(v1::ListHistoryResponse {
        events: events.into_iter().map(convert::history_event).collect(),
        next,
        dropped_through: dropped.through,
        dropped_at_ms: dropped.at_ms,
    })
}
