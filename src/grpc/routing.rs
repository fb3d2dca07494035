//! `RoutingService`.

use std::{sync::Arc, time::Duration};

use cutover_core::routing::{Decision, Rung};
use cutover_proto::v1::{self, routing_service_server::RoutingService, watch_response::Kind};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{convert, feed, status};
use crate::{
    domain::Violation,
    service::{
        Asking, DECISION_FINISHED, DECISION_VALID, InstanceRecord, Instances, LEASE, Operate, Registry,
    },
    telemetry::{Ingest, now_ms},
};

/// How often an SDK has to report at least.
const REPORT: Duration = Duration::from_secs(1);
/// Maximum tenants of one batch.
const BATCH_MAX: usize = 1000;

/// Decides, and feeds SDKs that decide themselves.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) registry: Arc<Registry>,
    pub(super) instances: Arc<Instances>,
    pub(super) operate: Arc<Operate>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl RoutingService for Routing {
    async fn decide(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::DecideResponse>, Status> {
        let v1::DecideRequest { migration, tenant } = request.into_inner();
        loop {
            self.note_asked(&migration).await?;
            let decision = self.decide(&migration, &tenant)?;
            if decision.rung != Rung::Hold {
                return Ok(Response::new(answer(decision)));
            }
            self.hold_over(&migration, &tenant).await?;
        }
    }

    async fn decide_batch(
        &self,
        request: Request<v1::DecideBatchRequest>,
    ) -> Result<Response<v1::DecideBatchResponse>, Status> {
        let v1::DecideBatchRequest { migration, tenants } = request.into_inner();
        if tenants.len() > BATCH_MAX {
            let message = format!("{} tenants: give at most {BATCH_MAX}", tenants.len());
            return Err(status::invalid(Violation::new("tenants", message)));
        }
        'again: loop {
            self.note_asked(&migration).await?;
            let decisions = {
                let state = Arc::clone(&self.registry.state());
                let decide = |tenant: &String| state.routing.decide(&migration, tenant);
                tenants.iter().map(decide).collect::<Result<Vec<_>, _>>().map_err(status::routing)?
            };
            if let Some(at) = decisions.iter().position(|decision| decision.rung == Rung::Hold) {
                self.hold_over(&migration, &tenants[at]).await?;
                continue 'again;
            }
            let decisions = decisions.into_iter().map(answer).collect();
            return Ok(Response::new(v1::DecideBatchResponse { decisions }));
        }
    }

    type WatchStream = ReceiverStream<Result<v1::WatchResponse, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
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
        } = request.into_inner();
        let worker = kind == i32::from(v1::InstanceKind::Worker);
        let record = InstanceRecord {
            instance_id,
            service,
            sdk,
            worker,
            tenant_fingerprint,
            incarnation,
            drain_ms,
            file_valid_ms,
            ..InstanceRecord::default()
        };
        let (ours, newest) = {
            let state = self.registry.state();
            (state.history_id.clone(), state.revision)
        };
        let known = last_revision.max(held_revision);
        if history_id == *ours && known > newest {
            let begun = self.operate.begin_history(&record.instance_id, known, newest).await;
            begun.map_err(status::change)?;
            return Err(Status::unavailable(
                "the store was put back: the controller starts anew; connect again",
            ));
        }
        let held = if history_id == *ours { last_revision } else { 0 };
        let holds = holds_snapshot || last_revision > 0;
        let routes = convert::held_routes(&record.instance_id, &tables);
        let asking = Asking { record, held, holds, admission, routes };
        let registration = self.instances.register(asking, newest).await.map_err(status::register)?;
        self.ingest.registered(&registration.who.label(), incarnation, now_ms());
        let connected = self.instances.clone().connected(registration.who);
        let registered = v1::Registered {
            writer_slot: registration.writer_slot.into(),
            heartbeat_ms: feed::HEARTBEAT.as_millis() as u32,
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
        let (registry, stop) = (self.registry.clone(), self.stop.clone());
        tokio::spawn(async move {
            feed::feed(registry, held, reader, stop).await;
            drop(connected);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Routing {
    /// Call this before the decision is made: a caller may keep using what was right at this moment.
    async fn note_asked(&self, migration: &str) -> Result<(), Status> {
        let Some(entry) = self.registry.state().entry_of(migration).cloned() else { return Ok(()) };
        if !entry.is_known_to_be_asked() {
            self.instances.note_callers(entry.migration.key()).await.map_err(status::store)?;
            entry.note_known_to_be_asked();
        }
        entry.note_asked();
        Ok(())
    }

    fn decide(&self, migration: &str, tenant: &str) -> Result<Decision, Status> {
        self.registry.state().routing.decide(migration, tenant).map_err(status::routing)
    }

    fn is_restored(&self, migration: &str) -> bool {
        let state = self.registry.state();
        state.entry_of(migration).is_some_and(|entry| entry.migration.document.restored.is_some())
    }

    /// Waits until a tenant is no longer on hold, at most the migration's `hold_timeout_ms`.
    async fn hold_over(&self, migration: &str, tenant: &str) -> Result<(), Status> {
        let mut revisions = self.registry.subscribe();
        let timeout_ms =
            self.registry.state().routing.table(migration).map_err(status::routing)?.policy().hold_timeout_ms;
        let over = async {
            loop {
                let rung = self.decide(migration, tenant)?.rung;
                if rung != Rung::Hold {
                    return Ok(());
                }
                if revisions.changed().await.is_err() {
                    return Err(Status::unavailable("the controller is shutting down: ask again"));
                }
            }
        };
        match tokio::time::timeout(Duration::from_millis(timeout_ms.into()), over).await {
            Ok(over) => over,
            Err(_) if self.is_restored(migration) => {
                let message = format!(
                    "the controller's store was restored; nobody is routed before: cutover confirm {migration}"
                );
                Err(Status::unavailable(message))
            }
            Err(_) => Err(Status::unavailable(format!("still on hold after {timeout_ms} ms: ask again"))),
        }
    }
}

fn answer(decision: Decision) -> v1::DecideResponse {
    v1::DecideResponse {
        stage: v1::Stage::from(decision.stage()).into(),
        rung: v1::Rung::from(decision.rung).into(),
        revision: decision.revision,
        reason: v1::Reason::from(decision.reason).into(),
        valid_for_ms: DECISION_VALID.as_millis() as u32,
        no_fallback: decision.no_fallback,
        finish_within_ms: DECISION_FINISHED.as_millis() as u32,
    }
}
