//! What the operator of a run asks of whichever controller leads.

use std::time::Duration;

use cutover_client::{Access, Address, AuthorizedChannel};
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use rand::RngExt as _;
use tonic::{Response, Status};

use super::Story;
use crate::KEY;

/// Longest wait for an answer: a controller that was stopped gives none.
const ANSWER: Duration = Duration::from_secs(2);
/// Requests of [`Story::ramp`], from source-only to target-only.
pub(super) const LADDER_TOP: u32 = 7;

/// A client of the controller that leads, whichever of these addresses that is.
pub(super) fn connect(servers: &str) -> anyhow::Result<AdminServiceClient<AuthorizedChannel>> {
    let second = Duration::from_secs(1);
    let address = Address::new(servers, &Access::default(), second)?.with(|endpoint| {
        endpoint.http2_keep_alive_interval(second).keep_alive_timeout(second).keep_alive_while_idle(true)
    });
    Ok(AdminServiceClient::new(address.connect_lazy()))
}

/// `None`: it failed, or nobody answers.
async fn answer<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Option<T> {
    Some(tokio::time::timeout(ANSWER, call).await.ok()?.ok()?.into_inner())
}

impl Story {
    pub(super) async fn create(&mut self, linearizable: bool) -> anyhow::Result<()> {
        let level = if linearizable { v1::Level::Linearizable } else { v1::Level::Acknowledged };
        let request = v1::CreateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            source: "source".to_owned(),
            target: "target".to_owned(),
            policy: Some(v1::Policy {
                level: level.into(),
                fence_after_ms: if linearizable { 9_000 } else { 0 },
                ..Default::default()
            }),
            ..Default::default()
        };
        for _ in 0..100 {
            if let Some(created) = answer(self.admin.create_migration(request.clone())).await {
                return self.observe(created.migration.unwrap_or_default().guards).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!(
            "no controller started on an empty store: see {}",
            self.places.dir.join("controller-*.err").display()
        )
    }

    /// Guards only observe: half of the fleet is dead now and then, and a latch would end the ramps.
    async fn observe(&mut self, guards: Vec<v1::GuardRule>) -> anyhow::Result<()> {
        let mode = v1::GuardMode::Observe.into();
        let told = |rule: v1::GuardRule| v1::GuardRule { guard: rule.guard, mode, ..Default::default() };
        let request = v1::UpdateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            guards: guards.into_iter().map(told).collect(),
            ..Default::default()
        };
        self.admin.update_migration(request).await?;
        Ok(())
    }

    /// `None`: nobody leads.
    pub(super) async fn status(&mut self) -> Option<v1::Status> {
        let request = v1::GetStatusRequest { key: KEY.to_owned() };
        answer(self.admin.get_status(request)).await
    }

    /// Evicts lost instances; `is_dead`: surely dead.
    pub(super) async fn evict(&mut self, status: &v1::Status, is_dead: impl Fn(&v1::Instance) -> bool) {
        for instance in status.instances.iter().filter(|instance| instance.lost && is_dead(instance)) {
            let (actor, reason) = ("operator:torture".to_owned(), "killed".to_owned());
            let instance_id = instance.instance_id.clone();
            let request = v1::EvictInstanceRequest { actor, reason, instance_id, ..Default::default() };
            // It may have been the controller that died.
            let _ = answer(self.admin.evict_instance(request)).await;
        }
    }

    /// Mostly up the ladder, often back, sometimes anywhere.
    pub(super) async fn ramp(&mut self) {
        let at = match self.rng.random_range(0..10) {
            0..7 => (self.at + 1).min(LADDER_TOP),
            7..9 => self.at.saturating_sub(self.rng.random_range(1..=3)),
            _ => self.rng.random_range(0..=LADDER_TOP),
        };
        let some_ppm = self.rng.random_range(1..1_000_000);
        self.ask(at, some_ppm).await;
    }

    /// Asks for a place of the ladder; every second one is between two rungs.
    pub(super) async fn ask(&mut self, at: u32, some_ppm: u32) {
        let [all, none, some] = [Some(1_000_000), Some(0), Some(some_ppm)];
        let shares = match at {
            0 => [none, none, none, none],
            1 => [all, none, none, none],
            2 => [all, some, none, none],
            3 => [all, all, none, none],
            4 => [all, all, some, none],
            5 => [all, all, all, none],
            6 => [all, all, all, some],
            _ => [all, all, all, all],
        };
        let [dual_ppm, mirrored_ppm, target_first_ppm, target_only_ppm] = shares;
        let request = v1::SetRolloutRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            dual_ppm,
            mirrored_ppm,
            target_first_ppm,
            target_only_ppm,
            wait: true,
            override_gates: self.overrides.clone(),
        };
        if answer(self.admin.set_rollout(request)).await.is_some() {
            self.at = at;
            self.told.ramps += 1;
        }
    }

    pub(super) async fn roll_back(&mut self) {
        let (mutation, key) = (mutation(), KEY.to_owned());
        let rollback =
            v1::RollbackRequest { mutation: mutation.clone(), key: key.clone(), ..Default::default() };
        if answer(self.admin.rollback(rollback)).await.is_some() {
            self.told.ramps += 1;
            let _ = answer(self.admin.acknowledge(v1::AcknowledgeRequest { mutation, key })).await;
        }
    }
}

fn mutation() -> Option<v1::Mutation> {
    let (actor, reason) = ("operator:torture".to_owned(), "torture".to_owned());
    Some(v1::Mutation { actor, reason, ..Default::default() })
}
