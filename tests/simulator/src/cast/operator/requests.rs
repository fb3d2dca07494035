//! What operators ask for.

use cutover_proto::v1;
use rand::RngExt as _;

use super::{Desk, EMPTY_TENANT, told};
use crate::{cast::KEY, play};

/// Everybody.
const ALL: u32 = 1_000_000;

impl Desk {
    /// The next thing on the way up or back.
    pub(super) async fn ask(&mut self) {
        match self.random.random_range(0..24) {
            0..2 if self.operator.plans => self.start_plan().await,
            2..5 if self.operator.overrides => self.override_gate().await,
            5..7 if self.operator.policies => self.change_policy().await,
            7..9 => self.pin().await,
            9 => self.unpin().await,
            10 => {
                let request = v1::PauseRequest { mutation: self.mutation(), key: KEY.to_owned() };
                told("pause", &self.admin.pause(request).await);
            }
            11 => play::want_pass(v1::PassKind::Verify),
            _ if self.climbs => self.climb().await,
            _ => self.go_back().await,
        }
    }

    async fn climb(&mut self) {
        use v1::Rung::{Dual, Mirrored, TargetFirst, TargetOnly};
        let part = self.random.random_range(1..=4) * 250_000;
        match self.random.random_range(0..24) {
            0 => self.ramp(Dual, part).await,
            1..4 => self.ramp(Mirrored, ALL).await,
            4..12 => self.ramp(TargetFirst, ALL).await,
            12..15 => self.ramp(TargetFirst, part).await,
            15..21 => self.ramp(TargetOnly, ALL).await,
            _ => self.ramp(TargetOnly, part).await,
        }
    }

    async fn go_back(&mut self) {
        use v1::Rung::{Dual, Mirrored, SourceOnly, TargetFirst};
        match self.random.random_range(0..10) {
            0..4 => self.roll_back().await,
            4..6 => self.ramp(TargetFirst, ALL).await,
            6..8 => self.ramp(Mirrored, ALL).await,
            8 => self.ramp(Dual, ALL).await,
            _ => self.ramp(SourceOnly, ALL).await,
        }
    }

    pub(super) async fn roll_back(&mut self) {
        let tenant = if self.draws(25) { self.tenant() } else { String::new() };
        self.asked = v1::Rung::Dual;
        let request = v1::RollbackRequest { mutation: self.mutation(), key: KEY.to_owned(), tenant };
        let call = move |mut admin: super::Admin| {
            let request = request.clone();
            async move { admin.rollback(request).await }
        };
        self.send("rollback".to_owned(), call).await;
    }

    /// Everybody at the stage below, and a share there.
    pub(super) async fn ramp(&mut self, rung: v1::Rung, share: u32) {
        self.ramp_by(rung, share, &[]).await;
    }

    /// Everybody at a stage, past gates.
    pub(super) async fn ramp_overriding(&mut self, rung: v1::Rung, gates: &[&str]) {
        self.ramp_by(rung, ALL, gates).await;
    }

    async fn ramp_by(&mut self, rung: v1::Rung, share: u32, gates: &[&str]) {
        self.asked = rung;
        let ppm = |of: v1::Rung| {
            Some(match rung as i32 - of as i32 {
                0 => share,
                1.. => ALL,
                _ => 0,
            })
        };
        let request = v1::SetRolloutRequest {
            mutation: self.mutation(),
            key: KEY.to_owned(),
            dual_ppm: ppm(v1::Rung::Dual),
            mirrored_ppm: ppm(v1::Rung::Mirrored),
            target_first_ppm: ppm(v1::Rung::TargetFirst),
            target_only_ppm: ppm(v1::Rung::TargetOnly),
            wait: true,
            override_gates: gates.iter().map(|gate| (*gate).to_owned()).collect(),
        };
        self.set_rollout(format!("ramp {rung:?} {share} {gates:?}"), request).await;
    }

    async fn set_rollout(&mut self, what: String, request: v1::SetRolloutRequest) {
        let call = move |mut admin: super::Admin| {
            let request = request.clone();
            async move { admin.set_rollout(request).await }
        };
        self.send(what, call).await;
    }

    async fn set_pin(&mut self, what: String, request: v1::SetPinRequest) -> bool {
        let call = move |mut admin: super::Admin| {
            let request = request.clone();
            async move { admin.set_pin(request).await }
        };
        self.send(what, call).await
    }

    async fn pin(&mut self) {
        use v1::Rung::{Dual, Mirrored, SourceOnly, TargetFirst, TargetOnly};
        let rungs = [SourceOnly, Dual, Mirrored, TargetFirst, TargetFirst, TargetOnly];
        let rung = rungs[self.random.random_range(0..rungs.len())];
        let tenant = self.tenant();
        self.pin_at(&tenant, rung, &[]).await;
    }

    /// A tenant at a stage, past gates. True: that was accepted.
    pub(super) async fn pin_at(&mut self, tenant: &str, rung: v1::Rung, gates: &[&str]) -> bool {
        let request = v1::SetPinRequest {
            mutation: self.mutation(),
            key: KEY.to_owned(),
            tenant: tenant.to_owned(),
            rung: rung.into(),
            wait: true,
            override_gates: gates.iter().map(|gate| (*gate).to_owned()).collect(),
        };
        self.set_pin(format!("pin {tenant} {rung:?} {gates:?}"), request).await
    }

