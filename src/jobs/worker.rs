//! A worker process: registers, begins or joins a job, works on segments until none is left, and ends the
//! job.

use std::{sync::Arc, time::Duration};

use cutover_client::{Access, Address, AuthorizedChannel, Client, Options, client::Kind};
use cutover_proto::v1::{self, job_service_client::JobServiceClient};
use tokio::{task::JoinSet, time::Instant};
use tonic::{Code, Status};

use super::{
    Error, Plan, Stores, identity,
    in_a_row::InARow,
    insist::{ASK_AGAIN, insist},
    patience::patiently,
    pressure,
    quarantine::JoinedPass,
    segment::WorkerContext,
    side::Side,
    source_versions::SourceVersions,
};

/// Interval between progress reports of the whole job.
const TELL: Duration = Duration::from_millis(500);
/// How long the controller may leave a ping unanswered before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// Runs a pass to its end, together with all other workers. `told` is called with the whole job's progress
/// twice a second. Ends early, to be continued later, when `stop` completes.
pub async fn run(
    server: &str,
    stores: &Stores,
    plan: &Plan,
    told: impl Fn(&v1::Job) + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<v1::Evidence, Error> {
    let name = format!("cutover-{}", plan.kind.as_str_name().trim_start_matches("PASS_KIND_").to_lowercase());
    let work =
        async |client: &Arc<Client>, instance_id| work(server, client, instance_id, stores, plan, told).await;
    registered(server, &name, plan, stop, work).await
}

/// Does some work as an instance of the controller, whose id it is given. Ends early when `stop` completes.
/// `plan` says how late its writes may land, and what to show the controller.
pub(super) async fn registered<T>(
    server: &str,
    name: &str,
    plan: &Plan,
    stop: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&Arc<Client>, String) -> Result<T, Error>,
) -> Result<T, Error> {
    let instance_id = format!("{name}-{}-{:08x}", std::process::id(), rand::random::<u32>());
    let options = Options::default();
    let (drain, access) = (options.drain.max(plan.residual), plan.access.clone());
    let instance = Some(instance_id.clone());
    let options = Options { kind: Kind::Worker, instance_id: instance, drain, access, ..options };
    let client = Arc::new(Client::connect(server, name, options).await?);
    let worked = tokio::select! {
        worked = work(&client, instance_id) => worked,
        () = stop => Err(Error::Stopped),
    };
    client.close().await;
    worked
}

async fn work(
    server: &str,
    client: &Arc<Client>,
    instance_id: String,
    stores: &Stores,
    plan: &Plan,
    told: impl Fn(&v1::Job) + Send + 'static,
) -> Result<v1::Evidence, Error> {
    let jobs = connect(server, &plan.access)?;
    let stores = &stores.bounded(plan.limits.call);
    // So a pass of other tables is refused before it begins.
    let identity::Identities { source, target } = stores.identities().await?;
    let (source, target) = (identity::to_wire(source), identity::to_wire(target));
    let request = v1::CreateJobRequest { source, target, ..plan.request() };
    let job = insist(&jobs, |mut jobs| {
        let request = request.clone();
        async move { jobs.create_job(request).await }
    });
    let job = job.await?;
    // An older controller ignores the assertion, and keeps the evidence.
    if request.new_source && !job.new_source || request.new_target && !job.new_target {
        return Err(Error::NotNew(job.id));
    }
    told(&job);
    stores.check_identities(plan, &job).await?;
    stores.check(plan, &job).await?;
    let source_versions = Arc::new(SourceVersions::of(plan, job.expected));
    let in_a_row = Arc::new(InARow::of(plan));
    let pass =
        JoinedPass { source_versions, in_a_row, ..JoinedPass::joined(&job.id, job.began_revision, client) };
    let context = WorkerContext {
        jobs: jobs.clone(),
        stores: stores.clone(),
        plan: Arc::new(plan.clone()),
        pressure: Arc::new(pressure::Watch::start(stores, plan.limits)),
        pass: pass.clone(),
        instance_id,
        known: Arc::default(),
        all_done: Arc::default(),
    };
    // Dropped with this call: no segment is worked on after that.
    let mut lanes = JoinSet::new();
    for _ in 0..plan.parallel.max(1) {
        let context = context.clone();
        lanes.spawn(async move { context.lane().await });
    }
    let progress = tell(jobs.clone(), job.clone(), told);
    let worked = async {
        let mut whole = false;
        while let Some(ended) = lanes.join_next().await {
            whole |= ended.unwrap_or(Err(Error::Stopped))?;
        }
        Ok::<_, Error>(whole)
    };
    let whole = tokio::select! {
        worked = worked => worked?,
        never = progress => match never {},
    };
    // It may have been recreated while the workers were running.
    let listed = insist(&jobs, |mut jobs| {
        let request = v1::ListJobsRequest { migration: plan.migration.clone() };
        async move { jobs.list_jobs(request).await }
    });
    for job in listed.await?.jobs.iter().filter(|listed| listed.id == job.id) {
        let check = || async {
            stores.check_identities(plan, job).await?;
            stores.check(plan, job).await
        };
        patiently(plan.limits.patience, |_, _| {}, check).await?;
    }
    let is_comparison = plan.kind == v1::PassKind::Verify;
    if whole && !is_comparison {
        stores.release(plan, &pass).await?;
    }
    let finish =
        v1::FinishJobRequest { id: job.id, complete: true, actor: plan.actor.clone(), ..Default::default() };
    let finished = insist(&jobs, |mut jobs| {
        let finish = finish.clone();
        async move { jobs.finish_job(finish).await }
    });
    let evidence = finished.await?.evidence.unwrap_or_default();
    // A comparison only reports what it can't read: the row would be removed although nothing has been moved.
    if whole && is_comparison && evidence.counts.is_some_and(|counts| counts.failed == 0) {
        stores.release(plan, &pass).await?;
    }
    Ok(evidence)
}

