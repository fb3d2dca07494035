//! Pages of the history, and where what is kept of it begins.

use cutover_proto::v1;
use tonic::Status;

use crate::{
    domain::{Event, Key, LOWERED_PIN, Refusal, Tenant, Violation},
    grpc::{convert, status},
    service::{ChainedEvent, HistoryQuery, Operate},
};

/// Events that are read at a time while searching, and for one answer. Each has the whole migration in it.
const CHUNK: u32 = 500;
const SEARCHED_MAX: u32 = 5_000;
/// Bytes of documents in one answer, beside the last one: clients take a message of a few megabytes.
const DOCUMENTS_BYTES: usize = 1 << 20;

/// Which events are wanted. Empty texts: any.
struct Filter {
    change: String,
    by: String,
    /// In lower case.
    find: String,
}

impl Filter {
    fn of(request: &v1::ListHistoryRequest) -> Self {
        let v1::ListHistoryRequest { change, by, find, .. } = request;
        Self { change: change.clone(), by: by.clone(), find: find.to_lowercase() }
    }

    fn is_any(&self) -> bool {
        self.change.is_empty() && self.by.is_empty() && self.find.is_empty()
    }

    fn matches(&self, event: &Event) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.find);
        let is_found = || {
            let texts = [event.reason.as_str(), &event.actor, &event.change];
            texts.into_iter().any(has)
                || has(&format!("r{}", event.revision))
                || event.summary.iter().any(|line| has(line))
        };
        (self.change.is_empty() || event.change == self.change)
            && (self.by.is_empty() || event.actor == self.by)
            && (self.find.is_empty() || is_found())
    }
}

/// An event as it was read.
enum Found {
    Plain(Event),
    Chained(ChainedEvent),
}

impl Found {
    fn event(&self) -> &Event {
        match self {
            Self::Plain(event) => event,
            Self::Chained(chained) => &chained.event,
        }
    }

    fn into_wire(self, proofs: bool) -> v1::HistoryEvent {
        match self {
            Self::Chained(chained) if proofs => convert::history::proven(chained),
            Self::Plain(event) | Self::Chained(ChainedEvent { event, .. }) => convert::history::event(event),
        }
    }
}

/// One page, newest first unless it is asked for otherwise. `known`: whether there is such a migration; a
/// deleted one has a history, a misspelled one has none.
pub(super) async fn page(
    operate: &Operate,
    request: v1::ListHistoryRequest,
    known: impl Fn(&Key) -> bool,
) -> Result<v1::ListHistoryResponse, Status> {
    let filter = Filter::of(&request);
    let v1::ListHistoryRequest { key, before, page_size, oldest_first, after, proofs, .. } = request;
    if proofs && !oldest_first {
        return Err(status::invalid(Violation::new("proofs", "needs oldest_first: a chain has a direction")));
    }
    let key = Some(key).filter(|key| !key.is_empty());
    let key = key.map(|key| Key::parse(&key)).transpose().map_err(status::invalid)?;
    if let Some(key) = key.as_ref().filter(|key| !known(key)) {
        let query = HistoryQuery { key: Some(key.clone()), limit: 1, ..HistoryQuery::default() };
        if operate.history(&query).await.map_err(status::store)?.is_empty() {
            return Err(status::refusal(Refusal::NotFound(key.clone())));
        }
    }
    let limit = if page_size == 0 { 100 } else { page_size.min(1000) };
    // Where the next page begins; 0: there is none.
    let (mut events, mut next, mut searched) = (Vec::new(), if oldest_first { after } else { before }, 0);
    let (mut chain, mut document_bytes) = (None, 0);
    loop {
        let room = limit - events.len() as u32;
        let chunk = if filter.is_any() { room } else { CHUNK };
        let read: Vec<Found> = if oldest_first {
            let page = operate.chain(next, chunk).await.map_err(status::store)?;
            chain = Some(page.state);
            page.events.into_iter().map(Found::Chained).collect()
        } else {
            let before = Some(next).filter(|before| *before > 0);
            let query = HistoryQuery { key: key.clone(), before, limit: chunk, ..Default::default() };
            let read = operate.history(&query).await.map_err(status::store)?;
            read.into_iter().map(Found::Plain).collect()
        };
        let (is_last, mut left) = (read.len() < chunk as usize, room);
        searched += chunk;
        for found in read {
            if left == 0 {
                break;
            }
            let event = found.event();
            next = event.revision;
            if key.as_ref().is_none_or(|key| event.key == *key) && filter.matches(event) {
                let event = found.into_wire(proofs);
                document_bytes += event.proof.as_ref().map_or(0, |proof| proof.document.len());
                left = if document_bytes > DOCUMENTS_BYTES { 0 } else { left - 1 };
                events.push(event);
            }
        }
        if is_last && left > 0 {
            next = 0;
        }
        if left == 0 || is_last || filter.is_any() || searched >= SEARCHED_MAX {
            break;
        }
    }
    // Read last: what is missing above is told in any case.
    let dropped = operate.dropped().await.map_err(status::store)?;
    Ok(v1::ListHistoryResponse {
        events,
        next,
        dropped_through: dropped.through,
        dropped_at_ms: dropped.at_ms,
        chain: chain.filter(|_| proofs).map(convert::history::chain),
    })
}

/// Who pinned a tenant where it is, by the newest events: an operator, or whoever acknowledged its rollback.
pub(super) async fn pinned_by(operate: &Operate, key: &Key, tenant: &Tenant) -> Option<String> {
    let query = HistoryQuery { key: Some(key.clone()), limit: CHUNK, ..HistoryQuery::default() };
    // Without the history the rest is explained all the same.
    let events = operate.history(&query).await.ok()?;
    events.iter().find_map(|event| {
        let did = |line: &String| match line {
            line if line.starts_with(&format!("pinned tenant {tenant} to ")) => Some("pinned it"),
            line if line.starts_with(&format!("acknowledged; tenant {tenant} stays pinned")) => {
                Some(ACKNOWLEDGED)
            }
            line if line.contains(LOWERED_PIN) && line.contains(&format!(" {tenant} (")) => {
                Some(ACKNOWLEDGED)
            }
            _ => None,
        };
        let did = event.summary.iter().find_map(did)?;
        Some(format!("since {} {did} (revision {})", event.actor, event.revision))
    })
}

const ACKNOWLEDGED: &str = "acknowledged a rollback";
