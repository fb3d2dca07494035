//! `SidecarService`: each call parses, asks the SDK, and converts the answer.

use std::sync::Arc;

use cutover_client::{
    clock::Instant,
    migrator::{PutIf, WriteError, Writes},
    report::Operation,
    store::Version,
};
use cutover_proto::v1::{self, OperationOutcome as Ended, sidecar_service_server::SidecarService};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::{
    counts, failure,
    instance::{Instance, Started},
    metrics::Counts,
    operations::{Held, Operations},
    value,
};

/// What calls use.
pub(super) struct Calls {
    pub(super) instance: Arc<Instance>,
    pub(super) operations: Arc<Operations>,
    pub(super) counts: Counts,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl SidecarService for Calls {
    async fn decide(&self, request: Request<v1::SidecarDecideRequest>) -> Answer<v1::SidecarDecideResponse> {
        let v1::SidecarDecideRequest { migration, tenant } = request.into_inner();
        let started = self.instance.started()?;
        let migration = started.migration(&migration)?;
        let decision = started.client.decide(migration, &tenant).map_err(|error| failure::begin(&error))?;
        Ok(Response::new(v1::SidecarDecideResponse {
            stage: v1::Stage::from(decision.stage()).into(),
            rung: v1::Rung::from(decision.rung).into(),
            revision: decision.revision,
            reason: v1::Reason::from(decision.reason).into(),
            no_fallback: decision.no_fallback,
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Answer<v1::GetResponse> {
        let v1::GetRequest { migration, tenant, key, raw } = request.into_inner();
        let _permit = self.operations.admit()?;
        let migrator = self.instance.started()?.migrator(&migration)?;
        let bytes = migrator.get_bytes(&tenant, &key).await.map_err(|error| failure::read(&error))?;
        let (json, raw) = match bytes.as_deref() {
            None => (None, None),
            Some(bytes) if raw => (None, Some(bytes.to_vec())),
            Some(bytes) => (Some(value::to_json(bytes)?), None),
        };
        Ok(Response::new(v1::GetResponse { found: bytes.is_some(), json, raw }))
    }

    async fn put(&self, request: Request<v1::PutRequest>) -> Answer<v1::PutResponse> {
        let v1::PutRequest { migration, tenant, key, json, raw } = request.into_inner();
        let bytes = match (json, raw) {
            (Some(json), None) => value::from_json(&json)?,
            (None, Some(raw)) => raw,
            _ => return Err(failure::invalid("give the record as json or as raw")),
        };
        let version = self.write(migration, tenant, key, Some(bytes)).await?;
        Ok(Response::new(v1::PutResponse { version: version.0 }))
    }

    async fn put_if(&self, request: Request<v1::PutIfRequest>) -> Answer<v1::PutIfResponse> {
        let v1::PutIfRequest { migration, tenant, key, expected_json, expected_raw, json, raw } =
            request.into_inner();
        let permit = self.operations.admit()?;
        let migrator = self.instance.started()?.migrator(&migration)?;
        let mut answer = v1::PutIfResponse::default();
        let found = match (json, raw, expected_json, expected_raw) {
            (Some(json), None, expected, None) => {
                let new = value::parse(&json)?;
                let expected = expected.map(|json| value::parse(&json)).transpose()?;
                let write = async move { migrator.put_if(&tenant, &key, expected.as_ref(), &new).await };
                let done = finished(permit, write).await?;
                applied(&mut answer, done).map(|found| answer.json = Some(Value::Object(found).to_string()))
            }
            (None, Some(raw), None, expected) => {
                let write =
                    async move { migrator.put_if_bytes(&tenant, &key, expected.as_deref(), raw).await };
                let done = finished(permit, write).await?;
                applied(&mut answer, done).map(|found| answer.raw = Some(found))
            }
            _ => {
                let message = "give the record and what is expected both as json, or both as raw";
                return Err(failure::invalid(message));
            }
        };
        answer.found = found.is_some();
        Ok(Response::new(answer))
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Answer<v1::DeleteResponse> {
        let v1::DeleteRequest { migration, tenant, key } = request.into_inner();
        let version = self.write(migration, tenant, key, None).await?;
        Ok(Response::new(v1::DeleteResponse { version: version.0 }))
    }

    async fn transact(&self, request: Request<v1::TransactRequest>) -> Answer<v1::TransactResponse> {
        let v1::TransactRequest { migration, tenant, writes } = request.into_inner();
        let permit = self.operations.admit()?;
        let migrator = self.instance.started()?.migrator(&migration)?;
        let mut all = Writes::new();
        for v1::RecordWrite { key, json, raw, delete } in writes {
            all = match (json, raw, delete) {
                (Some(json), None, false) => all.put_bytes(&key, value::from_json(&json)?),
                (None, Some(raw), false) => all.put_bytes(&key, raw),
                (None, None, true) => all.delete(&key),
                _ => {
                    let message = format!("key {key:?}: give the record as json or as raw, or delete");
                    return Err(failure::invalid(message));
                }
            };
        }
        let version = finished(permit, async move { migrator.transact(&tenant, all).await }).await?;
        Ok(Response::new(v1::TransactResponse { version: version.0 }))
    }

    async fn begin(&self, request: Request<v1::BeginRequest>) -> Answer<v1::BeginResponse> {
        // Later than when the caller sent it, from where the caller counts.
        let received = Instant::now();
        let request = request.into_inner();
        let kind = counts::operation(request.operation())?;
        let permit = self.operations.admit()?;
        let started = self.instance.started()?;
        let (current, tenant) = (started.client.current(), request.tenant);
        let migration = started.migration(&request.migration)?.to_owned();
        let operation = current.begin_after_hold(&migration, &tenant).await;
        let operation = operation.map_err(|error| failure::hold(&error))?;
        let waited = received.elapsed();
        // The caller can't see that the right to act was renewed, so it has what is left of it now.
        let longest = self.operations.finish_within;
        let finish_within = operation.may_act_for(current).map_or(longest, |left| longest.min(left + waited));
        if finish_within <= waited {
            return Err(failure::not_begun("no time was left for the operation after it had waited: retry"));
        }
        let version = match kind {
            Operation::Read => Version::ZERO,
            Operation::Write => stamp(started, Version::ZERO)?,
        };
        // As a read of the SDK: what the target lacks may have expired there.
        let expires = started.migrators.get(&migration).is_some_and(|migrator| migrator.ttl().is_some());
        let answer = v1::BeginResponse {
            id: String::new(),
            rung: v1::Rung::from(operation.decision.rung).into(),
            revision: operation.decision.revision,
            level: v1::Level::from(operation.policy.level).into(),
            no_fallback: operation.decision.no_fallback || expires,
            finish_within_ms: finish_within.as_millis() as u32,
            version: version.0,
        };
        let deadline = received + finish_within;
        let residual = self.operations.residual(&migration);
        let id =
            self.operations.hold(Held { operation, migration, tenant, kind, deadline, residual, permit });
        Ok(Response::new(v1::BeginResponse { id, ..answer }))
    }

    async fn stamp(&self, request: Request<v1::StampRequest>) -> Answer<v1::StampResponse> {
        let v1::StampRequest { id, above } = request.into_inner();
        let started = self.instance.started()?;
        let state = self.operations.with(&id, |held| {
            let is_over = held.deadline <= Instant::now()
                || held.operation.overtaken(started.client.current(), &held.migration, &held.tenant);
            (held.kind, is_over)
        });
        match state {
            None => return Err(failure::missing(unknown(&id))),
            Some((Operation::Read, _)) => {
                return Err(failure::invalid("a read writes with the version that it read"));
            }
            Some((Operation::Write, true)) => return Err(failure::refused(TOO_LATE)),
            Some((Operation::Write, false)) => {}
        }
        Ok(Response::new(v1::StampResponse { version: stamp(started, Version(above))?.0 }))
    }

    async fn end(&self, request: Request<v1::EndRequest>) -> Answer<v1::EndResponse> {
        let request = request.into_inner();
        let asked = request.outcome();
        if asked == Ended::Unspecified {
            return Err(failure::not_ended("outcome is missing: give OPERATION_OUTCOME_DONE, for example"));
        }
        let calls = counts::read(&request.calls).map_err(|error| failure::not_ended(error.message()))?;
        // A sidecar that has not started holds nothing: it may be another one's, which was killed.
        let held = self.instance.started().ok().zip(self.operations.take(&request.id));
        let Some((started, held)) = held else {
            // Of what kind it was is not known: for a read "unknown outcome" means no more than that it has no answer.
            let answer = ended(asked, Operation::Write, Some(unknown(&request.id)));
            self.counts.ended(answer.get_ref().outcome());
            return Ok(answer);
        };
        let Held { operation, migration, tenant, kind, deadline, permit, residual: _ } = held;
        let current = started.client.current();
        let is_overtaken = deadline <= Instant::now() || operation.overtaken(current, &migration, &tenant);
        let answer = ended(asked, kind, is_overtaken.then(|| TOO_LATE.to_owned()));
        self.counts.ended(answer.get_ref().outcome());
        let decision = operation.decision;
        let outcomes = counts::of(kind, decision.rung, &calls, answer.get_ref().outcome());
        started.client.record(&migration, decision.revision, Some(&tenant), &outcomes);
        // Only now: what was counted is reported before the revision is acknowledged.
        drop((operation, permit));
        Ok(answer)
    }

    async fn get_sidecar(&self, _: Request<v1::GetSidecarRequest>) -> Answer<v1::GetSidecarResponse> {
        let (operations, overdue, abandoned) = self.operations.counts();
        let why_not = self
            .instance
            .why_not()
            .or_else(|| self.operations.is_closing().then(|| "it is stopping".to_owned()));
        let mut answer = v1::GetSidecarResponse {
            ready: why_not.is_none(),
            why_not: why_not.unwrap_or_default(),
            service: self.instance.service.clone(),
            instance_id: self.instance.id.clone(),
            operations,
            overdue,
            abandoned,
            operations_max: self.operations.max().into(),
            ..Default::default()
        };
        if let Ok(started) = self.instance.started() {
            let status = started.client.status();
            answer.revision = status.revision;
            answer.quiesced = status.applied_revision;
            answer.connected = status.connected;
            answer.age_ms = status.age.as_millis() as u64;
            answer.last_error = status.last_error.unwrap_or_default();
            answer.migrations = started.migrators.keys().cloned().collect();
        }
        Ok(Response::new(answer))
    }
}

const TOO_LATE: &str = "its deadline has passed, or routing has overtaken it";

fn unknown(id: &str) -> String {
    let id: String = id.chars().take(80).collect();
    format!(
        "this sidecar holds no operation {id:?}: it was ended before, its deadline has passed, or the sidecar was started again"
    )
}

/// How an operation ends. `why`: its result can't be guaranteed any more.
fn ended(asked: Ended, kind: Operation, why: Option<String>) -> Response<v1::EndResponse> {
    let outcome = match (asked, kind, &why) {
        (Ended::NotApplied, ..) | (_, _, None) => asked,
        (_, Operation::Read, Some(_)) => Ended::NotApplied,
        (_, Operation::Write, Some(_)) => Ended::Indeterminate,
    };
    let why = why.filter(|_| outcome != asked).unwrap_or_default();
    Response::new(v1::EndResponse { outcome: outcome.into(), why })
}

fn stamp(started: &Started, above: Version) -> Result<Version, Status> {
    started.client.stamp(above).map_err(|error| failure::not_begun(&error.to_string()))
}

impl Calls {
    async fn write(
        &self,
        migration: String,
        tenant: String,
        key: String,
        value: Option<Vec<u8>>,
    ) -> Result<Version, Status> {
        let permit = self.operations.admit()?;
        let migrator = self.instance.started()?.migrator(&migration)?;
        let write = async move {
            match value {
                Some(value) => migrator.put_bytes(&tenant, &key, value).await,
                None => migrator.delete(&tenant, &key).await,
            }
        };
        finished(permit, write).await
    }
}

/// Writes on a task of its own: it continues, and counts as in flight, when its caller has gone.
async fn finished<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    write: impl Future<Output = Result<T, WriteError>> + Send + 'static,
) -> Result<T, Status> {
    let write = tokio::spawn(async move {
        let _permit = permit;
        write.await
    });
    let written =
        write.await.map_err(|_| failure::unknown("the write was not finished: read before writing again"))?;
    written.map_err(|error| failure::write(&error))
}

/// Puts the version into the answer, if the record was written. Gives what was found instead.
fn applied<T>(answer: &mut v1::PutIfResponse, done: PutIf<T>) -> Option<T> {
    match done {
        PutIf::Applied(version) => {
            (answer.applied, answer.version) = (true, version.0);
            None
        }
        PutIf::Mismatch(found) => found,
    }
}
