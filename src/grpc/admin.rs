//! `AdminService`: each call parses, asks, and converts.

mod backup;
mod controller;
mod evict;
mod history;
mod pins;
mod progress;
mod series;
mod shared;
mod watch;

use std::sync::Arc;

use cutover_proto::v1::{self, admin_service_server::AdminService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{caller::Caller, convert, plan, status};
use crate::{
    domain::{Change, Confirmation, Deletion, Key, Policy, Shares, Tenant, change},
    service::{
        Entry, Looks, Membership, Operate, Overview, Registry, Tokens, WindowQuery, Windows,
        operate::{ChangeOutcome, now_ms},
    },
};

pub(super) use shared::Shared;

/// The API for operators.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    pub(super) registry: Arc<Registry>,
    pub(super) membership: Membership,
    pub(super) overview: Overview,
    pub(super) overviews: Arc<Shared<v1::Overview>>,
    pub(super) statuses: Arc<Shared<v1::Status>>,
    pub(super) operate: Arc<Operate>,
    pub(super) windows: Arc<Windows>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) certificate_expires_s: Option<tokio::sync::watch::Receiver<Option<u64>>>,
    pub(super) stop: tokio::sync::watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_controller(&self, request: Request<v1::GetControllerRequest>) -> Answer<v1::Controller> {
        controller::controller(self, &Caller::of(request).0).await.map(Response::new)
    }

    async fn create_migration(
        &self,
        request: Request<v1::CreateMigrationRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, message) = Caller::of(request);
        let v1::CreateMigrationRequest { mutation, key, salt, source, target, description, policy, confirm } =
            message;
        let policy = policy.as_ref().map_or_else(|| Ok(Policy::default()), convert::policy_from_wire)?;
        let create = Change::Create { salt, source, target, description, policy, confirm };
        self.change(caller, mutation, &key, create).await
    }

    async fn get_migration(&self, request: Request<v1::GetMigrationRequest>) -> Answer<v1::Migration> {
        let entry = self.entry(&request.into_inner().key)?;
        Ok(Response::new(convert::migration(entry.migration.revision, &entry.migration.document)))
    }

    async fn list_migrations(
        &self,
        _: Request<v1::ListMigrationsRequest>,
    ) -> Answer<v1::ListMigrationsResponse> {
        let (revision, glances) = self.overview.glances();
        Ok(Response::new(convert::overview::list(revision, glances)))
    }

    async fn update_migration(
        &self,
        request: Request<v1::UpdateMigrationRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, v1::UpdateMigrationRequest { mutation, key, description, policy, guards }) =
            Caller::of(request);
        let policy = policy.as_ref().map(convert::policy_from_wire).transpose()?;
        let guards = convert::guard::edits(&guards)?;
        self.change(caller, mutation, &key, Change::Update { description, policy, guards }).await
    }

    async fn delete_migration(
        &self,
        request: Request<v1::DeleteMigrationRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, v1::DeleteMigrationRequest { mutation, key, confirm }) = Caller::of(request);
        let calls = self.overview.calls(&key);
        let answer = self.change(caller, mutation, &key, Change::Delete(Deletion { confirm, calls })).await?;
        self.forget_deleted(&key).await;
        Ok(answer)
    }

    async fn set_rollout(&self, request: Request<v1::SetRolloutRequest>) -> Answer<v1::MutationResponse> {
        let (
            caller,
            v1::SetRolloutRequest {
                mutation,
                key,
                dual_ppm,
                mirrored_ppm,
                target_first_ppm,
                target_only_ppm,
                wait,
                override_gates,
            },
        ) = Caller::of(request);
        caller.check_overrides("SetRollout", &override_gates)?;
        let shares = Shares { dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm };
        let ask = convert::ask(wait, &override_gates)?;
        self.change(caller, mutation, &key, Change::SetRollout { shares, ask }).await
    }

    async fn set_pin(&self, request: Request<v1::SetPinRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::SetPinRequest { mutation, key, tenant, rung, wait, override_gates }) =
            Caller::of(request);
        caller.check_overrides("SetPin", &override_gates)?;
        let pins = vec![(Tenant::parse(&tenant).map_err(status::invalid)?, convert::pin_rung(rung)?)];
        let ask = convert::ask(wait, &override_gates)?;
        self.change(caller, mutation, &key, Change::SetPins { pins, ask }).await
    }

    async fn clear_pin(&self, request: Request<v1::ClearPinRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::ClearPinRequest { mutation, key, tenant, wait }) = Caller::of(request);
        let tenant = Tenant::parse(&tenant).map_err(status::invalid)?;
        self.change(caller, mutation, &key, Change::ClearPin { tenant, ask: convert::ask(wait, &[])? }).await
    }

    async fn list_pins(&self, request: Request<v1::ListPinsRequest>) -> Answer<v1::ListPinsResponse> {
        let v1::ListPinsRequest { key, page_size, after } = request.into_inner();
        Ok(Response::new(pins::page(&self.entry(&key)?.migration, page_size, &after)))
    }

    async fn import_pins(
        &self,
        request: Request<Streaming<v1::ImportPinsRequest>>,
    ) -> Answer<v1::ImportPinsResponse> {
        let (caller, stream) = Caller::of(request);
        pins::import(&self.operate, &caller, stream).await.map(Response::new)
    }

    async fn rollback(&self, request: Request<v1::RollbackRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::RollbackRequest { mutation, key, tenant }) = Caller::of(request);
        let tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
        let tenant = tenant.map(|tenant| Tenant::parse(&tenant)).transpose().map_err(status::invalid)?;
        let answer = self.change(caller, mutation, &key, Change::Rollback { tenant }).await?;
        let v1::MutationResponse { changes, dry_run, repeated, .. } = answer.get_ref();
        if !(changes.is_empty() || *dry_run || *repeated) {
            Key::parse(&key).iter().for_each(|key| self.overview.ingest.rolled_back(key));
        }
        Ok(answer)
    }

    async fn acknowledge(&self, request: Request<v1::AcknowledgeRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::AcknowledgeRequest { mutation, key }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::Acknowledge).await
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::PauseRequest { mutation, key }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::Pause).await
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::ResumeRequest { mutation, key }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::Resume).await
    }

    async fn finish(&self, request: Request<v1::FinishRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::FinishRequest { mutation, key, confirm, override_gates }) = Caller::of(request);
        caller.check_overrides("Finish", &override_gates)?;
        let overrides = convert::gates(&override_gates)?;
        self.change(caller, mutation, &key, Change::Finish { confirm, overrides }).await
    }

    async fn abandon(&self, request: Request<v1::AbandonRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::AbandonRequest { mutation, key }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::Abandon).await
    }

    async fn start_plan(&self, request: Request<v1::StartPlanRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::StartPlanRequest { mutation, key, plan }) = Caller::of(request);
        self.change(caller, mutation, &key, plan::apply(plan)?).await
    }

    async fn stop_plan(&self, request: Request<v1::StopPlanRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::StopPlanRequest { mutation, key }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::StopPlan).await
    }

    async fn approve_plan(&self, request: Request<v1::ApprovePlanRequest>) -> Answer<v1::MutationResponse> {
        let (caller, v1::ApprovePlanRequest { mutation, key, step }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::ApprovePlan { step: plan::number(step) }).await
    }

    async fn skip_plan_step(
        &self,
        request: Request<v1::SkipPlanStepRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, v1::SkipPlanStepRequest { mutation, key, step }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::SkipPlanStep { step: plan::number(step) }).await
    }

    async fn approve_request(
        &self,
        request: Request<v1::ApproveRequestRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, v1::ApproveRequestRequest { mutation, key, revision }) = Caller::of(request);
        if let Ok(entry) = self.entry(&key) {
            let document = &entry.migration.document;
            let asked = document.requests.iter().find(|asked| asked.revision == revision);
            let checked = asked.map_or(Ok(()), |asked| self.tokens.check_asker(asked, &key, now_ms()));
            checked.map_err(status::refusal)?;
        }
        let calls = self.overview.calls(&key);
        let answer = self.change(caller, mutation, &key, Change::ApproveRequest { revision, calls }).await?;
        self.forget_deleted(&key).await;
        Ok(answer)
    }

    async fn withdraw_request(
        &self,
        request: Request<v1::WithdrawRequestRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, v1::WithdrawRequestRequest { mutation, key, revision }) = Caller::of(request);
        self.change(caller, mutation, &key, Change::WithdrawRequest { revision }).await
    }

    async fn get_plan(&self, request: Request<v1::GetPlanRequest>) -> Answer<v1::PlanView> {
        let entry = self.entry(&request.into_inner().key)?;
        let fleet = self.overview.instances.fleet(Some(&entry));
        plan::view(&entry, self.overview.plans.outlook(&entry, &fleet)).map(Response::new)
    }

    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<v1::Status> {
        self.status(&request.into_inner().key).map(Response::new)
    }

    type WatchStatusStream = ReceiverStream<Result<v1::Status, Status>>;

    async fn watch_status(&self, request: Request<v1::GetStatusRequest>) -> Answer<Self::WatchStatusStream> {
        let key = request.into_inner().key;
        self.entry(&key)?;
        Ok(Response::new(watch::status(self, &key)))
    }

    async fn get_overview(&self, _: Request<v1::WatchOverviewRequest>) -> Answer<v1::Overview> {
        let (revision, rows) = self.overview.rows(&mut Looks::default());
        Ok(Response::new(convert::overview::overview(revision, rows)))
    }

    type WatchOverviewStream = ReceiverStream<Result<v1::Overview, Status>>;

    async fn watch_overview(
        &self,
        _: Request<v1::WatchOverviewRequest>,
    ) -> Answer<Self::WatchOverviewStream> {
        Ok(Response::new(watch::overview(self)))
    }

    async fn get_series(&self, request: Request<v1::GetSeriesRequest>) -> Answer<v1::Series> {
        series::series(self, request.into_inner()).await.map(Response::new)
    }

    async fn get_progress(&self, request: Request<v1::GetProgressRequest>) -> Answer<v1::Progress> {
        let request = request.into_inner();
        let key = self.entry(&request.key)?.migration.key().clone();
        let grid = progress::grid(&request, now_ms()).map_err(status::invalid)?;
        let query = WindowQuery { key, scale: grid.scale, from: grid.from_s, before: grid.before_s };
        let windows = self.windows.windows(&query).await.map_err(status::store)?;
        Ok(Response::new(progress::answer(&grid, windows, request.latencies)))
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Answer<v1::ListHistoryResponse> {
        let request = request.into_inner();
        let known = |key: &Key| self.registry.state().entry(key).is_some();
        history::page(&self.operate, request, known).await.map(Response::new)
    }

    async fn list_instances(
        &self,
        request: Request<v1::ListInstancesRequest>,
    ) -> Answer<v1::ListInstancesResponse> {
        let key = request.into_inner().key;
        let step = if key.is_empty() { 0 } else { self.entry(&key)?.migration.newest_step() };
        let instances =
            self.overview.instances.seen().into_iter().map(|seen| convert::instance(seen, step)).collect();
        Ok(Response::new(v1::ListInstancesResponse { instances }))
    }

    async fn evict_instance(
        &self,
        request: Request<v1::EvictInstanceRequest>,
    ) -> Answer<v1::EvictInstanceResponse> {
        evict::evict(&self.membership, Caller::of(request)).await.map(Response::new)
    }

    type BackupStream = ReceiverStream<Result<v1::BackupResponse, Status>>;

    async fn backup(&self, _: Request<v1::BackupRequest>) -> Answer<Self::BackupStream> {
        Ok(Response::new(backup::stream(self.operate.clone())))
    }

    async fn confirm_restore(
        &self,
        request: Request<v1::ConfirmRestoreRequest>,
    ) -> Answer<v1::MutationResponse> {
        let (caller, message) = Caller::of(request);
        let v1::ConfirmRestoreRequest {
            mutation,
            key,
            target_only_ppm,
            tenants,
            except,
            reversed,
            refused_ended,
        } = message;
        let parsed =
            |names: &[String]| names.iter().map(|name| Tenant::parse(name)).collect::<Result<_, _>>();
        let tenants = parsed(&tenants).map_err(status::invalid)?;
        let except = parsed(&except).map_err(status::invalid)?;
        let (key, mutation) = (Key::parse(&key).map_err(status::invalid)?, caller.mutation(mutation)?);
        let confirmation = Confirmation { target_only_ppm, tenants, except, reversed };
        let outcome = self.operate.confirm_restore(&key, confirmation, refused_ended, &mutation).await;
        Ok(Response::new(changed(outcome.map_err(status::change)?, mutation.dry_run)))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let v1::ExplainRequest { key, tenant } = request.into_inner();
        let entry = self.entry(&key)?;
        let tenant = Tenant::parse(&tenant).map_err(status::invalid)?;
        let fleet = self.overview.instances.fleet(Some(&entry));
        let unmet = change::waiting_of(&entry.migration, &tenant, &fleet, self.registry.steady_ms());
        let followed = self.membership.guards.followed(entry.migration.key());
        let migration = &entry.migration;
        let is_pinned = migration.tenants.get(&tenant).is_some_and(|row| row.pin.is_some());
        let pinned_by =
            if is_pinned { history::pinned_by(&self.operate, migration.key(), &tenant).await } else { None };
        Ok(Response::new(convert::explain(migration, &tenant, unmet, pinned_by.as_deref(), followed)))
    }
}

