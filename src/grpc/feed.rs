//! A watcher's stream: a snapshot or the changes it missed, then deltas and heartbeats.
//!
//! The task of a stream keeps no backlog. It waits until its reader took a message, and only then looks at
//! the newest state. A slow reader skips ahead; one that is too far behind gets a snapshot.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover_core::{routing::Route, wire};
use cutover_proto::v1::{self, watch_response::Kind};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::{
    domain::{Key, Tenant},
    service::{Delta, Registry, State},
};

/// Heartbeat interval of a quiet stream.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);

type Reader = mpsc::Sender<Result<v1::WatchResponse, Status>>;

/// The reader is gone.
struct Gone;

/// Feeds a reader that holds `sent` (0: nothing) until it is gone or the controller stops.
pub(super) async fn feed(
    registry: Arc<Registry>,
    mut sent: u64,
    reader: Reader,
    mut stop: watch::Receiver<bool>,
) {
    let mut revisions = registry.subscribe();
    // The first tick is immediate: a reader that holds the newest state learns at once that it does.
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        revisions.mark_unchanged();
        let state = Arc::clone(&registry.state());
        if state.revision != sent || sent == 0 {
            if send_state(&state, sent, &reader).await.is_err() {
                return;
            }
            sent = state.revision;
            // A store without any commit is at 0, which has been sent now.
            heartbeat.reset();
        }
        drop(state);
        loop {
            tokio::select! {
                changed = revisions.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                _ = heartbeat.tick() => {
                    if send(&reader, Kind::Heartbeat(v1::Heartbeat { revision: sent })).await.is_err() {
                        return;
                    }
                }
                _ = stop.changed() => {
                    let goodbye = Status::unavailable("the controller is shutting down: connect again");
                    let _ = reader.send(Err(goodbye)).await;
                    return;
                }
                () = reader.closed() => return,
            }
        }
    }
}

async fn send(reader: &Reader, kind: Kind) -> Result<(), Gone> {
    reader.send(Ok(v1::WatchResponse { kind: Some(kind) })).await.map_err(|_| Gone)
}

async fn send_state(state: &State, sent: u64, reader: &Reader) -> Result<(), Gone> {
    for message in messages(state, sent) {
        send(reader, message).await?;
    }
    Ok(())
}

/// What brings a reader that holds `sent` to a state, as messages created while they are sent.
fn messages(state: &State, sent: u64) -> Box<dyn Iterator<Item = Kind> + Send + '_> {
    match Some(sent).filter(|sent| *sent > 0).and_then(|sent| state.since(sent)) {
        Some(deltas) => Box::new(delta(state, deltas).map(Kind::Delta)),
        None => {
            let tables = state.routing.tables();
            let parts = tables
                .flat_map(|(key, table)| wire::parts(key, table, table.overrides(), std::iter::empty()));
            Box::new(wire::updates(state.revision, parts, Vec::new()).map(Kind::Snapshot))
        }
    }
}

/// Merges many revisions' changes: for each tenant and each migration the last one counts.
fn delta<'a>(
    state: &'a State,
    deltas: impl Iterator<Item = &'a Arc<Delta>>,
) -> impl Iterator<Item = v1::Update> {
    let mut changed: BTreeMap<&Key, BTreeMap<&Tenant, Option<Route>>> = BTreeMap::new();
    let mut removed: Vec<String> = Vec::new();
    for delta in deltas {
        if delta.removed {
            changed.remove(&delta.key);
            removed.push(delta.key.to_string());
        } else {
            let overrides = changed.entry(&delta.key).or_default();
            overrides.extend(delta.overrides.iter().map(|(tenant, route)| (tenant, *route)));
        }
    }
    let parts = changed.into_iter().flat_map(|(key, overrides)| {
        let table = state.routing.table(key.as_str()).ok();
        table.into_iter().flat_map(move |table| {
            let set = overrides.iter().filter_map(|(tenant, route)| Some((tenant.as_str(), (*route)?)));
            let cleared =
                overrides.iter().filter(|(_, route)| route.is_none()).map(|(tenant, _)| tenant.as_str());
            wire::parts(key.as_str(), table, set, cleared).collect::<Vec<_>>()
        })
    });
    wire::updates(state.revision, parts, removed)
}
