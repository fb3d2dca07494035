//! Operators after the faults: they do what they are told that somebody has to do, and nothing else.

use std::time::Duration;

use cutover::refusal::reasons;
use cutover_client::routing::Rung;
use cutover_proto::v1;
use tonic::Status;

use super::{Advice, Desk, told};
use crate::{
    cast::KEY,
    play::{self, calm},
    world::{self, S},
};

const ACTOR: &str = "operator:simulated";

impl Desk {
    /// Looks, and acts if somebody is needed.
    pub(super) async fn look_calmly(&mut self) {
        let asked = self.admin.get_status(v1::GetStatusRequest { key: KEY.to_owned() }).await;
        let Ok(status) = asked.map(tonic::Response::into_inner) else { return };
        play::note_status(&status);
        if world::now() < self.rests_until {
            return;
        }
        let Some(need) = calm::need(&status) else { return };
        let Some(advice) = Advice::of(&need.action) else { return calm::helpless(&need) };
        calm::act(&need, &advice, &status);
        let is_told_to_write = need.action.starts_with("write or delete once with an SDK");
        if is_told_to_write && matches!(advice, Advice::Pass(_)) {
            calm::write_what_differs();
        }
        if let Err(refused) = self.follow_advice(advice).await {
            calm::refused(reasons(&refused));
        }
    }

    async fn follow_advice(&mut self, advice: Advice) -> Result<(), Box<Status>> {
        let (mutation, key) = (self.mutation(), KEY.to_owned());
        let what = format!("{advice:?}");
        let answer = match advice {
            Advice::Wait(seconds) => {
                self.rests_until = world::now() + seconds * S;
                return Ok(());
            }
            Advice::Pass(_) | Advice::Repair => {
                match advice {
                    // They know what somebody else has written to the target, and that it has to go.
                    Advice::Pass(v1::PassKind::Verify) if play::foreign::is_left() => play::want_repair(),
                    Advice::Pass(kind) => play::want_pass(kind),
                    _ => play::want_repair(),
                }
                // It has begun by then.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Ok(());
            }
            Advice::LocalGuardOff => {
                self.update(|policy| policy.local_guard = false).await;
                return Ok(());
            }
            Advice::RequireNone => {
                self.update(|policy| policy.required_services.clear()).await;
                return Ok(());
            }
            Advice::Evict(name) => {
                let (actor, reason) = (ACTOR.to_owned(), "it is dead".to_owned());
                let instance_id = name.unwrap_or_default();
                let request =
                    v1::EvictInstanceRequest { instance_id, actor, reason, lost: true, ..Default::default() };
                self.admin.evict_instance(request).await.map(drop)
            }
            Advice::Cancel(id) => {
                play::foreign::note_repair(false);
                let request =
                    v1::FinishJobRequest { id, actor: ACTOR.to_owned(), force: true, ..Default::default() };
                self.jobs.finish_job(request).await.map(drop)
            }
            Advice::Resume => self.admin.resume(v1::ResumeRequest { mutation, key }).await.map(drop),
            Advice::Acknowledge => {
                self.admin.acknowledge(v1::AcknowledgeRequest { mutation, key }).await.map(drop)
            }
            Advice::Confirm => {
                let request = v1::ConfirmRestoreRequest { mutation, key, ..play::confirmation() };
                self.admin.confirm_restore(request).await.map(drop)
            }
            Advice::LeaveTargetOnly => {
                let request = v1::SetRolloutRequest { target_only_ppm: Some(0), ..Default::default() };
                self.leave(Rung::TargetOnly, request).await
            }
            Advice::LeaveTargetFirst => {
                let request = v1::SetRolloutRequest { target_first_ppm: Some(0), ..Default::default() };
                self.leave(Rung::TargetFirst, request).await
            }
        };
        told(&what, &answer.clone().map(tonic::Response::new));
        answer.map_err(Box::new)
    }

    /// Takes everybody below `rung`: those that are pinned, and the shares, which `request` names.
    async fn leave(&mut self, rung: Rung, request: v1::SetRolloutRequest) -> Result<(), Status> {
        for tenant in calm::pinned_from(rung) {
            self.unpin_one(tenant).await;
        }
        let mutation = self.mutation();
        let request = v1::SetRolloutRequest { mutation, key: KEY.to_owned(), wait: true, ..request };
        self.admin.set_rollout(request).await.map(drop)
    }
}
