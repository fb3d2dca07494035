//! Operators: they ask for what comes to their mind, and look after what stands in its way.

use std::time::Duration;

use cutover_client::host;
use cutover_proto::v1::{self, admin_service_client::AdminServiceClient};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{CONTROLLER, KEY, traffic::Records};
use crate::{
    play,
    world::{self, Time},
};

/// What the operators do.
pub struct Operator {
    /// The migration's policy.
    pub policy: v1::Policy,
    /// Mean time between two requests.
    pub think_ms: u64,
    /// Share of requests that go back, in percent.
    pub back_pct: u32,
    /// Which tenants are pinned.
    pub records: Records,
    /// Until then they only run passes: services without the SDK are still there.
    pub ramp_from: Time,
    /// They let reads copy records, and sweep the target, instead of copying everything first.
    pub lazy: bool,
    /// They apply plans.
    pub plans: bool,
    /// They override gates, for reasons that are good.
    pub overrides: bool,
    /// They change the policy on the way.
    pub policies: bool,
    /// They only look after what stands in the way from then on.
    pub quiet_from: Time,
    /// Of their randomness.
    pub seed: u64,
}

/// Everybody.
const ALL: u32 = 1_000_000;
/// A tenant without records: nothing has to be copied before it moves.
pub const EMPTY_TENANT: &str = "empty";

type Admin = AdminServiceClient<Channel>;

fn mutation() -> Option<v1::Mutation> {
    let (actor, reason) = ("operator:simulated".to_owned(), "simulated".to_owned());
    Some(v1::Mutation { actor, reason, ..Default::default() })
}

/// Shares of a stage and everything below it.
fn shares(dual: u32, mirrored: u32, target_first: u32, target_only: u32) -> v1::SetRolloutRequest {
    v1::SetRolloutRequest {
        mutation: mutation(),
        key: KEY.to_owned(),
        dual_ppm: Some(dual),
        mirrored_ppm: Some(mirrored),
        target_first_ppm: Some(target_first),
        target_only_ppm: Some(target_only),
        wait: true,
        ..Default::default()
    }
}

