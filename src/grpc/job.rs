//! `JobService`: passes begin and end here, so that gates know what was begun after what.

use std::sync::Arc;

use cutover_client::routing::PPM;
use cutover_proto::v1::{self, job_service_server::JobService};
use tonic::{Request, Response, Status};

use super::{convert, status};
use crate::{
    domain::{Change, Cover, Key, PassKind, Tenant, Violation},
    service::{Operate, operate::Mutation},
};

/// Most tenants that one pass names.
const TENANTS_MAX: usize = 1000;

/// Batch jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) operate: Arc<Operate>,
}

#[tonic::async_trait]
impl JobService for Jobs {
    async fn create_job(&self, request: Request<v1::CreateJobRequest>) -> Result<Response<v1::Job>, Status> {
        let v1::CreateJobRequest { migration, kind, actor, upto_ppm, tenants } = request.into_inner();
        let key = Key::parse(&migration).map_err(status::invalid)?;
        if !matches!(v1::PassKind::try_from(kind), Ok(v1::PassKind::Unspecified | v1::PassKind::Full)) {
            return Err(status::invalid(Violation::new("kind", "is no pass that this controller knows")));
        }
        if tenants.len() > TENANTS_MAX {
            let message = format!("name at most {TENANTS_MAX}, or a share by upto_ppm");
            return Err(status::invalid(Violation::new("tenants", message)));
        }
        let tenants: Result<Vec<Tenant>, _> = tenants.iter().map(|tenant| Tenant::parse(tenant)).collect();
        let tenants = tenants.map_err(status::invalid)?;
        let upto_ppm = if upto_ppm == 0 && tenants.is_empty() { PPM } else { upto_ppm };
        // The id leads back to the migration; its end is random, so that no two passes share one.
        let id = format!("{key}/pass-{:08x}", rand::random::<u32>());
        let change = Change::BeginJob { id: id.clone(), cover: Cover { upto_ppm, tenants } };
        let outcome = self.operate.change(&key, &change, &by(actor)).await.map_err(status::change)?;
        let jobs = outcome.document.into_iter().flat_map(|document| document.jobs);
        let job =
            jobs.into_iter().find(|job| job.id == id).ok_or_else(|| Status::internal("the job is gone"))?;
        Ok(Response::new(v1::Job {
            id: job.id,
            migration,
            kind: match job.kind {
                PassKind::Full => v1::PassKind::Full.into(),
            },
            began_revision: job.began_revision,
            settled: job.settled,
            upto_ppm: job.cover.upto_ppm,
            tenants: job.cover.tenants.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn finish_job(
        &self,
        request: Request<v1::FinishJobRequest>,
    ) -> Result<Response<v1::FinishJobResponse>, Status> {
        let v1::FinishJobRequest { id, counts, complete, actor } = request.into_inner();
        let unknown = || Status::not_found(format!("job {id:?} is not under way: begin it anew"));
        let key = id.split_once('/').and_then(|(key, _)| Key::parse(key).ok()).ok_or_else(unknown)?;
        let counts = convert::counts_from_wire(counts.unwrap_or_default());
        let change = Change::FinishJob { id: id.clone(), counts, complete };
        let outcome = self.operate.change(&key, &change, &by(actor)).await.map_err(status::change)?;
        let document = outcome.document.ok_or_else(unknown)?;
        let evidence = document.evidence.iter().find(|evidence| evidence.job.id == id).map(convert::evidence);
        Ok(Response::new(v1::FinishJobResponse { evidence }))
    }
}

fn by(actor: String) -> Mutation {
    let actor = if actor.is_empty() { "operator:unknown".to_owned() } else { actor };
    Mutation { actor, ..Mutation::default() }
}