impl Admin {
    async fn change(
        &self,
        caller: Caller,
        mutation: Option<v1::Mutation>,
        key: &str,
        change: Change,
    ) -> Answer<v1::MutationResponse> {
        let mutation = caller.mutation(mutation)?;
        let key = Key::parse(key).map_err(status::invalid)?;
        let outcome = self.operate.change(&key, &change, &mutation).await.map_err(status::change)?;
        Ok(Response::new(changed(outcome, mutation.dry_run)))
    }

    /// What was reported of a migration goes with it.
    async fn forget_deleted(&self, key: &str) {
        if Key::parse(key).is_ok_and(|key| self.registry.state().entry(&key).is_none()) {
            self.windows.forget(key).await;
        }
    }

    fn status(&self, key: &str) -> Result<v1::Status, Status> {
        Ok(convert::overview::status(self.overview.status(self.entry(key)?)))
    }

    fn entry(&self, key: &str) -> Result<Arc<Entry>, Status> {
        let key = Key::parse(key).map_err(status::invalid)?;
        let state = self.registry.state();
        let entry = state.entry(&key).cloned();
        entry.ok_or_else(|| status::refusal(crate::domain::Refusal::NotFound(key)))
    }
}

fn changed(outcome: ChangeOutcome, dry_run: bool) -> v1::MutationResponse {
    let ChangeOutcome { revision, document, changes, waiting, ways, consequences, repeated } = outcome;
    v1::MutationResponse {
        migration: document.as_ref().map(|document| convert::migration(revision, document)),
        changes,
        waiting: convert::waiting(waiting),
        dry_run,
        repeated,
        ways,
        consequences,
    }
}