    /// Whoever rolled back has found out why.
    pub(super) async fn acknowledge(&mut self) {
        let request = v1::AcknowledgeRequest { mutation: self.mutation(), key: KEY.to_owned() };
        told("acknowledge", &self.admin.acknowledge(request).await);
    }

    async fn unpin(&mut self) {
        let tenant = self.tenant();
        self.unpin_one(tenant).await;
    }

    /// A tenant where its neighbors are.
    pub(super) async fn unpin_one(&mut self, tenant: String) {
        let mutation = self.mutation();
        let request = v1::ClearPinRequest { mutation, key: KEY.to_owned(), tenant, wait: true };
        told("unpin", &self.admin.clear_pin(request).await);
    }

    /// Of gates that nothing depends on here: a pass over a tenant that has no records, and a soak.
    async fn override_gate(&mut self) {
        if self.draws(30) {
            let ppm = Some(ALL);
            let request = v1::SetRolloutRequest {
                mutation: self.mutation(),
                key: KEY.to_owned(),
                dual_ppm: ppm,
                mirrored_ppm: ppm,
                target_first_ppm: ppm,
                target_only_ppm: ppm,
                wait: true,
                override_gates: vec!["soak".to_owned(), "services".to_owned()],
            };
            return self.set_rollout("ramp target-only, overriding".to_owned(), request).await;
        }
        let rungs = [v1::Rung::TargetFirst, v1::Rung::TargetOnly, v1::Rung::SourceOnly];
        let rung = rungs[self.random.random_range(0..rungs.len())];
        self.pin_at(EMPTY_TENANT, rung, &["full-pass"]).await;
    }

    /// Repairs that have not ended.
    pub(super) async fn repairs_under_way(&mut self) -> Vec<v1::Job> {
        let listed = self.jobs.list_jobs(v1::ListJobsRequest { migration: KEY.to_owned() }).await;
        let jobs = listed.map(|listed| listed.into_inner().jobs).unwrap_or_default();
        jobs.into_iter().filter(|job| job.kind() == v1::PassKind::Verify).collect()
    }

    /// Whoever works on it may not hear of that.
    pub(super) async fn cancel_repair(&mut self) {
        for job in self.repairs_under_way().await {
            let request = v1::FinishJobRequest {
                id: job.id,
                actor: "operator:simulated".to_owned(),
                force: true,
                ..Default::default()
            };
            told("cancel the repair", &self.jobs.finish_job(request).await);
            play::foreign::note_repair(false);
        }
    }

    pub(super) async fn update(&mut self, change: impl FnOnce(&mut v1::Policy)) {
        let asked = self.admin.get_migration(v1::GetMigrationRequest { key: KEY.to_owned() }).await;
        let Ok(Some(mut policy)) = asked.map(|found| found.into_inner().policy) else { return };
        change(&mut policy);
        let shown = format!("policy {policy:?}");
        let request = v1::UpdateMigrationRequest {
            mutation: self.mutation(),
            key: KEY.to_owned(),
            policy: Some(policy),
            ..Default::default()
        };
        told(&shown, &self.admin.update_migration(request).await);
    }

    /// Between the two levels.
    pub(super) async fn change_level(&mut self) {
        let change = |policy: &mut v1::Policy| match policy.level() {
            v1::Level::Linearizable => policy.set_level(v1::Level::Acknowledged),
            _ => {
                policy.set_level(v1::Level::Linearizable);
                // It is refused without one.
                policy.fence_after_ms = policy.fence_after_ms.max(5_000);
            }
        };
        self.update(change).await;
    }

    /// Sets or lifts what the policy asks for besides.
    async fn change_policy(&mut self) {
        let (what, on) = (self.random.random_range(0..5), self.random.random());
        let fence_after_ms = self.random.random_range(3_000..9_000);
        let change = |policy: &mut v1::Policy| match what {
            0..2 => policy.local_guard = on,
            2 => policy.soak_ms = if on { 3_000 } else { 0 },
            3 => policy.required_services = on.then(|| "api-0".to_owned()).into_iter().collect(),
            // Level linearizable is refused without one.
            _ => policy.fence_after_ms = if on { fence_after_ms } else { 0 },
        };
        self.update(change).await;
    }

    /// A plan of some steps up.
    async fn start_plan(&mut self) {
        let rungs = [v1::Rung::Dual, v1::Rung::Mirrored, v1::Rung::TargetFirst, v1::Rung::TargetOnly];
        let share = self.random.random_range(1..=4) * 250_000;
        let step = |rung: &v1::Rung| v1::PlanStep {
            rung: (*rung).into(),
            share_ppm: Some(share),
            bake_ms: 500,
            evidence: v1::PlanEvidence::None.into(),
            ..Default::default()
        };
        let steps = rungs[..self.random.random_range(1..=rungs.len())].iter().map(step).collect();
        let plan = Some(v1::Plan { steps, ..Default::default() });
        let request = v1::StartPlanRequest { mutation: self.mutation(), key: KEY.to_owned(), plan };
        told(&format!("plan {share}"), &self.admin.start_plan(request).await);
    }

    fn tenant(&mut self) -> String {
        self.operator.records.draw(&mut self.random).0
    }
}