impl Plan {
    /// The request that begins the pass.
    pub fn request(&self) -> v1::CreateJobRequest {
        v1::CreateJobRequest {
            migration: self.migration.clone(),
            kind: self.kind.into(),
            actor: self.actor.clone(),
            segments: self.segments.max(1),
            fingerprint: self.fingerprint.clone(),
            residual_ms: Some(self.residual.as_millis() as u64),
            tuning: Some(self.tuning),
            remove_extra: self.remove_extra,
            source_wins: self.source_wins,
            new_source: self.new_tables.contains(&Side::Source),
            new_target: self.new_tables.contains(&Side::Target),
            reason: self.reason.clone(),
            expected: self.expected.unwrap_or(0),
            ..Default::default()
        }
    }
}

impl WorkerContext {
    /// The stores' identities, a few seconds old at most. Fails if the order of a store has changed.
    pub(super) async fn identities(&self) -> Result<identity::Identities, Error> {
        let ask = || self.stores.identities_for(&self.known);
        patiently(self.plan.limits.patience, |_, _| {}, ask).await
    }

    /// Claims and works on segments until none is left. False: the job was ended meanwhile.
    async fn lane(&self) -> Result<bool, Error> {
        let (id, instance_id) = (self.pass.id.clone(), self.instance_id.clone());
        // So that the source's versions are in the cache when the target is scanned.
        let prefer_from = if self.pass.source_versions.is_enabled() { self.plan.on_target } else { 0 };
        let mut claim = v1::ClaimSegmentRequest { id, instance_id, prefer_from, ..Default::default() };
        loop {
            // Before anything is read, and again at each claim: a url without a region leads elsewhere in
            // another environment, and a table may be recreated.
            let identity::Identities { source, target } = self.identities().await?;
            (claim.source, claim.target) = (identity::to_wire(source), identity::to_wire(target));
            let claimed = insist(&self.jobs, |mut jobs| {
                let claim = claim.clone();
                async move { jobs.claim_segment(claim).await }
            });
            let claimed = match claimed.await {
                // Ended by another worker or an operator.
                Err(Error::Controller(status)) if status.code() == Code::NotFound => return Ok(false),
                claimed => claimed?,
            };
            match claimed.segment {
                Some(segment) => {
                    self.segment(segment, claimed.claimed, claimed.tuning.unwrap_or_default()).await?;
                }
                None if claimed.all_done => {
                    self.all_done.send_replace(true);
                    return Ok(true);
                }
                // Once another lane has learned so, there is nothing left to wait for.
                None => {
                    let mut all_done = self.all_done.subscribe();
                    _ = tokio::time::timeout(ASK_AGAIN, all_done.wait_for(|all| *all)).await;
                }
            }
        }
    }
}

async fn tell(
    jobs: JobServiceClient<AuthorizedChannel>,
    mut job: v1::Job,
    told: impl Fn(&v1::Job),
) -> std::convert::Infallible {
    let request = v1::ListJobsRequest { migration: job.migration.clone() };
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(TELL).await;
        let mut jobs = jobs.clone();
        match tokio::time::timeout(SILENCE, jobs.list_jobs(request.clone())).await {
            Ok(Ok(listed)) => {
                heard = Instant::now();
                let listed = listed.into_inner().jobs.into_iter().find(|listed| listed.id == job.id);
                let Some(listed) = listed else { continue };
                job = listed;
            }
            _ => job.waiting = format!("no answer from the controller for {} s", heard.elapsed().as_secs()),
        }
        told(&job);
    }
}

/// A connection to the controller that reconnects after a restart.
pub fn connect(server: &str, access: &Access) -> Result<JobServiceClient<AuthorizedChannel>, Error> {
    let address = Address::new(server, access, Duration::from_secs(3));
    let address = address.map_err(|error| Status::invalid_argument(format!("{server:?}: {error}")))?;
    let address = address.with(|endpoint| {
        endpoint
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true)
    });
    Ok(JobServiceClient::new(address.connect_lazy()))
}
