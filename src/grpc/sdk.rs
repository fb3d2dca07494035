//! What an SDK calls: `Watch`, which brings it every new state, and `TelemetryService`, by which it says what it has
//! acknowledged and how its calls ended.
//!
//! A watcher's stream starts with a snapshot or the changes that the watcher missed, followed by deltas and
//! heartbeats. The task of a stream keeps no backlog. It waits until its reader took a message, and only then looks at
//! the newest state. A slow reader skips ahead; one that is too far behind gets a snapshot.

mod counting;
mod layout;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover_core::{routing::Route, wire};
use cutover_proto::{
    NO_BASE,
    v1::{self, telemetry_service_server::TelemetryService, watch_response::Kind},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{caller::principal, convert, status};
use crate::{
    domain::{Key, Principal, Tenant, Violation, guard::OUTCOMES},
    service::{
        Acknowledging, Asking, Delta, InstanceRecord, Known, LEASE, Membership, PublishedState, Registry,
        Who, check_name, shown, windows,
    },
    telemetry::{Accepted, RefusedReport, now_ms},
};

pub(super) use counting::Counting;
use layout::check_layout;

/// Maximum cells of a caller without an SDK in one request.
const CELLS_MAX: usize = 1000;
/// Heartbeat interval of a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often an SDK has to report at least.
const REPORT: Duration = Duration::from_secs(1);

/// Maximum predecessors of one process; more are ignored, so they are waited for.
const SUCCEEDS_MAX: usize = 512;

/// A watcher's stream.
pub(super) type Watching = ReceiverStream<Result<v1::WatchResponse, Status>>;

/// Registers an instance, durably, and opens its stream.
pub(super) async fn watch(
    membership: &Membership,
    stop: &watch::Receiver<bool>,
    who: Principal,
    request: v1::WatchRequest,
) -> Result<Watching, Status> {
    let v1::WatchRequest {
        instance_id,
        service,
        sdk,
        kind,
        tenant_fingerprint,
        last_revision,
        history_id,
        incarnation,
        admission,
        holds_snapshot,
        drain_ms,
        file_valid_ms,
        held: tables,
        held_revision,
        succeeds,
        writer_slot,
        held_seal,
        version_layout,
    } = request;
    check_layout(version_layout)?;
    let worker = kind == i32::from(v1::InstanceKind::Worker);
    let record = InstanceRecord {
        instance_id,
        service,
        sdk,
        worker,
        version_layout,
        tenant_fingerprint,
        incarnation,
        drain_ms,
        file_valid_ms,
        credential: who.credential(),
        ..InstanceRecord::default()
    };
    let (registry, ours) = (&membership.registry, membership.registry.state().history_id.clone());
    let held = if history_id == *ours { last_revision } else { 0 };
    let known = last_revision.max(held_revision);
    // The state of a file may be no base for changes. It shows all the same what its process was told.
    let of = history_id.strip_prefix(NO_BASE).unwrap_or(&history_id);
    let is_genuine = registry.seals().is_genuine(&held_seal, of, known);
    let known = Known { revision: known, history_id: of.to_owned(), is_genuine };
    // Changes to a state of other migrations would leave out what it lacks, and keep what it should not have.
    let is_base = registry.seals().is_of_scope(&held_seal, &ours, held, &who.scope());
    let holds = holds_snapshot || last_revision > 0;
    let routes = convert::held_routes(&record.instance_id, &tables);
    let process = |process: v1::Process| Who::new(process.instance_id, process.incarnation);
    let slot = writer_slot.and_then(|slot| u16::try_from(slot).ok());
    let succeeds = succeeds.into_iter().take(SUCCEEDS_MAX).map(process);
    let succeeds = succeeds.filter(|who| who.incarnation > 0).collect();
    let asking = Asking { record, held, holds, admission, routes, slot, succeeds };
    let registration = membership.join(asking, known).await.map_err(status::join)?;
    let connected = membership.instances.clone().connected(registration.who);
    let registered = v1::Registered {
        writer_slot: registration.writer_slot.into(),
        heartbeat_ms: HEARTBEAT.as_millis() as u32,
        report_ms: REPORT.as_millis() as u32,
        lease_ms: LEASE.as_millis() as u32,
        history_id: ours.to_string(),
        readmitted: registration.readmitted,
        admission: registration.admission,
        duplicate: registration.duplicate,
    };
    let (reader, stream) = mpsc::channel(1);
    let first = v1::WatchResponse { kind: Some(Kind::Registered(registered)) };
    // The channel is new and has room for one.
    let _ = reader.try_send(Ok(first));
    let (registry, stop) = (membership.registry.clone(), stop.clone());
    let sent = if is_base { held } else { 0 };
    tokio::spawn(async move {
        feed(registry, who, sent, reader, stop).await;
        drop(connected);
    });
    Ok(ReceiverStream::new(stream))
}

type Reader = mpsc::Sender<Result<v1::WatchResponse, Status>>;

/// The reader is gone.
struct Gone;

/// Feeds a reader that holds `sent` (0: nothing) until it is gone or the controller stops. It gets the migrations that
/// its token is for.
async fn feed(
    registry: Arc<Registry>,
    who: Principal,
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
            let seal = registry.seals().seal(&state.history_id, state.revision, &who.scope());
            if send_state(&state, &who, sent, seal, &reader).await.is_err() {
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

async fn send_state(
    state: &PublishedState,
    who: &Principal,
    sent: u64,
    mut seal: String,
    reader: &Reader,
) -> Result<(), Gone> {
    for mut message in messages(state, who, sent) {
        if let Kind::Snapshot(update) | Kind::Delta(update) = &mut message
            && update.last
        {
            update.seal = std::mem::take(&mut seal);
        }
        send(reader, message).await?;
    }
    Ok(())
}

/// What brings a reader that holds `sent` to a state, as messages created while they are sent.
fn messages<'a>(
    state: &'a PublishedState,
    who: &'a Principal,
    sent: u64,
) -> Box<dyn Iterator<Item = Kind> + Send + 'a> {
    match Some(sent).filter(|sent| *sent > 0).and_then(|sent| state.since(sent)) {
        Some(deltas) => Box::new(delta(state, who, deltas).map(Kind::Delta)),
        None => {
            let tables = state.routing.tables().filter(|(key, _)| who.covers(key));
            let parts = tables
                .flat_map(|(key, table)| wire::parts(key, table, table.overrides(), std::iter::empty()));
            Box::new(wire::updates(state.revision, parts, Vec::new()).map(Kind::Snapshot))
        }
    }
}

/// Merges many revisions' changes: for each tenant and each migration the last one counts.
fn delta<'a>(
    state: &'a PublishedState,
    who: &Principal,
    deltas: impl Iterator<Item = &'a Arc<Delta>>,
) -> impl Iterator<Item = v1::Update> {
    let mut changed: BTreeMap<&Key, BTreeMap<&Tenant, Option<Route>>> = BTreeMap::new();
    let mut removed: Vec<String> = Vec::new();
    for delta in deltas.filter(|delta| who.covers(delta.key.as_str())) {
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

/// Receives reports.
#[derive(Debug)]
pub(super) struct Telemetry {
    pub(super) membership: Membership,
}

#[tonic::async_trait]
impl TelemetryService for Telemetry {
    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let who = principal(&request)?;
        let mut report = request.into_inner();
        let Membership { registry, instances, ingest, .. } = &self.membership;
        let (newest_revision, fences, is_ours) = {
            let state = registry.state();
            let is_ours = report.history_id.is_empty() || report.history_id == *state.history_id;
            (state.revision, state.fences.since(), is_ours)
        };
        let v1::ReportRequest { sequence, applied_revision, received_revision, .. } = report;
        if sequence == 0 {
            ingest.refuse(RefusedReport::Sequence);
            return Err(status::invalid(Violation::new("sequence", "begins at 1")));
        }
        if is_ours && (applied_revision > received_revision || received_revision > newest_revision) {
            ingest.refuse(RefusedReport::Revisions);
            let message = format!(
                "applied {applied_revision} and received {received_revision} must ascend and not pass {newest_revision}, the newest"
            );
            return Err(status::invalid(Violation::new("received_revision", message)));
        }
        if !instances.speaks(&report.instance_id, report.incarnation, who.credential().as_ref()) {
            ingest.refuse(RefusedReport::Unregistered);
            let id = shown(&report.instance_id);
            return Err(Status::permission_denied(format!(
                "instance {id:?} registered with another token, and only that one speaks for it"
            )));
        }
        let said = Acknowledging {
            received: received_revision,
            applied: applied_revision,
            admission: report.admission,
            fences,
        };
        // Kept for the steps that wait for it; if it is news, it wakes `Operate::take_steps`. Revisions of another
        // history mean nothing here: the instance has to open a new watch.
        let instance =
            is_ours.then(|| instances.acknowledge(&report.instance_id, report.incarnation, &said)).flatten();
        // The counts of one that was given up are true all the same, and it may be about to end.
        let forgotten = instance.is_none();
        let known = || instances.who(&report.instance_id, report.incarnation).filter(|_| is_ours);
        let Some(instance) = instance.or_else(known) else {
            ingest.refuse(RefusedReport::Unregistered);
            let id = shown(&report.instance_id);
            return Err(Status::not_found(format!("instance {id:?} is not registered: watch anew")));
        };
        report.instance_id = instance.label();
        if forgotten {
            // After a restart the roster may know it without its incarnation.
            ingest.registered(&report.instance_id, report.incarnation, now_ms());
        }
        let (Accepted { sequence, .. }, flush) = self.count(&who, &mut report, newest_revision);
        Ok(Response::new(v1::ReportResponse { sequence, newest_revision, flush, forgotten }))
    }

    async fn record_outcomes(
        &self,
        request: Request<v1::RecordOutcomesRequest>,
    ) -> Result<Response<v1::RecordOutcomesResponse>, Status> {
        let who = principal(&request)?;
        let v1::RecordOutcomesRequest { reporter, sequence, cells } = request.into_inner();
        let ingest = &self.membership.ingest;
        check_name("reporter", &reporter).map_err(status::invalid)?;
        if sequence == 0 {
            ingest.refuse(RefusedReport::Sequence);
            return Err(status::invalid(Violation::new("sequence", "begins at 1")));
        }
        if cells.len() > CELLS_MAX {
            let message = format!("{} cells: give at most {CELLS_MAX}", cells.len());
            return Err(status::invalid(Violation::new("cells", message)));
        }
        if let Some(at) = cells.iter().position(|cell| cell.revision == 0) {
            let message = "give the revision of the decision, so that guards judge the right stage by it";
            return Err(status::invalid(Violation::new(&format!("cells[{at}].revision"), message)));
        }
        // No instance has such a name. Another token's reporter of this name has its own sequence.
        let of = who.credential().map(|by| format!("{}/", by.token)).unwrap_or_default();
        let instance_id = format!("{OUTCOMES}{of}{reporter}");
        ingest.admit_reporter(&instance_id, now_ms()).map_err(|max| {
            Status::resource_exhausted(format!(
                "reporter {reporter:?} is new, and {max} others have reported within the last 10 minutes.\n\
                 Let each process keep one name while it runs"
            ))
        })?;
        let mut report = v1::ReportRequest { instance_id, sequence, cells, ..Default::default() };
        let newest = self.membership.registry.state().revision;
        let (Accepted { sequence, is_new, left_out }, _) = self.count(&who, &mut report, newest);
        let left_out = left_out.into_iter().map(|at| at as u32).collect();
        Ok(Response::new(v1::RecordOutcomesResponse { sequence, repeated: !is_new, left_out }))
    }

    async fn goodbye(
        &self,
        request: Request<v1::GoodbyeRequest>,
    ) -> Result<Response<v1::GoodbyeResponse>, Status> {
        let by = principal(&request)?.credential();
        let v1::GoodbyeRequest { instance_id, incarnation, file_valid_ms } = request.into_inner();
        let gone = self.membership.goodbye(&instance_id, incarnation, file_valid_ms, by.as_ref()).await;
        gone.map_err(status::store)?;
        Ok(Response::new(v1::GoodbyeResponse {}))
    }
}

impl Telemetry {
    /// Counts a report once, and lets guards judge it. Cells that are not counted are removed, also those of migrations
    /// that the caller's token is not for. True: the next report is wanted soon.
    fn count(&self, who: &Principal, report: &mut v1::ReportRequest, newest: u64) -> (Accepted, bool) {
        let Membership { registry, guards, ingest, .. } = &self.membership;
        let known = |key: &str| windows::known(registry, key).filter(|_| who.covers(key));
        let accepted = ingest.accept_known(report, newest, known, now_ms());
        if !accepted.is_new && report.sequence < accepted.sequence {
            tracing::warn!(
                instance = report.instance_id,
                sequence = report.sequence,
                newest = accepted.sequence,
                "a report was dropped: a later one of this process has been counted"
            );
        }
        // From the last one on, so that earlier positions stay valid.
        accepted.left_out.iter().rev().for_each(|at| drop(report.cells.swap_remove(*at)));
        let flush = accepted.is_new && guards.observe(report);
        (accepted, flush)
    }
}
