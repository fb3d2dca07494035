//! Ways to break what the protocol requires, from outside the product: careless stores, false
//! acknowledgements, passes that never ran. A run with one of them has to fail.

mod careless;

use std::{sync::Arc, time::Duration};

use cutover_client::{Client, store::Store};
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
    telemetry_service_client::TelemetryServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::KEY;
use careless::Careless;

type Pair = (Arc<dyn Store>, Arc<dyn Store>);

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// Reports everybody as having acknowledged everything, at once.
    NoBarrier,
    /// Reports received revisions as quiesced.
    AcknowledgeOnReceipt,
    /// No barrier and no gate: dual and target-first are live at once.
    JumpDualTargetFirst,
    /// On the way down nobody needs to have received the previous revision: target-first and dual meet.
    OneRevisionEmergency,
    /// The full pass is reported as clean, but copied nothing.
    FullPassSkipped,
    /// A full pass begun in source-only is reported as begun in mirrored.
    FullPassEarly,
    /// The same for the reverse pass.
    ReverseSkipped,
    /// Services write to the target unconditionally.
    UnconditionalMirror,
    /// Passes write to the target unconditionally.
    UnconditionalCopy,
    /// A delete leaves nothing behind.
    NoTombstones,
}

impl Bug {
    /// Source and target as the services of a run with this bug see them.
    pub fn for_service(self, source: Arc<dyn Store>, target: Arc<dyn Store>) -> Pair {
        match self {
            Self::UnconditionalMirror => (source, Arc::new(Careless::unconditional(target))),
            _ => self.forgetful(source, target),
        }
    }

    /// The same for passes.
    pub fn for_pass(self, source: Arc<dyn Store>, target: Arc<dyn Store>) -> Pair {
        match self {
            Self::UnconditionalCopy => (source, Arc::new(Careless::unconditional(target))),
            _ => self.forgetful(source, target),
        }
    }

    fn forgetful(self, source: Arc<dyn Store>, target: Arc<dyn Store>) -> Pair {
        if self != Self::NoTombstones {
            return (source, target);
        }
        let forgets = |store| Arc::new(Careless::without_tombstones(store)) as Arc<dyn Store>;
        (forgets(source), forgets(target))
    }

    /// Gates that ramps pass without evidence.
    pub fn overrides(self) -> Vec<String> {
        if self == Self::JumpDualTargetFirst { vec!["full-pass".to_owned()] } else { Vec::new() }
    }

    /// Whether this kind of pass is only claimed to have run.
    pub fn skips(self, kind: v1::PassKind) -> bool {
        match self {
            Self::FullPassSkipped | Self::FullPassEarly => kind == v1::PassKind::Full,
            Self::ReverseSkipped => kind == v1::PassKind::Reverse,
            _ => false,
        }
    }

    /// Reports to the controller, for as long as it runs, that everybody has acknowledged everything.
    pub async fn lie(self, server: String) {
        if !matches!(self, Self::NoBarrier | Self::JumpDualTargetFirst | Self::OneRevisionEmergency) {
            return;
        }
        let Some(mut liar) = Liar::new(server) else { return };
        loop {
            tokio::time::sleep(OFTEN).await;
            let Some(status) = liar.status().await else { continue };
            let newest = status.migration.map_or(0, |migration| migration.revision);
            for instance in status.instances {
                liar.applied(instance, newest).await;
            }
        }
    }

    /// Reports, for as long as it runs, that this client has quiesced for whatever it has received.
    pub async fn lie_for(self, client: Arc<Client>, instance_id: String, server: String) {
        let Some(mut liar) = (self == Self::AcknowledgeOnReceipt).then(|| Liar::new(server)).flatten() else {
            return;
        };
        loop {
            tokio::time::sleep(OFTEN).await;
            let Some(status) = liar.status().await else { continue };
            for instance in status.instances.into_iter().filter(|it| it.instance_id == instance_id) {
                liar.applied(instance, client.status().revision).await;
            }
        }
    }
}

/// Interval between false reports.
const OFTEN: Duration = Duration::from_millis(5);

/// Reports in others' names.
struct Liar {
    admin: AdminServiceClient<Channel>,
    telemetry: TelemetryServiceClient<Channel>,
    sequence: u64,
}

impl Liar {
    fn new(server: String) -> Option<Self> {
        let channel = Endpoint::from_shared(server).ok()?.connect_lazy();
        // Above what any instance reaches in a run, so that its own reports are taken for old ones.
        let admin = AdminServiceClient::new(channel.clone());
        Some(Self { admin, telemetry: TelemetryServiceClient::new(channel), sequence: 1 << 40 })
    }

    async fn status(&mut self) -> Option<v1::Status> {
        let status = self.admin.get_status(v1::GetStatusRequest { key: KEY.to_owned() }).await;
        status.ok().map(tonic::Response::into_inner)
    }

    async fn applied(&mut self, instance: v1::Instance, revision: u64) {
        self.sequence += 1;
        let (sequence, applied_revision, received_revision) = (self.sequence, revision, revision);
        let report = v1::ReportRequest {
            instance_id: instance.instance_id,
            incarnation: instance.incarnation,
            sequence,
            applied_revision,
            received_revision,
            ..Default::default()
        };
        // An instance that has gone meanwhile needs no false report.
        let _ = self.telemetry.report(report).await;
    }
}

/// Leaves the evidence of a pass that never ran.
pub async fn claim_to_have_run(server: &str, kind: v1::PassKind) -> anyhow::Result<()> {
    let mut jobs = JobServiceClient::connect(server.to_owned()).await?;
    let request = v1::CreateJobRequest {
        migration: KEY.to_owned(),
        kind: kind.into(),
        segments: 1,
        residual_ms: Some(0),
        ..Default::default()
    };
    let id = jobs.create_job(request).await?.into_inner().id;
    let instance_id = "nobody".to_owned();
    let claim =
        v1::ClaimSegmentRequest { id: id.clone(), instance_id: instance_id.clone(), ..Default::default() };
    if let Some(segment) = jobs.claim_segment(claim).await?.into_inner().segment {
        let (claim, segment) = (segment.claim, segment.index);
        let id = id.clone();
        let done =
            v1::CheckpointRequest { id, instance_id, segment, claim, done: true, ..Default::default() };
        jobs.checkpoint(done).await?;
    }
    jobs.finish_job(v1::FinishJobRequest { id, complete: true, ..Default::default() }).await?;
    Ok(())
}