impl Operator {
    /// Works until the end.
    pub async fn run(self) {
        let endpoint = Endpoint::from_static(CONTROLLER)
            .connect_timeout(Duration::from_secs(1))
            // Of somebody who waits: what was asked of a controller that stands still is done when it goes on.
            .timeout(Duration::from_secs(60));
        let mut admin = AdminServiceClient::new(host::connect_lazy(&endpoint));
        let mut random = SmallRng::seed_from_u64(self.seed);
        let create = v1::CreateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            policy: Some(self.policy.clone()),
            ..Default::default()
        };
        while let Err(status) = admin.create_migration(create.clone()).await {
            world::tell(|| format!("operator: create: {}", status.message()));
            if status.code() == tonic::Code::AlreadyExists {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        loop {
            let ms = random.random_range(self.think_ms / 4..=self.think_ms * 2);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let quiet = world::now() >= self.quiet_from;
            if quiet || random.random_range(0..100) < 60 {
                self.look_after(&mut admin, quiet).await;
            } else if world::now() < self.ramp_from {
                play::want_pass(v1::PassKind::Full);
            } else {
                self.ask(&mut admin, &mut random).await;
            }
        }
    }

    /// Does what status says that somebody has to do.
    async fn look_after(&self, admin: &mut Admin, quiet: bool) {
        let asked = admin.get_status(v1::GetStatusRequest { key: KEY.to_owned() }).await;
        let Ok(status) = asked.map(tonic::Response::into_inner) else { return };
        play::note_status(&status);
        let migration = status.migration.clone().unwrap_or_default();
        if migration.paused {
            let request = v1::ResumeRequest { mutation: mutation(), key: KEY.to_owned() };
            told("resume", admin.resume(request).await);
        }
        if migration.state() == v1::State::Tripped && !quiet {
            let request = v1::AcknowledgeRequest { mutation: mutation(), key: KEY.to_owned() };
            told("acknowledge", admin.acknowledge(request).await);
        }
        for instance in status.instances.iter().filter(|instance| instance.lost) {
            // The one thing that an operator has to know.
            if play::is_gone(&instance.instance_id) {
                let request = v1::EvictInstanceRequest {
                    instance_id: instance.instance_id.clone(),
                    actor: "operator:simulated".to_owned(),
                    reason: "it is dead".to_owned(),
                    ..Default::default()
                };
                told(&format!("evict {}", instance.instance_id), admin.evict_instance(request).await);
            }
        }
        let pass_for = |waiting: &v1::Waiting| match self.lazy && waiting.step.starts_with("mirrored") {
            true => v1::PassKind::Sweep,
            // It removes what only the target has, and shows the same.
            false if play::legacy_has_ended() && world::chance(300_000) => v1::PassKind::Verify,
            false => v1::PassKind::Full,
        };
        let gates = status.waiting.iter().filter(|waiting| waiting.gate == "full-pass");
        gates.map(pass_for).take(1).for_each(play::want_pass);
        if status.waiting.iter().any(|waiting| waiting.gate == "restored") {
            let request = v1::ConfirmRestoreRequest {
                mutation: mutation(),
                key: KEY.to_owned(),
                ..play::confirmation()
            };
            told("confirm the restore", admin.confirm_restore(request).await);
        }
        if status.waiting.iter().any(|waiting| waiting.gate == "local-guard") {
            self.update(admin, |policy| policy.local_guard = false).await;
        }
        if quiet && self.plans {
            let request = v1::StopPlanRequest { mutation: mutation(), key: KEY.to_owned() };
            told("stop the plan", admin.stop_plan(request).await);
        }
    }

    async fn update(&self, admin: &mut Admin, change: impl FnOnce(&mut v1::Policy)) {
        let asked = admin.get_migration(v1::GetMigrationRequest { key: KEY.to_owned() }).await;
        let Ok(Some(mut policy)) = asked.map(|found| found.into_inner().policy) else { return };
        change(&mut policy);
        let shown = format!("policy {policy:?}");
        let policy = Some(policy);
        let request = v1::UpdateMigrationRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            policy,
            ..Default::default()
        };
        told(&shown, admin.update_migration(request).await);
    }

    /// Sets or lifts what the policy asks for besides.
    async fn change_policy(&self, admin: &mut Admin, random: &mut SmallRng) {
        let (what, on) = (random.random_range(0..4), random.random_range(0..2) == 0);
        let fence_after_ms = random.random_range(3_000..9_000);
        let change = |policy: &mut v1::Policy| match what {
            0 => policy.local_guard = on,
            1 => policy.soak_ms = if on { 3_000 } else { 0 },
            2 => policy.required_services = on.then(|| "api-0".to_owned()).into_iter().collect(),
            // Level linearizable is refused without one.
            _ => policy.fence_after_ms = if on { fence_after_ms } else { 0 },
        };
        self.update(admin, change).await;
    }

    /// A plan of some steps up.
    async fn start_plan(&self, admin: &mut Admin, random: &mut SmallRng) {
        let rungs = [v1::Rung::Dual, v1::Rung::Mirrored, v1::Rung::TargetFirst, v1::Rung::TargetOnly];
        let share = random.random_range(1..=4) * 250_000;
        let step = |rung: &v1::Rung| v1::PlanStep {
            rung: (*rung).into(),
            share_ppm: Some(share),
            bake_ms: 500,
            evidence: v1::PlanEvidence::None.into(),
            ..Default::default()
        };
        let steps = rungs[..random.random_range(1..=rungs.len())].iter().map(step).collect();
        let plan = Some(v1::Plan { steps, ..Default::default() });
        let request = v1::StartPlanRequest { mutation: mutation(), key: KEY.to_owned(), plan };
        told(&format!("plan {share}"), admin.start_plan(request).await);
    }

