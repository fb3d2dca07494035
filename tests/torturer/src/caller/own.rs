//! Operations of a caller that makes the store calls itself, by the SDK's own rules.

use std::{future::Future, sync::Arc, time::Duration};

use cutover_client::{
    clock::Instant,
    migrator::rules::{
        Answer as StoreAnswer, OperationStep, Read, ReadCall, ReadEnd, Seen, Write, WriteCall, WriteOutcome,
    },
    report::StoreRole,
    routing::{Level, Rung},
    store::{Id, Record, Store, StoreError, Version},
    wire,
};
use cutover_proto::v1::{self, OperationOutcome as Outcome, sidecar_service_client::SidecarServiceClient};
use tonic::transport::Channel;

use crate::log::Answer;

#[derive(Clone)]
pub(super) struct Own {
    pub(super) sidecar: SidecarServiceClient<Channel>,
    pub(super) source: Arc<dyn Store>,
    pub(super) target: Arc<dyn Store>,
}

/// An operation that has begun.
struct Begun {
    id: String,
    rung: Rung,
    no_fallback: bool,
    level: Level,
    version: Version,
    deadline: Instant,
}

impl Own {
    async fn begin(&mut self, tenant: &str, operation: v1::Operation) -> Option<Begun> {
        let sent = Instant::now();
        let operation = operation.into();
        let request = v1::BeginRequest { tenant: tenant.to_owned(), operation, ..Default::default() };
        let begun = self.sidecar.begin(request).await.ok()?.into_inner();
        Some(Begun {
            rung: wire::rung_from_wire(begun.rung).ok()?,
            no_fallback: begun.no_fallback,
            level: wire::level_from_wire(begun.level).ok()?,
            version: Version(begun.version),
            deadline: sent + Duration::from_millis(begun.finish_within_ms.into()),
            id: begun.id,
        })
    }

    /// What the sidecar makes of it. `None`: it does not answer.
    async fn end(&mut self, begun: &Begun, outcome: Outcome) -> Option<Outcome> {
        let outcome = outcome.into();
        let request = v1::EndRequest { id: begun.id.clone(), outcome, calls: Vec::new() };
        Some(self.sidecar.end(request).await.ok()?.into_inner().outcome())
    }

    fn store(&self, role: StoreRole) -> Arc<dyn Store> {
        match role {
            StoreRole::Source => self.source.clone(),
            StoreRole::Target => self.target.clone(),
        }
    }

    async fn get(&self, begun: &Begun, role: StoreRole, id: &Id) -> Result<Option<Record>, StoreAnswer> {
        let got = begun.call(self.store(role).get(id)).await;
        got.map_err(|_| StoreAnswer::NotApplied)
    }

    async fn put(&self, begun: &Begun, role: StoreRole, id: &Id, record: &Record) -> StoreAnswer {
        match begun.call(self.store(role).put_if_newer(id, record)).await {
            Ok(put) => StoreAnswer::Put(put),
            Err(answer) => answer,
        }
    }

    /// `None`: it failed.
    pub(super) async fn read(&mut self, tenant: &str, key: &str) -> Option<Option<Vec<u8>>> {
        let id = Id::new(tenant, key).ok()?;
        let begun = self.begin(tenant, v1::Operation::Read).await?;
        let (mut source, mut target) = (None::<Record>, None);
        let mut step = Read::begin(begun.rung, begun.no_fallback, begun.level)?;
        let found = loop {
            step = match step {
                OperationStep::Call(read, ReadCall::Get(role)) => {
                    let answer = match self.get(&begun, role, &id).await {
                        Ok(record) => {
                            let seen = record.as_ref().map(Seen::from);
                            *(if role == StoreRole::Source { &mut source } else { &mut target }) = record;
                            StoreAnswer::Got(seen)
                        }
                        Err(answer) => answer,
                    };
                    read.step(answer)
                }
                OperationStep::Call(read, ReadCall::Copy) => {
                    let record = source.as_ref()?;
                    read.step(self.put(&begun, StoreRole::Target, &id, record).await)
                }
                OperationStep::End(ReadEnd::Return(from, _)) => {
                    break Some(match from {
                        Some(StoreRole::Source) => source.and_then(|record| record.value),
                        Some(StoreRole::Target) => target.and_then(|record| record.value),
                        None => None,
                    });
                }
                OperationStep::End(ReadEnd::Failed(_)) => break None,
            };
        };
        let outcome = if found.is_some() { Outcome::Done } else { Outcome::NotApplied };
        if self.end(&begun, outcome).await? == Outcome::Done { found } else { None }
    }

    pub(super) async fn write(&mut self, tenant: &str, key: &str, value: Option<Vec<u8>>) -> Answer {
        let Ok(id) = Id::new(tenant, key) else { return Answer::NotApplied };
        let Some(begun) = self.begin(tenant, v1::Operation::Write).await else { return Answer::NotApplied };
        let outcome = self.written(&begun, &id, Record { version: begun.version, value }).await;
        // Only the sidecar's answer acknowledges.
        match self.end(&begun, outcome).await {
            Some(Outcome::Done) => Answer::Acknowledged,
            Some(Outcome::NotApplied) => Answer::NotApplied,
            None if outcome == Outcome::NotApplied => Answer::NotApplied,
            Some(Outcome::Indeterminate | Outcome::Unspecified) | None => Answer::Indeterminate,
        }
    }

    async fn written(&mut self, begun: &Begun, id: &Id, mut record: Record) -> Outcome {
        let Some(mut step) = Write::begin(begun.rung, begun.no_fallback, false) else {
            return Outcome::NotApplied;
        };
        let mut is_stamped = true;
        loop {
            step = match step {
                OperationStep::Call(write, WriteCall::Get(role)) => {
                    is_stamped = false;
                    write.step(match self.get(begun, role, id).await {
                        Ok(record) => StoreAnswer::Got(record.as_ref().map(Seen::from)),
                        Err(answer) => answer,
                    })
                }
                OperationStep::Call(write, WriteCall::Put { store, above, .. }) => {
                    if !is_stamped {
                        let above = above.max(record.version).0;
                        let request = v1::StampRequest { id: begun.id.clone(), above };
                        // Nothing was put under the last version, or it was refused there.
                        let Ok(stamped) = self.sidecar.stamp(request).await else {
                            return Outcome::NotApplied;
                        };
                        record.version = Version(stamped.into_inner().version);
                    }
                    is_stamped = false;
                    write.step(self.put(begun, store, id, &record).await)
                }
                OperationStep::Call(write, WriteCall::Mirror) => {
                    write.step(self.put(begun, StoreRole::Target, id, &record).await)
                }
                OperationStep::Call(_, WriteCall::Copy) => {
                    unreachable!("only a mutation that writes nothing copies")
                }
                OperationStep::End(end) => {
                    return match end.outcome {
                        WriteOutcome::Acknowledged => Outcome::Done,
                        WriteOutcome::NotApplied => Outcome::NotApplied,
                        WriteOutcome::Indeterminate => Outcome::Indeterminate,
                        WriteOutcome::Kept => unreachable!("only a mutation keeps a record"),
                    };
                }
            };
        }
    }
}

impl Begun {
    /// A store call within the deadline. One that was not made is not applied; one that was given up may be.
    async fn call<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreAnswer> {
        let left = self.deadline.remaining();
        if left.is_zero() {
            return Err(StoreAnswer::NotApplied);
        }
        match tokio::time::timeout(left, call).await {
            Ok(answer) => answer.map_err(|error| StoreAnswer::from(&error)),
            Err(_) => Err(StoreAnswer::Indeterminate),
        }
    }
}
