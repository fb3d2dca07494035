//! Operators: they go up and back again, and look after what stands in their way.

mod advice;
mod needed;
mod requests;
mod script;

use std::time::Duration;

use cutover_client::{Access, Address, AuthorizedChannel};
use cutover_proto::v1::{
    self, admin_service_client::AdminServiceClient, job_service_client::JobServiceClient,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tonic::{Response, Status};

pub use advice::Advice;
pub use script::{Ask, Cue, Then};

use super::{KEY, traffic::Records};
use crate::{
    invariants, play,
    world::{self, MS, Time},
};

/// What the operators do.
#[derive(Clone)]
pub struct Operator {
    /// The migration's policy.
    pub policy: v1::Policy,
    /// Mean time between two looks at the status.
    pub think_ms: u64,
    /// How long they wait at most for what they asked for.
    pub patience: Time,
    /// How often they ask for something else before that, at each look, in percent.
    pub whims_pct: u32,
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
    /// Requests arrive twice.
    pub repeats: bool,
    /// They do this over and over, in place of what they like. Empty: there is none.
    pub script: &'static [Cue],
    /// They only do what somebody has to do from then on.
    pub quiet_from: Time,
    /// Of their randomness.
    pub seed: u64,
}

/// A tenant without records: nothing has to be copied before it moves.
pub const EMPTY_TENANT: &str = "empty";

type Admin = AdminServiceClient<AuthorizedChannel>;

/// An operator at work.
struct Desk {
    operator: Operator,
    admin: Admin,
    jobs: JobServiceClient<AuthorizedChannel>,
    random: SmallRng,
    /// They are on the way up.
    climbs: bool,
    /// The highest stage that they asked for last.
    asked: v1::Rung,
    /// They ask for something else then.
    bored_at: Time,
    /// Where they are in their script.
    cue: usize,
    /// They do nothing of it before.
    rests_until: Time,
    /// They take a sweep for enough, wherever they are.
    sweeps: bool,
    /// What they wait for in their script.
    awaits: Then,
    /// They begin passes once everybody is where they are to begin.
    patient: bool,
}

impl Operator {
    /// Works until the end.
    pub async fn run(self) {
        let address = Address::new(&play::address(), &Access::default(), Duration::from_secs(1))
            .expect("a fixed address")
            // Of somebody who waits: what was asked of a controller that stands still is done when it goes on.
            .with(|endpoint| match play::are_several() {
                false => endpoint.timeout(Duration::from_secs(60)),
                // They turn to another one.
                true => endpoint
                    .timeout(Duration::from_secs(60))
                    .http2_keep_alive_interval(Duration::from_secs(2))
                    .keep_alive_timeout(Duration::from_secs(2))
                    .keep_alive_while_idle(true),
            });
        let channel = address.connect_lazy();
        let (admin, jobs) = (AdminServiceClient::new(channel.clone()), JobServiceClient::new(channel));
        let random = SmallRng::seed_from_u64(self.seed);
        let asked = v1::Rung::SourceOnly;
        let desk = Desk {
            operator: self,
            admin,
            jobs,
            random,
            climbs: true,
            asked,
            bored_at: 0,
            cue: 0,
            rests_until: 0,
            sweeps: false,
            awaits: Then::Next,
            patient: false,
        };
        desk.run().await;
    }
}

impl Desk {
    async fn run(mut self) {
        let create = v1::CreateMigrationRequest {
            mutation: self.mutation(),
            key: KEY.to_owned(),
            policy: Some(self.operator.policy.clone()),
            ..Default::default()
        };
        while let Err(status) = self.admin.create_migration(create.clone()).await {
            world::tell(|| format!("operator: create: {}", status.message()));
            if status.code() == tonic::Code::AlreadyExists {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        loop {
            let ms = self.random.random_range(self.operator.think_ms / 4..=self.operator.think_ms * 2);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            // Whoever copies a file back leaves the controller alone until every instance has registered.
            if play::is_unnoticed() {
                continue;
            }
            if world::now() >= self.operator.quiet_from {
                // Their script has ended, and its rests with it.
                if !std::mem::take(&mut self.operator.script).is_empty() {
                    self.rests_until = 0;
                }
                self.look_calmly().await;
                continue;
            }
            let has_arrived = self.look_after().await;
            if world::now() < self.operator.ramp_from {
                play::want_pass(v1::PassKind::Full);
                continue;
            }
            if !self.operator.script.is_empty() {
                self.follow(has_arrived).await;
                continue;
            }
            if has_arrived {
                self.turn();
            }
            let whims_pct = self.operator.whims_pct;
            // The target fails: back to where that does not matter.
            if play::target_fails() && self.draws(4 * whims_pct) {
                self.climbs = false;
                self.roll_back().await;
            } else if has_arrived || world::now() >= self.bored_at || self.draws(whims_pct) {
                self.ask().await;
                let patience = self.operator.patience;
                self.bored_at = world::now() + self.random.random_range(patience / 8..=patience);
                // Somebody else asks for something at the same time.
                if self.draws(2 * whims_pct) {
                    let ms = self.random.random_range(0..50);
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    self.climbs = self.random.random();
                    self.ask().await;
                }
            }
        }
    }

    fn draws(&mut self, pct: u32) -> bool {
        self.random.random_range(0..100) < pct
    }

    /// Everybody is where they were asked to be: what next?
    fn turn(&mut self) {
        let turn_pct = match (self.climbs, self.asked) {
            (true, v1::Rung::TargetOnly) => 70,
            (true, v1::Rung::TargetFirst) => 40,
            (true, _) => 15,
            (false, v1::Rung::TargetFirst | v1::Rung::TargetOnly) => 25,
            (false, _) => 75,
        };
        if self.draws(turn_pct) {
            self.climbs = !self.climbs;
        }
    }

    /// Does what status says that somebody has to do. True: everybody has arrived.
    async fn look_after(&mut self) -> bool {
        let asked = self.admin.get_status(v1::GetStatusRequest { key: KEY.to_owned() }).await;
        let Ok(status) = asked.map(Response::into_inner) else { return false };
        play::note_status(&status);
        let migration = status.migration.clone().unwrap_or_default();
        if migration.paused {
            let request = v1::ResumeRequest { mutation: self.mutation(), key: KEY.to_owned() };
            told("resume", &self.admin.resume(request).await);
        }
        let has_cue = self.operator.script.iter().any(|Cue(ask, _)| *ask == Ask::Acknowledge);
        if migration.state() == v1::State::Tripped && !has_cue {
            self.acknowledge().await;
        }
        for instance in status.instances.iter().filter(|instance| instance.lost) {
            // The one thing that an operator has to know. Others may have the same id, and be heard.
            let of_this_id = |other: &&v1::Instance| other.instance_id == instance.instance_id && !other.lost;
            let connected = status.instances.iter().filter(of_this_id).count();
            // Some rely on what the controller says that it does by itself.
            let is_relied_on = instance.waited_for_ms > 0 && self.operator.seed.is_multiple_of(2);
            if !is_relied_on && play::is_gone(instance, connected) {
                let request = v1::EvictInstanceRequest {
                    instance_id: instance.instance_id.clone(),
                    actor: "operator:simulated".to_owned(),
                    reason: "it is dead".to_owned(),
                    lost: true,
                    older_than_ms: instance.silent_ms,
                    ..Default::default()
                };
                told(&format!("evict {}", instance.instance_id), &self.admin.evict_instance(request).await);
            }
        }
        self.run_passes(&status);
        let has_gate = |gate: &str| status.waiting.iter().any(|waiting| waiting.gate == gate);
        if has_gate("restored") {
            let mutation = self.mutation();
            let request = v1::ConfirmRestoreRequest { mutation, key: KEY.to_owned(), ..play::confirmation() };
            told("confirm the restore", &self.admin.confirm_restore(request).await);
        }
        if has_gate("local-guard") && self.draws(50) {
            self.update(|policy| policy.local_guard = false).await;
        }
        status.settled && status.waiting.iter().all(|waiting| waiting.gate == "floor")
    }

    /// Starts the passes that somebody waits for.
    fn run_passes(&self, status: &v1::Status) {
        let pass_for = |waiting: &v1::Waiting| {
            // It is enough for the step to target-first only.
            let is_enough = match self.operator.script {
                [] => world::chance(300_000),
                _ => self.sweeps,
            };
            match self.operator.lazy && (is_enough || waiting.step.starts_with("mirrored")) {
                true => v1::PassKind::Sweep,
                // It removes what only the target has, and shows the same.
                false if play::legacy_has_ended() && world::chance(300_000) => v1::PassKind::Verify,
                false => v1::PassKind::Full,
            }
        };
        // Others begin before everybody is there, and begin again.
        let waits = self.patient && status.waiting.iter().any(|waiting| waiting.gate == "barrier");
        let gates = status.waiting.iter().filter(|waiting| waiting.gate == "full-pass" && !waits);
        if let Some(kind) = gates.map(pass_for).next() {
            // A repair that its worker has left blocks other passes.
            match play::foreign::is_under_way() && world::chance(500_000) {
                true => play::want_repair(),
                false => play::want_pass(kind),
            }
        }
        if !self.climbs && invariants::needs_reverse() {
            play::want_pass(v1::PassKind::Reverse);
        }
    }

    fn mutation(&mut self) -> Option<v1::Mutation> {
        let request_id = match self.operator.repeats {
            true => format!("{:016x}", self.random.random::<u64>()),
            false => String::new(),
        };
        let (actor, reason) = ("operator:simulated".to_owned(), "simulated".to_owned());
        Some(v1::Mutation { actor, reason, request_id, ..Default::default() })
    }

    /// Sends a request, which may arrive a second time, long after. True: the first one was accepted.
    async fn send<T, F>(&mut self, what: String, call: impl Fn(Admin) -> F + Send + 'static) -> bool
    where
        F: Future<Output = Result<Response<T>, Status>> + Send + 'static,
        T: Send + 'static,
    {
        let answer = call(self.admin.clone()).await;
        told(&what, &answer);
        if self.operator.repeats && self.draws(20) {
            let delay = Duration::from_nanos(self.random.random_range(0..10_000 * MS));
            let admin = self.admin.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                told(&format!("{what}, again"), &call(admin).await);
            });
        }
        answer.is_ok()
    }
}

fn told<T>(what: &str, answer: &Result<Response<T>, Status>) {
    world::tell(|| match answer {
        Ok(_) => format!("operator: {what}"),
        Err(status) => format!("operator: {what}: refused: {}", status.message()),
    });
}