    /// Of gates that nothing depends on here: a pass over a tenant that has no records, and a soak.
    async fn override_gate(&self, admin: &mut Admin, random: &mut SmallRng) {
        if random.random_range(0..3) == 0 {
            let override_gates = vec!["soak".to_owned(), "services".to_owned()];
            let request = v1::SetRolloutRequest { override_gates, ..shares(ALL, ALL, ALL, ALL) };
            told("ramp target-only, overriding", admin.set_rollout(request).await);
            return;
        }
        let rungs = [v1::Rung::TargetFirst, v1::Rung::TargetOnly, v1::Rung::SourceOnly];
        let request = v1::SetPinRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            tenant: EMPTY_TENANT.to_owned(),
            rung: rungs[random.random_range(0..rungs.len())].into(),
            wait: true,
            override_gates: vec!["full-pass".to_owned()],
        };
        told(&format!("pin {EMPTY_TENANT}, overriding"), admin.set_pin(request).await);
    }

    async fn ask(&self, admin: &mut Admin, random: &mut SmallRng) {
        match random.random_range(0..12) {
            0 if self.plans => return self.start_plan(admin, random).await,
            1 if self.overrides => return self.override_gate(admin, random).await,
            2 if self.policies => return self.change_policy(admin, random).await,
            _ => {}
        }
        let part = random.random_range(0..=4) * 250_000;
        if random.random_range(0..100) < self.back_pct {
            let tenant = if random.random_range(0..3) == 0 { self.tenant(random) } else { String::new() };
            let request = v1::RollbackRequest { mutation: mutation(), key: KEY.to_owned(), tenant };
            told("rollback", admin.rollback(request).await);
            return;
        }
        match random.random_range(0..40) {
            0 => told("ramp down", admin.set_rollout(shares(0, 0, 0, 0)).await),
            1..4 => told("ramp dual", admin.set_rollout(shares(ALL, part, 0, 0)).await),
            4..10 => told("ramp mirrored", admin.set_rollout(shares(ALL, ALL, 0, 0)).await),
            10..20 => told("ramp target-first", admin.set_rollout(shares(ALL, ALL, ALL, 0)).await),
            20..24 => told("ramp part target-first", admin.set_rollout(shares(ALL, ALL, part, 0)).await),
            24..30 => told("ramp target-only", admin.set_rollout(shares(ALL, ALL, ALL, part)).await),
            30 => {
                let request = v1::PauseRequest { mutation: mutation(), key: KEY.to_owned() };
                told("pause", admin.pause(request).await);
            }
            31..35 => self.pin(admin, random).await,
            35..37 => {
                let tenant = self.tenant(random);
                let request =
                    v1::ClearPinRequest { mutation: mutation(), key: KEY.to_owned(), tenant, wait: true };
                told("unpin", admin.clear_pin(request).await);
            }
            37 => play::want_pass(v1::PassKind::Verify),
            _ => play::want_pass(v1::PassKind::Reverse),
        }
    }

    async fn pin(&self, admin: &mut Admin, random: &mut SmallRng) {
        let rungs = [
            v1::Rung::SourceOnly,
            v1::Rung::Dual,
            v1::Rung::Mirrored,
            v1::Rung::TargetFirst,
            v1::Rung::TargetOnly,
        ];
        let rung = rungs[random.random_range(0..rungs.len())];
        let tenant = self.tenant(random);
        let request = v1::SetPinRequest {
            mutation: mutation(),
            key: KEY.to_owned(),
            tenant: tenant.clone(),
            rung: rung.into(),
            wait: true,
            ..Default::default()
        };
        told(&format!("pin {tenant} {rung:?}"), admin.set_pin(request).await);
    }

    fn tenant(&self, random: &mut SmallRng) -> String {
        self.records.draw(random).0
    }
}

fn told<T>(what: &str, answer: Result<tonic::Response<T>, Status>) {
    world::tell(|| match answer {
        Ok(_) => format!("operator: {what}"),
        Err(status) => format!("operator: {what}: refused: {}", status.message()),
    });
}
