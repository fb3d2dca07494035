//! A page of the chain of events, from rows.

use super::row::{Columns, event, number, text};
use crate::{
    domain::Hash,
    store::{ChainPage, ChainState, ChainedEvent, Dropped, Error, entry::unreadable},
};

/// The columns of [`page`]'s events, besides those of an event.
pub(in crate::store) const CHAINED: &str = r#""rows", history_id, hash"#;

/// `before`: the hash of the last event before the page. `None`: none is kept.
pub(in crate::store) fn page<R: Columns>(
    counter: &R,
    rows: &[R],
    before: Option<&[u8]>,
) -> Result<ChainPage, Error> {
    let damaged = |error: sqlx::Error| unreadable("the history", error);
    let state = ChainState {
        revision: number(counter, "revision")?,
        history_id: text(counter, "history_id")?,
        dropped: Dropped {
            through: number(counter, "dropped_through")?,
            at_ms: number(counter, "dropped_at_ms")?,
        },
        dropped_hash: Hash::stored(counter.get_bytes("dropped_hash").map_err(damaged)?),
        hashed_through: number(counter, "hashed_through")?,
        hashed_at_ms: number(counter, "hashed_at_ms")?,
    };
    let mut before = before.map_or(state.dropped_hash, Hash::stored);
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let hash = Hash::stored(row.get_bytes("hash").map_err(damaged)?);
        events.push(ChainedEvent {
            event: event(row, false)?,
            history_id: text(row, "history_id")?,
            summary: text(row, "summary")?,
            document: row.get_optional("document").map_err(damaged)?.map(str::to_owned),
            rows: Hash::of(row.get_text("rows").map_err(damaged)?.as_bytes()),
            before,
            hash,
        });
        before = hash;
    }
    Ok(ChainPage { events, state })
}
