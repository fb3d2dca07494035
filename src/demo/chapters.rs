//! The chapters in which the target fails and the guards roll the migration back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use cutover_proto::v1;
use tokio::time::Instant;

use super::{Cast, KEY, Story, fault::Fault, mutation, worker};

/// A guard that needs longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

impl Story<'_> {
    /// Every call to the target fails: the guards roll everybody back, and an operator repairs the target.
    pub(super) async fn target_fails(&mut self, cast: &Cast) -> anyhow::Result<()> {
        self.stage.say("the target starts to fail: every call of every service")?;
        self.fails(cast, Fault::Everything).await?;
        self.mended(cast, "the target is mended, the rollback acknowledged: mirrored again").await?;
        // If the busiest tenant tripped on its own, a moment before everybody, it was pinned too.
        let tenant = worker::busiest();
        if self.migration().await?.trips.iter().any(|trip| trip.tenant == tenant) {
            self.unpin(&tenant).await?;
        }
        self.ramp([None, Some(100), None, None], "everybody mirrored again").await?;
        // The rollback also lowered its pin.
        self.pin("tenant-7", v1::Rung::Mirrored, "the pinned tenant too").await?;
        self.pass(cast, "a full pass copies what the target missed").await?;
        self.ramp([None, None, Some(50), None], "target-first for 50 % again").await
    }

    /// The target fails for one tenant: only that one is rolled back.
    pub(super) async fn one_tenant_fails(&mut self, cast: &Cast) -> anyhow::Result<()> {
        let tenant = worker::busiest();
        self.stage.say(&format!("the target fails for {tenant} alone"))?;
        let before = self.migration().await?.rollout;
        self.fails(cast, Fault::Tenant(tenant.clone())).await?;
        let after = self.migration().await?;
        if after.rollout != before || after.ceiling() != v1::Rung::Unspecified {
            bail!("more than {tenant} was rolled back: {:?}", after.trips.last());
        }
        self.stage.say("everybody else is where they were")?;
        self.mended(cast, "it is mended, the rollback acknowledged").await?;
        self.unpin(&tenant).await?;
        self.until("the tenant waits for a full pass", |status| {
            status.waiting.iter().any(|waiting| waiting.gate == "full-pass") && status.settled
        })
        .await?;
        self.pass(cast, "a full pass, for its sake").await?;
        self.scene(&format!("{tenant} is with the others again")).await
    }

    /// Makes the target fail until the guards have acted, and reports what they did.
    async fn fails(&mut self, cast: &Cast, fault: Fault) -> anyhow::Result<()> {
        let trips = self.migration().await?.trips.len();
        fault.set(cast.dir())?;
        let began = Instant::now();
        let tripped = self
            .until("the guards trip", |status| {
                let newer = status.migration.iter().flat_map(|migration| migration.trips.iter().skip(trips));
                newer.clone().any(|trip| fault.is_answered_by(trip))
            })
            .await?;
        let noticed_ms = began.elapsed().as_millis();
        let trips = tripped.migration.map(|migration| migration.trips).unwrap_or_default();
        let trip = trips.into_iter().rev().find(|trip| fault.is_answered_by(trip));
        let trip = trip.context("the trip is told")?;
        self.stage.say(&format!("guard {noticed_ms} ms later: {}", trip.summary))?;
        if trip.outcome() != v1::TripOutcome::RolledBack {
            bail!("nothing was rolled back: {}", trip.summary);
        }
        self.until("everybody is where it is safe", |status| {
            let is_there = |migration: &v1::Migration| {
                !trip.tenant.is_empty() || migration.rollout.is_some_and(|at| at.mirrored_ppm == 0)
            };
            status.settled && status.migration.as_ref().is_some_and(is_there)
        })
        .await?;
        self.stage
            .say(&format!("all services follow, {} ms after the first failure", began.elapsed().as_millis()))
    }

    async fn unpin(&mut self, tenant: &str) -> anyhow::Result<()> {
        let (key, tenant) = (KEY.to_owned(), tenant.to_owned());
        let unpin = v1::ClearPinRequest { mutation: mutation(), key, tenant, wait: true };
        self.admin.clear_pin(unpin).await?;
        Ok(())
    }

    async fn mended(&mut self, cast: &Cast, what: &str) -> anyhow::Result<()> {
        Fault::Nothing.set(cast.dir())?;
        // Until the services have noticed that it is repaired.
        tokio::time::sleep(super::fault::LOOK * 2).await;
        let acknowledge = v1::AcknowledgeRequest { mutation: mutation(), key: KEY.to_owned() };
        self.admin.acknowledge(acknowledge).await?;
        self.scene(what).await
    }

    async fn migration(&mut self) -> anyhow::Result<v1::Migration> {
        let request = v1::GetMigrationRequest { key: KEY.to_owned() };
        Ok(self.admin.get_migration(request).await?.into_inner())
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&v1::Status) -> bool) -> anyhow::Result<v1::Status> {
        let request = v1::GetStatusRequest { key: KEY.to_owned() };
        let mut statuses = self.admin.watch_status(request).await?.into_inner();
        let come = async {
            while let Some(status) = statuses.message().await? {
                if holds(&status) {
                    return Ok(status);
                }
            }
            bail!("the controller ended in the middle of a scene")
        };
        let come = tokio::time::timeout(PATIENCE, come).await;
        come.with_context(|| format!("it took more than {} s until {what}", PATIENCE.as_secs()))?
    }
}
